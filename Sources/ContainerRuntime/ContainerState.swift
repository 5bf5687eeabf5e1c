internal import JSON
internal import Linux
internal import OCIRuntimeSpec
internal import Systemd

/// What a container is doing (runtime.md, "State"). `paused` is runc's addition.
enum ContainerStatus: String, Sendable {
    case creating, created, running, paused, stopped
}

/// What the command line keeps of a container: `<root>/<id>/state.json`.
struct ContainerState: Sendable {
    var id: String
    var bundle: String
    var rootfs: String
    var created: Timestamp
    /// 0 before there is a process.
    var pid: Int32
    /// Guards against reuse of the pid.
    var startTime: UInt64
    var cgroupPath: String
    /// The scope that the control group is, when systemd made it.
    var systemdUnit: String?
    /// The configuration, as `exec`, `delete` and the hooks need it again.
    var spec: Spec

    init(plan: ContainerPlan, pid: Int32, startTime: UInt64) {
        id = plan.options.id
        bundle = plan.options.bundle
        rootfs = plan.rootPath
        created = Timestamp.now()
        self.pid = pid
        self.startTime = startTime
        cgroupPath = plan.cgroupPath
        systemdUnit = plan.systemdUnit?.name
        spec = plan.spec
    }

    var json: JSONValue {
        var object: JSONValue = [
            "id": .string(id), "bundle": .string(bundle), "rootfs": .string(rootfs), "created": .string("\(created)"),
            "pid": .integer(Int64(pid)), "startTime": .integer(Int64(clamping: startTime)), "cgroupPath": .string(cgroupPath),
            "spec": spec.json,
        ]
        if case .object(var members) = object, let systemdUnit {
            members.append("systemdUnit", .string(systemdUnit))
            object = .object(members)
        }
        return object
    }

    init(_ json: JSONValue) throws {
        guard let id = json["id"]?.stringValue, let bundle = json["bundle"]?.stringValue, let rootfs = json["rootfs"]?.stringValue,
            let created = json["created"]?.stringValue.flatMap({ Timestamp($0) }),
            let pid = json["pid"]?.intValue.flatMap({ Int32(exactly: $0) }),
            let startTime = json["startTime"]?.unsignedValue, let cgroupPath = json["cgroupPath"]?.stringValue, let spec = json["spec"]
        else { throw RuntimeError(kind: .state, message: "unreadable state file") }
        self.id = id
        self.bundle = bundle
        self.rootfs = rootfs
        self.created = created
        self.pid = pid
        self.startTime = startTime
        self.cgroupPath = cgroupPath
        systemdUnit = json["systemdUnit"]?.stringValue
        self.spec = try Spec(spec)
    }

    /// The state that hooks get and `state` prints (runtime.md, "State"), compact.
    static func document(plan: ContainerPlan, pid: Int32, status: ContainerStatus) -> [UInt8] {
        document(
            id: plan.options.id, bundle: plan.options.bundle, version: plan.spec.ociVersion, annotations: plan.spec.annotations, pid: pid,
            status: status
        ).serialized()
    }

    func document(status: ContainerStatus) -> JSONValue {
        Self.document(
            id: id, bundle: bundle, version: spec.ociVersion, annotations: spec.annotations, pid: status == .stopped ? 0 : pid,
            status: status)
    }

    static func document(
        id: String, bundle: String, version: String, annotations: [String: String], pid: Int32, status: ContainerStatus
    ) -> JSONValue {
        var object = JSONObject()
        object.append("ociVersion", .string(version))
        object.append("id", .string(id))
        object.append("status", .string(status.rawValue))
        object.append("pid", .integer(Int64(pid)))
        object.append("bundle", .string(bundle))
        if !annotations.isEmpty {
            var members = JSONObject()
            for (key, value) in annotations.sorted(by: { $0.key < $1.key }) { members.append(key, .string(value)) }
            object.append("annotations", .object(members))
        }
        return .object(object)
    }

    /// What the kernel says of the first process. Zombies have stopped.
    var isAlive: Bool {
        guard pid > 0, let snapshot = ProcessStatus.snapshot(pid) else { return false }
        return snapshot.startTime == startTime && snapshot.state != "Z" && snapshot.state != "X"
    }
}
