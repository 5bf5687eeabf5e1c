// clipper-runtime: six programs in one static file, told apart by name or first argument.
//
//   clipper-runtime …            the OCI runtime, runc's command line       (ContainerRuntime.RuntimeCommand)
//   clipper-runtime shim …       the supervisor of one container            (Shim.ShimMain); also as `clipper-shim`
//   clipper-runtime rootfs …     a short-lived helper for stopped containers (Shim.RootfsHelper)
//   clipper-runtime namespaces … the helper that makes user and network namespaces (Shim.NamespaceMaker)
//   clipper-runtime init …       the container's tiny init, `--init`         (ContainerRuntime.TinyInit)
//   clipper-runtime compress-log the helper that packs rotated logs           (Shim.LogCompressionHelper)
//
// One file, so that all supervisors of a host share its pages.
internal import ContainerRuntime
internal import Glibc
internal import Shim

let arguments = CommandLine.arguments
let name = arguments.first?.split(separator: "/").last.map(String.init) ?? ""
let first = arguments.dropFirst().first
let isShim = name == "clipper-shim" || first == "shim"
if isShim {
    ExecutableProtection.ensure(outlivesContainer: true)
} else if first != "init", let command = arguments.first(where: { ["create", "run", "exec"].contains($0) }) {
    let detaches = arguments.contains("-d") || arguments.contains("--detach")
    ExecutableProtection.ensure(outlivesContainer: command == "run" && !detaches)
}
if name == "clipper-shim" { exit(ShimMain.run(Array(arguments.dropFirst()))) }
switch first {
case "shim": exit(ShimMain.run(Array(arguments.dropFirst(2))))
case "rootfs": exit(RootfsHelper.run(Array(arguments.dropFirst(2))))
case "namespaces": exit(NamespaceMaker.run(Array(arguments.dropFirst(2))))
case "compress-log": exit(LogCompressionHelper.run())
case "init": exit(TinyInit.run(Array(arguments.dropFirst(2))))
default: exit(RuntimeCommand.run(Array(arguments.dropFirst())))
}
