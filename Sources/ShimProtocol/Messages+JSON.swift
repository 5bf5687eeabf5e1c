public import JSON

extension ContainerState {
    /// As on the wire and in `shim.json`.
    public var json: JSONValue {
        var writer = FieldsWriter()
        writer.put("version", version)
        writer.put("container", containerID)
        writer.put("shimPID", shimPID)
        writer.put("pid", containerPID)
        writer.put("startTime", containerStartTime)
        writer.put("startedAt", startedAt)
        if !cgroupPath.isEmpty { writer.put("cgroup", cgroupPath) }
        if !systemdUnit.isEmpty { writer.put("systemdUnit", systemdUnit) }
        if !runtimePath.isEmpty {
            writer.put("runtimePath", runtimePath)
            writer.put("runtimeRoot", runtimeRoot)
            if !runtimeArguments.isEmpty { writer.put("runtimeArguments", .array(runtimeArguments.map { .string($0) })) }
            if let runtimeOpenFiles { writer.put("runtimeOpenFiles", runtimeOpenFiles) }
        }
        return writer.value
    }

    public init(_ value: JSONValue) throws(ShimFailure) {
        let fields = try Fields(value, "state")
        self.init(
            containerID: try fields.string("container"), shimPID: try fields.number("shimPID"), containerPID: try fields.number("pid"),
            containerStartTime: try fields.number("startTime"), startedAt: try fields.string("startedAt"))
        version = try fields.number("version")
        cgroupPath = try fields.string("cgroup", default: "")
        systemdUnit = try fields.string("systemdUnit", default: "")
        runtimePath = try fields.string("runtimePath", default: "")
        runtimeRoot = try fields.string("runtimeRoot", default: "")
        runtimeArguments = value["runtimeArguments"]?.arrayValue?.compactMap(\.stringValue) ?? []
        if !fields.isAbsent("runtimeOpenFiles") { runtimeOpenFiles = try fields.number("runtimeOpenFiles") }
    }
}

extension ControlRequest {
    /// The message with its number.
    public func json(id: UInt64) -> JSONValue {
        var writer = FieldsWriter()
        writer.put("op", name)
        writer.put("id", id)
        switch self {
        case .launch(let request): writer.put("launch", request.json)
        case .signal(let signal): writer.put("signal", signal)
        case .resize(let rows, let columns):
            writer.put("rows", rows)
            writer.put("columns", columns)
        case .closeStdin, .closePorts: break
        case .holdSockets(let count): writer.put("count", count)
        case .servePorts(let relay): writer.put("relay", relay.json)
        case .execCreate(let request):
            writer.put("exec", request.id)
            writer.put("process", request.process)
            writer.put("terminal", request.terminal)
            writer.put("stdin", request.stdin)
        case .update(let resources): writer.put("resources", resources)
        case .execStart(let exec), .execForget(let exec): writer.put("exec", exec)
        case .execSignal(let exec, let signal):
            writer.put("exec", exec)
            writer.put("signal", signal)
        case .execResize(let exec, let rows, let columns):
            writer.put("exec", exec)
            writer.put("rows", rows)
            writer.put("columns", columns)
        }
        return writer.value
    }

    private var name: String {
        switch self {
        case .launch: "launch"
        case .signal: "signal"
        case .resize: "resize"
        case .closeStdin: "closeStdin"
        case .execCreate: "execCreate"
        case .execStart: "execStart"
        case .execSignal: "execSignal"
        case .execResize: "execResize"
        case .execForget: "execForget"
        case .update: "update"
        case .closePorts: "closePorts"
        case .holdSockets: "holdSockets"
        case .servePorts: "servePorts"
        }
    }

    /// The number of a message, before the rest is looked at: a malformed request is answered too.
    public static func id(of value: JSONValue) -> UInt64 { value["id"]?.unsignedValue ?? 0 }

    /// Reads a message; a request that is not known is a failure of kind `unsupported`.
    public init(_ value: JSONValue) throws(ShimFailure) {
        let fields = try Fields(value, "request")
        switch try fields.string("op") {
        case "launch": self = .launch(try LaunchRequest(try fields.object("launch").value))
        case "signal": self = .signal(try fields.number("signal"))
        case "resize": self = .resize(rows: try fields.number("rows"), columns: try fields.number("columns"))
        case "closeStdin": self = .closeStdin
        case "closePorts": self = .closePorts
        case "holdSockets": self = .holdSockets(try fields.number("count"))
        case "servePorts": self = .servePorts(try PortRelay(try fields.object("relay")))
        case "execCreate":
            let process = try fields.object("process").value
            self = .execCreate(
                ExecRequest(
                    id: try fields.string("exec"), process: process, terminal: try fields.flag("terminal"), stdin: try fields.flag("stdin"))
            )
        case "execStart": self = .execStart(id: try fields.string("exec"))
        case "update": self = .update(resources: try fields.object("resources").value)
        case "execForget": self = .execForget(id: try fields.string("exec"))
        case "execSignal": self = .execSignal(id: try fields.string("exec"), signal: try fields.number("signal"))
        case "execResize":
            self = .execResize(id: try fields.string("exec"), rows: try fields.number("rows"), columns: try fields.number("columns"))
        case let name: throw ShimFailure(.unsupported, "this container's supervisor does not know the request \(name)")
        }
    }
}

extension Opening {
    public var json: JSONValue {
        var writer = FieldsWriter()
        switch self {
        case .control: writer.put("op", "control")
        case .attach(let options):
            writer.put("op", "attach")
            writer.put("streams", options.json)
        case .attachExec(let exec, let options):
            writer.put("op", "attachExec")
            writer.put("exec", exec)
            writer.put("streams", options.json)
        }
        writer.put("version", ShimWire.version)
        return writer.value
    }

    public init(_ value: JSONValue) throws(ShimFailure) {
        let fields = try Fields(value, "request")
        switch try fields.string("op") {
        case "control": self = .control
        case "attach": self = .attach(try AttachOptions(try fields.object("streams")))
        case "attachExec": self = .attachExec(id: try fields.string("exec"), try AttachOptions(try fields.object("streams")))
        case let name: throw ShimFailure(.unsupported, "this container's supervisor does not know the request \(name)")
        }
    }
}

extension ShimMessage {
    public var json: JSONValue {
        var writer = FieldsWriter()
        switch self {
        case .answer(let id, let answer):
            writer.put("re", id)
            switch answer {
            case .done: break
            case .state(let state): writer.put("state", state.json)
            case .attached(let since): writer.put("since", since)
            case .process(let pid): writer.put("process", pid)
            case .held(let numbers): writer.put("held", .array(numbers.map { .integer(Int64($0)) }))
            case .failure(let failure): writer.put("failure", failure.json)
            }
        case .notice(.outOfMemory): writer.put("event", "oom")
        case .notice(.execExited(let exec, let code)):
            writer.put("event", "execExited")
            writer.put("exec", exec)
            writer.put("exitCode", code)
        case .notice(.detached(let exec)):
            writer.put("event", "detached")
            writer.put("exec", exec)
        case .notice(.exited(let record)):
            writer.put("event", "exited")
            writer.put("record", record.json)
        case .unknown: writer.put("event", "unknown")
        }
        return writer.value
    }

    public init(_ value: JSONValue) throws(ShimFailure) {
        let fields = try Fields(value, "message")
        guard fields.isAbsent("event") else {
            switch try fields.string("event") {
            case "oom": self = .notice(.outOfMemory)
            case "execExited": self = .notice(.execExited(id: try fields.string("exec"), exitCode: try fields.number("exitCode")))
            case "detached": self = .notice(.detached(exec: try fields.optionalString("exec")))
            case "exited": self = .notice(.exited(try ExitRecord(try fields.object("record").value)))
            default: self = .unknown
            }
            return
        }
        let id: UInt64 = try fields.number("re")
        if !fields.isAbsent("failure") {
            self = .answer(id: id, .failure(try ShimFailure(try fields.object("failure"))))
        } else if !fields.isAbsent("state") {
            self = .answer(id: id, .state(try ContainerState(try fields.object("state").value)))
        } else if !fields.isAbsent("since") {
            self = .answer(id: id, .attached(since: try fields.string("since")))
        } else if !fields.isAbsent("process") {
            self = .answer(id: id, .process(try fields.number("process")))
        } else if let held = fields.value["held"]?.arrayValue {
            self = .answer(id: id, .held(held.map { $0.intValue.flatMap { Int32(exactly: $0) } ?? -1 }))
        } else {
            self = .answer(id: id, .done)
        }
    }
}

extension ShimFailure {
    var json: JSONValue {
        var writer = FieldsWriter()
        writer.put("kind", kind.rawValue)
        writer.put("message", message)
        return writer.value
    }

    init(_ fields: Fields) throws(ShimFailure) {
        self.init(Kind(rawValue: try fields.string("kind")) ?? .other, try fields.string("message"))
    }
}
