internal import ContainerRuntime
internal import JSON
internal import Linux
internal import OCIRuntimeSpec
internal import ShimProtocol

/// Clipper's own runtime, called in the shim.
final class InProcessDriver: RuntimeDriver {
    private let spec: Spec
    private let options: CreateOptions
    private let seccompCache: String
    private var containerPID: Int32 = 0
    private(set) var cgroup: CgroupManager?
    private(set) var systemdUnit: String?

    init(_ request: LaunchRequest, root: String) throws(ShimFailure) {
        let path = "\(request.bundle)/config.json"
        do { spec = try Spec(parsing: try Files.read(path)) } catch { throw ShimFailure(.runtime, "\(path): \(error)") }
        guard spec.process?.terminal ?? false == request.terminal else {
            throw ShimFailure(.invalidRequest, "\(path): process.terminal differs from the launch request's")
        }
        var options = CreateOptions(id: request.containerID, bundle: request.bundle)
        seccompCache = "\(root)/seccomp"
        options.seccompCacheDirectory = seccompCache
        options.systemdCgroup = request.systemdCgroup
        self.options = options
    }

    func start(rootfs: borrowing RootfsSource, streams: borrowing ChildStreams?) throws(ShimFailure) -> StartedProcess {
        var options = options
        options.rootfsDescriptor = rootfs.descriptor
        if let standard = InProcessDriver.standard(streams) { options.stdio = standard }
        do throws(RuntimeError) {
            var container = try ContainerRuntime.run(spec: spec, options: options)
            containerPID = container.pid
            cgroup = container.cgroup
            systemdUnit = container.systemdUnit
            return StartedProcess(pid: container.pid, terminalMaster: container.terminalMaster.take())
        } catch { throw ShimFailure(error) }
    }

    func exec(_ request: ExecRequest, streams: borrowing ChildStreams?) throws(ShimFailure) -> StartedProcess {
        let process: Spec.Process
        do { process = try Spec.Process(parsing: request.process.serialized()) } catch { throw ShimFailure(.invalidRequest, "\(error)") }
        var options = ExecOptions()
        options.seccompCacheDirectory = seccompCache
        if let standard = InProcessDriver.standard(streams) { options.stdio = standard }
        let target = ExecTarget(pid: containerPID, id: self.options.id, bundle: self.options.bundle, spec: spec, cgroup: cgroup)
        do throws(RuntimeError) {
            var started = try ContainerRuntime.exec(in: target, process: process, options: options)
            return StartedProcess(pid: started.pid, terminalMaster: started.terminalMaster.take())
        } catch { throw ShimFailure(error) }
    }

    func update(_ resources: JSONValue) throws(ShimFailure) {
        guard let cgroup else { throw ShimFailure(.conflict, "update: the container has no control group") }
        let limits: Spec.Resources
        do { limits = try Spec.Resources(parsing: resources.serialized()) } catch {
            throw ShimFailure(.invalidRequest, "update: \(error)")
        }
        do throws(RuntimeError) { try ContainerRuntime.update(cgroup, systemdUnit: systemdUnit, to: limits) } catch {
            throw ShimFailure(error)
        }
    }

    func cleanUp() {
        if let systemdUnit {
            do throws(RuntimeError) { try ContainerRuntime.stopScope(systemdUnit) } catch { ShimLog.write(error.message) }
        }
        if let cgroup {
            do { try cgroup.remove() } catch { ShimLog.write("\(error)") }
        }
        ContainerRuntime.release(spec: spec, id: options.id)
        for error in ContainerRuntime.runPoststopHooks(spec: spec, id: options.id, bundle: options.bundle) { ShimLog.write("\(error)") }
    }

    private static func standard(_ streams: borrowing ChildStreams?) -> StandardStreams? {
        switch streams {
        case .some(let streams): StandardStreams(input: streams.input.raw, output: streams.output.raw, error: streams.error.raw)
        case .none: nil
        }
    }
}

extension RootfsSource {
    var descriptor: Int32? {
        switch tree {
        case .some(let tree): tree.raw
        case .none: nil
        }
    }
}

extension ShimFailure {
    init(_ error: RuntimeError) {
        let kind: ShimFailure.Kind =
            switch error.kind {
            case .commandNotFound: .commandNotFound
            case .commandNotExecutable: .commandNotExecutable
            case .invalidSpec: .invalidRequest
            case .notImplemented: .unsupported
            case .state: .conflict
            case .system, .hook, .usage: .runtime
            }
        self.init(kind, error.message)
    }
}
