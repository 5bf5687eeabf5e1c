public import JSON

extension Spec {
    /// The system-call filter (config-linux.md, "Seccomp"). Names and actions are the specification's words.
    public struct Seccomp: Sendable, Equatable {
        public var defaultAction: String
        public var defaultErrnoRet: UInt32?
        public var architectures: [String] = []
        public var flags: [String] = []
        public var listenerPath: String?
        public var listenerMetadata: String?
        public var syscalls: [SyscallRule] = []

        public init(defaultAction: String) { self.defaultAction = defaultAction }
    }

    /// One action for several system calls.
    public struct SyscallRule: Sendable, Equatable {
        public var names: [String]
        public var action: String
        public var errnoRet: UInt32?
        public var args: [SyscallArgument]

        public init(names: [String], action: String, errnoRet: UInt32? = nil, args: [SyscallArgument] = []) {
            self.names = names
            self.action = action
            self.errnoRet = errnoRet
            self.args = args
        }
    }

    /// A comparison of one argument.
    public struct SyscallArgument: Sendable, Equatable {
        /// 0…5.
        public var index: UInt32
        public var value: UInt64
        /// The value to compare with for SCMP_CMP_MASKED_EQ, whose mask is `value`.
        public var valueTwo: UInt64
        /// `SCMP_CMP_EQ`…
        public var op: String

        public init(index: UInt32, value: UInt64, valueTwo: UInt64 = 0, op: String) {
            self.index = index
            self.value = value
            self.valueTwo = valueTwo
            self.op = op
        }
    }
}

extension Spec.Seccomp {
    init(_ fields: SpecObject) throws(SpecError) {
        guard let action = try fields.string("defaultAction") else { throw SpecError.missing("defaultAction") }
        defaultAction = action
        defaultErrnoRet = try fields.number("defaultErrnoRet")
        architectures = try fields.strings("architectures")
        flags = try fields.strings("flags")
        listenerPath = try fields.string("listenerPath").flatMap { $0.isEmpty ? nil : $0 }
        listenerMetadata = try fields.string("listenerMetadata").flatMap { $0.isEmpty ? nil : $0 }
        syscalls = try fields.array("syscalls", Spec.SyscallRule.init)
    }

    public var json: JSONValue {
        var object = SpecWriter()
        object.put("defaultAction", defaultAction)
        object.put("defaultErrnoRet", defaultErrnoRet)
        object.put("architectures", architectures)
        object.put("flags", flags)
        object.put("listenerPath", listenerPath)
        object.put("listenerMetadata", listenerMetadata)
        object.put("syscalls", syscalls.map(\.json))
        return object.value
    }
}

extension Spec.SyscallRule {
    init(_ fields: SpecObject) throws(SpecError) {
        names = try fields.strings("names")
        if names.isEmpty { throw SpecError.missing("names") }
        guard let action = try fields.string("action") else { throw SpecError.missing("action") }
        self.action = action
        errnoRet = try fields.number("errnoRet")
        args = try fields.array("args", Spec.SyscallArgument.init)
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("names", names)
        object.put("action", action)
        object.put("errnoRet", errnoRet)
        object.put("args", args.map(\.json))
        return object.value
    }
}

extension Spec.SyscallArgument {
    init(_ fields: SpecObject) throws(SpecError) {
        guard let op = try fields.string("op") else { throw SpecError.missing("op") }
        self.init(
            index: try fields.required("index"), value: try fields.required("value"), valueTwo: try fields.number("valueTwo") ?? 0, op: op)
        if index > 5 { throw SpecError.invalid("index", "must be 0 to 5, is \(index)") }
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("index", index)
        object.put("value", value)
        object.put("valueTwo", valueTwo == 0 ? nil : valueTwo)
        object.put("op", op)
        return object.value
    }
}
