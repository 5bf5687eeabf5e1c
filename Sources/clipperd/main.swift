// clipperd: the daemon. Reads flags and daemon.json, joins the rooms (Daemon.swift), listens, reads daemon.json
// again on SIGHUP, and stops on SIGTERM or SIGINT. It holds nothing that containers need: they live under their shims, and the next clipperd finds them again.
internal import ClientUI
@preconcurrency internal import Dispatch
internal import Engine
internal import Glibc
internal import Linux
internal import Logging
internal import Systemd

func fail(_ message: String, code: Int32 = 1) -> Never {
    let bytes = Array("clipperd: \(message)\n".utf8)
    _ = write(2, bytes, bytes.count)
    exit(code)
}

Heap.givesBackFreed()

// Before there are threads: both change the environment.
let activated = ServiceManager.takeSockets()
let notifySocket = ServiceManager.takeNotifySocket()

let options: DaemonOptions
let flags: FlagValues
do {
    let parsed = try FlagParser.parse(CommandLine.arguments.dropFirst(), flags: DaemonOptions.flags)
    if parsed.wantsHelp {
        print(
            "Usage:  clipperd [OPTIONS]\n\nA container engine with the Docker Engine API\n\nOptions:\n\(HelpPage.options(DaemonOptions.flags))"
        )
        exit(0)
    }
    if parsed.values.bool("version") {
        print("Clipper version \(EngineVersion.version)")
        exit(0)
    }
    if let word = parsed.arguments.first { fail("\"clipperd\" accepts no arguments, found \(word)") }
    flags = parsed.values
    options = try DaemonOptions(flags)
    if flags.bool("validate") {
        _ = try Daemon.tls(options)
        print("configuration OK")
        exit(0)
    }
} catch { fail("\(error)") }

DaemonLog.set(options)
let logger = Logger(label: "clipperd") { _ in DaemonLog() }

/// Tells the service manager, if there is one.
func tellManager(_ message: String) {
    guard let notifySocket else { return }
    do { try ServiceManager.notify(message, at: notifySocket) } catch {
        logger.warning("cannot tell the service manager", metadata: ["error": "\(error)"])
    }
}

// A client that goes away must not end the daemon.
signal(SIGPIPE, SIG_IGN)
let (commands, commanded) = AsyncStream.makeStream(of: Daemon.Command.self)
let sources = [SIGTERM, SIGINT, SIGHUP].map { number in
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number)
    // Not on the main actor: Dispatch calls it on a queue of its own.
    source.setEventHandler { @Sendable in commanded.yield(number == SIGHUP ? .reload : .stop) }
    source.resume()
    return source
}

func ownDirectory() -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    return Files.parent(of: String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self))
}

let runtimeExecutable = options.runtimeExecutable ?? "\(ownDirectory())/clipper-runtime"
guard access(runtimeExecutable, X_OK) == 0 else { fail("cannot find clipper-runtime at \(runtimeExecutable); name it with --runtime-path") }

do {
    if let path = options.pidFile {
        if let text = try? Files.readText(path), let pid = Int32(text.filter(\.isNumber)), pid != getpid(), kill(pid, 0) == 0 {
            fail("pid file found, ensure clipperd is not running or delete \(path)")
        }
        try Files.replace(path, with: Array("\(getpid())\n".utf8), mode: 0o644, durable: false)
    }
    let daemon = try await Daemon(options: options, runtimeExecutable: runtimeExecutable, logger: logger)
    try await daemon.run(commands, flags: flags, activated: activated, tell: tellManager)
    if let path = options.pidFile { _ = unlink(path) }
} catch {
    if let path = options.pidFile { _ = unlink(path) }
    fail("failed to start daemon: \(error)")
}
withExtendedLifetime(sources) {}
