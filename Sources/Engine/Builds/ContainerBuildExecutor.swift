public import Builder
internal import Dispatch
internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux
public import Logging
public import Networking
internal import OCIRuntimeSpec
internal import ShimProtocol
public import Supervision

/// Runs the RUN steps of builds: a container without a record, a log or a name, that lives for one command.
public final class ContainerBuildExecutor: BuildExecutor {
    private let networks: NetworkManager
    private let supervisor: Supervisor
    private let configuration: EngineConfiguration
    private let logger: Logger

    public init(networks: NetworkManager, supervisor: Supervisor, configuration: EngineConfiguration, logger: Logger) {
        self.networks = networks
        self.supervisor = supervisor
        self.configuration = configuration
        self.logger = logger
    }

    /// Ends the build steps of a former daemon: nobody waits for them any more. Call before the networks are restored.
    public func removeRemains() async {
        let builds = "\(configuration.execRoot)/builds"
        for identifier in (try? Files.list(builds)) ?? [] {
            let directory = "\(builds)/\(identifier)"
            if case .running(let connection, _) = await supervisor.reconnect(directory: directory, patience: 3) {
                try? await connection.signal(SIGKILL)
                for await event in connection.events { if case .disconnected = event { break } }
            }
            do { try Files.removeTree(directory) } catch {
                logger.warning("cannot remove a build step's directory", metadata: ["error": "\(error)"])
            }
        }
    }

    public func run(_ step: RunStep, cancellation: BuildCancellation, output: (_ isError: Bool, _ bytes: [UInt8]) -> Void) throws -> Int32 {
        let streams = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        let stream = InitialStream(options: AttachOptions(stdin: false, stdout: true, stderr: true), socket: streams.second.duplicateRaw())
        let theirs = streams.first.duplicateRaw()
        _ = consume streams
        let mine = OwnedFD(owning: theirs)
        let outcome = Locked<Result<Int32, any Error>?>(nil)
        let done = DispatchSemaphore(value: 0)
        let task = Task {
            let result: Result<Int32, any Error>
            do { result = .success(try await runContainer(step, stream, cancellation)) } catch { result = .failure(error) }
            outcome.withLock { $0 = result }
            done.signal()
        }
        // The stream ends when the container does, or when it could not be started.
        var frames = FrameSplitter()
        var buffer = [UInt8](repeating: 0, count: 65536)
        cancellation.onCancel {
            task.cancel()
        } during: {
            while let count = try? mine.read(into: &buffer), count > 0 { frames.feed(buffer[..<count], output) }
            done.wait()
        }
        if cancellation.isCancelled { throw BuildError.cancelled }
        switch outcome.current {
        case .success(let code): return code
        case .failure(let failure as ShimFailure) where failure.kind == .commandNotFound || failure.kind == .commandNotExecutable:
            output(true, Array("\(failure.message)\n".utf8))
            return failure.kind == .commandNotFound ? 127 : 126
        case .failure(let error): throw error
        case nil: throw EngineError(.system, "the build step ended without a result")
        }
    }

    private func runContainer(_ step: RunStep, _ stream: InitialStream, _ cancellation: BuildCancellation) async throws -> Int32 {
        let directory = "\(configuration.execRoot)/builds/\(step.identifier)"
        var handedOver = false
        defer { if !handedOver { _ = close(stream.socket) } }
        var mode = HostConfig()
        mode.NetworkMode = step.networkMode
        try mode.check(mapping: configuration.identities)
        try configuration.cgroupDriver.check(parent: step.resources.cgroupParent)
        let identities = try await ContainerIdentities.make(mode, ownNetwork: true, configuration, supervisor, networks)
        // Descriptor 3 is the shim's control socket, 4 the stream.
        let root = identities.rootForShim(descriptor: step.networkMode == "host" ? 5 : 6)
        let prepared = try await offloading { [self] in try prepare(step, identities, root, directory: directory) }
        // Descriptors are used by number.
        defer { withExtendedLifetime((prepared, identities)) { release(prepared, directory: directory) } }
        var request = LaunchRequest(
            containerID: step.identifier, directory: directory, bundle: directory,
            runtime: .inProcess(root: configuration.runtimeRoot + "/clipper"))
        request.rootfs = .overlay(Overlay(layers: step.layers, upper: step.upper, work: step.work, isVolatile: true, mappedRoot: root))
        request.systemdCgroup = configuration.cgroupDriver == .systemd
        handedOver = true
        let connection = try await supervisor.launch(
            request, descriptors: (prepared.sandbox.map { [$0.descriptor] } ?? []) + identities.descriptors, attaching: [stream])
        return try await withTaskCancellationHandler {
            var code: Int32?
            for await event in connection.events {
                if case .exited(let record) = event { code = record.exitCode }
            }
            guard let code else { throw EngineError(.system, "the supervisor of the build step was killed") }
            return code
        } onCancel: {
            Task { try? await connection.signal(SIGKILL) }
        }
    }

    private struct Prepared: Sendable {
        var sandbox: NetworkSandbox?
        var endpoint: Endpoint?
    }

    private func release(_ prepared: Prepared, directory: String) {
        if let endpoint = prepared.endpoint {
            do { try networks.detach(endpoint, bindings: []) } catch {
                logger.warning("cannot give back a build step's address", metadata: ["error": "\(error)"])
            }
        }
        do { try Files.removeTree(directory) } catch {
            logger.warning("cannot remove a build step's directory", metadata: ["error": "\(error)"])
        }
    }

    private func prepare(_ step: RunStep, _ identities: ContainerIdentities, _ root: MappedRoot?, directory: String) throws -> Prepared {
        var prepared = Prepared(sandbox: identities.sandbox)
        try Files.makeDirectories("\(directory)/rootfs", mode: 0o700)
        do {
            if root != nil { try IdentityMapping.letThrough(directory) }
            var host = HostConfig()
            host.Memory = step.resources.memory
            host.MemorySwap = step.resources.memorySwap
            host.CpuShares = step.resources.cpuShares
            host.CpuPeriod = step.resources.cpuPeriod
            host.CpuQuota = step.resources.cpuQuota
            host.CpusetCpus = step.resources.cpusetCpus
            host.CpusetMems = step.resources.cpusetMems
            host.CgroupParent = step.resources.cgroupParent
            host.ShmSize = step.resources.shmSize > 0 ? step.resources.shmSize : nil
            host.Ulimits = step.resources.ulimits.map { Ulimit(Name: $0.name, Soft: $0.soft, Hard: $0.hard) }
            host.NetworkMode = step.networkMode
            host = host.withDefaults(shmSize: configuration.defaultShmSize, logDriver: "none")
            try host.check(config: ContainerConfig())
            var config = ContainerConfig()
            config.Hostname = step.hostname.isEmpty ? String(step.identifier.prefix(12)) : step.hostname
            config.Env = step.environment
            config.User = step.user
            config.WorkingDir = step.workingDirectory
            let record = ContainerRecord(
                id: step.identifier, name: "build-\(step.identifier.prefix(12))", created: Timestamp.now().description, imageID: "",
                imageName: "", config: config,
                hostConfig: host, networks: [:], path: step.arguments[0], arguments: Array(step.arguments.dropFirst()),
                mounts: try mounts(step), outcome: .init())
            let choice = try connect(step, config.Hostname ?? "", &prepared)
            let paths = EngineConfiguration.ContainerPaths(data: directory, run: directory)
            let hosts = try ContainerFiles.hosts(
                hostname: config.Hostname ?? "", endpoints: prepared.endpoint.map { [$0] } ?? [], extraHosts: step.extraHosts,
                hostGateways: prepared.endpoint?.gateways ?? [])
            try Files.write(paths.hosts, hosts)
            try Files.write(paths.resolvConf, try ContainerFiles.resolvConf(usesHostNetwork: step.networkMode == "host"))
            try Files.write(paths.hostname, ContainerFiles.hostname(config.Hostname ?? ""))
            // `upper` of the paths is where users are looked up: the step's own writable layer comes first.
            for path in [paths.hosts, paths.resolvConf, paths.hostname] {
                try Files.changeOwner(path, uid: root?.uid ?? 0, gid: root?.gid ?? 0)
            }
            var builder = SpecBuilder(
                record: record, paths: paths, configuration: configuration, layers: [step.upper] + step.layers, networkNamespace: choice)
            builder.userNamespace = root?.userNamespace
            let spec = try builder.build()
            try configuration.appArmor?.prepare(spec.process?.apparmorProfile)
            try Files.replace(paths.config, with: spec.json.serialized(), durable: false)
            return prepared
        } catch {
            release(prepared, directory: directory)
            throw error
        }
    }

    private func connect(_ step: RunStep, _ hostname: String, _ prepared: inout Prepared) throws -> SpecBuilder.NetworkNamespaceChoice {
        if step.networkMode == "host" { return .host }
        if step.networkMode.hasPrefix("container:") { throw EngineError.notImplemented("build with network mode \(step.networkMode)") }
        let name = step.networkMode == "default" ? "bridge" : step.networkMode
        let sandbox = try prepared.sandbox ?? networks.takeSandbox()
        prepared.sandbox = sandbox
        if name == "bridge", networks.configuration.defaultBridge.isMissing { return .path("/proc/self/fd/5") }
        prepared.endpoint = try networks.attach(
            containerID: step.identifier, containerName: "build-\(step.identifier.prefix(12))", hostname: hostname, network: name,
            sandbox: sandbox)
        return .path("/proc/self/fd/5")
    }

    private func mounts(_ step: RunStep) throws -> [ResolvedMount] {
        try step.mounts.map { mount in
            switch mount {
            case .bind(let source, let target, let isReadOnly):
                return ResolvedMount(kind: .bind, source: source, destination: target, isReadOnly: isReadOnly, mapsOwners: true)
            case .tmpfs(let target, let size):
                return ResolvedMount(kind: .tmpfs, destination: target, options: size.map { ["size=\($0)"] } ?? [])
            case .overlay: throw EngineError.notImplemented("RUN --mount=type=bind,from= of an image with several layers")
            }
        }
    }
}

/// Takes Docker's stream framing apart, however the bytes are cut.
struct FrameSplitter {
    private var pending: [UInt8] = []

    mutating func feed(_ bytes: ArraySlice<UInt8>, _ output: (_ isError: Bool, _ bytes: [UInt8]) -> Void) {
        pending.append(contentsOf: bytes)
        var position = 0
        while pending.count - position >= 8 {
            let length = pending[position + 4..<position + 8].reduce(0) { $0 << 8 | Int($1) }
            guard pending.count - position - 8 >= length else { break }
            output(pending[position] == 2, Array(pending[position + 8..<position + 8 + length]))
            position += 8 + length
        }
        pending.removeFirst(position)
    }
}
