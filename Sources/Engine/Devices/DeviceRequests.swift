internal import EngineTypes
internal import Glibc
internal import OCIRuntimeSpec

/// Devices asked for by name (`--gpus`, `--device vendor.com/class=name`): CDI is the one driver there is.
struct DeviceRequests {
    private let requests: [DeviceRequest]
    private let directories: [String]

    init(_ requests: [DeviceRequest], directories: [String]) {
        self.requests = requests
        self.directories = directories
    }

    func apply(to spec: inout Spec) throws(EngineError) {
        var names: [String] = []
        for request in requests {
            let driver = request.Driver ?? ""
            guard driver == "cdi" else {
                let wanted = (request.Capabilities ?? []).map { "[\($0.joined(separator: " "))]" }.joined(separator: " ")
                throw .invalid("could not select device driver \"\(driver)\" with capabilities: [\(wanted)]")
            }
            if (request.Count ?? 0) != 0 { throw .invalid("DeviceRequests.Count has no meaning for driver \"cdi\": name the devices") }
            if !(request.Options ?? [:]).isEmpty { throw .invalid("DeviceRequests.Options has no meaning for driver \"cdi\"") }
            names += request.DeviceIDs ?? []
        }
        guard !names.isEmpty else { return }
        let registry = CDIRegistry(directories: directories)
        switch registry.edits(for: names) {
        case .success(let edits): for edit in edits { try Self.apply(edit, to: &spec) }
        case .failure(let missing):
            let causes = registry.problems.isEmpty ? "" : " (\(registry.problems.joined(separator: "; ")))"
            throw .invalid("CDI device injection failed: unresolvable CDI devices \(missing.names.joined(separator: ", "))\(causes)")
        }
    }

    private static func failed(_ reason: String) -> EngineError { .invalid("CDI device injection failed: \(reason)") }

    private static func apply(_ edits: CDISpec.Edits, to spec: inout Spec) throws(EngineError) {
        if edits.intelRdt != nil { throw .notImplemented("intelRdt of a CDI device") }
        if !(edits.netDevices ?? []).isEmpty { throw .notImplemented("netDevices of a CDI device") }
        for variable in edits.env ?? [] {
            guard let end = variable.firstIndex(of: "="), end > variable.startIndex else {
                throw failed("invalid variable \"\(variable)\"")
            }
            let name = variable[...end]
            spec.process?.env.removeAll { $0.hasPrefix(name) }
            spec.process?.env.append(variable)
        }
        for node in edits.deviceNodes ?? [] { try add(node, to: &spec) }
        for mount in edits.mounts ?? [] {
            let type = mount.type ?? ""
            spec.mounts.removeAll { $0.destination == mount.containerPath }
            spec.mounts.append(
                Spec.Mount(
                    destination: mount.containerPath, type: type.isEmpty ? "bind" : type, source: mount.hostPath,
                    options: mount.options ?? []))
        }
        for hook in edits.hooks ?? [] { try add(hook, to: &spec.hooks) }
        for group in edits.additionalGids ?? [] where group != 0 {
            if spec.process?.user.additionalGids.contains(group) == false { spec.process?.user.additionalGids.append(group) }
        }
    }

    /// What the file leaves open is as the host's own node.
    private static func add(_ node: CDISpec.Node, to spec: inout Spec) throws(EngineError) {
        let source = node.hostPath.flatMap { $0.isEmpty ? nil : $0 } ?? node.path
        var type = node.type.flatMap { $0.isEmpty ? nil : $0 }
        var numbers = (major: node.major ?? 0, minor: node.minor ?? 0)
        if type == nil || type != "p" && numbers.major == 0 {
            guard let host = DeviceResolver.node(source, as: node.path) else { throw failed("no device node \(source)") }
            if let type, type != host.kind.rawValue { throw failed("\(source) is of type \"\(host.kind.rawValue)\", not \"\(type)\"") }
            type = host.kind.rawValue
            if numbers.major == 0 { numbers = (Int64(host.major), Int64(host.minor)) }
        }
        guard let kind = type.flatMap(Spec.Device.Kind.init(rawValue:)), let major = UInt32(exactly: numbers.major),
            let minor = UInt32(exactly: numbers.minor)
        else { throw failed("invalid device node \(node.path)") }
        let user = spec.process?.user
        spec.linux.devices.removeAll { $0.path == node.path }
        spec.linux.devices.append(
            Spec.Device(
                path: node.path, kind: kind, major: major, minor: minor, fileMode: node.fileMode,
                uid: node.uid ?? user?.uid ?? 0, gid: node.gid ?? user?.gid ?? 0))
        guard kind != .fifo else { return }
        let access = node.permissions.flatMap { $0.isEmpty ? nil : $0 } ?? "rwm"
        guard access.allSatisfy({ "rwm".contains($0) }) else { throw failed("invalid permissions \"\(access)\" of \(node.path)") }
        var resources = spec.linux.resources ?? Spec.Resources()
        resources.devices.append(
            Spec.DeviceRule(allow: true, type: kind.rawValue, major: Int64(major), minor: Int64(minor), access: access))
        spec.linux.resources = resources
    }

    private static func add(_ hook: CDISpec.Hook, to hooks: inout Spec.Hooks) throws(EngineError) {
        let timeout = hook.timeout.flatMap { $0 > 0 ? $0 : nil }
        let one = Spec.Hook(path: hook.path, args: hook.args ?? [], env: hook.env ?? [], timeout: timeout)
        switch hook.hookName {
        case "prestart": hooks.prestart.append(one)
        case "createRuntime": hooks.createRuntime.append(one)
        case "createContainer": hooks.createContainer.append(one)
        case "startContainer": hooks.startContainer.append(one)
        case "poststart": hooks.poststart.append(one)
        case "poststop": hooks.poststop.append(one)
        default: throw failed("invalid hook name \"\(hook.hookName)\"")
        }
    }
}
