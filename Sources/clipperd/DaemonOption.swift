internal import ClientUI
internal import JSON
internal import Linux

/// One setting of the daemon: a key of daemon.json and, mostly, the flag that means the same. Both come as JSON values to one
/// function that puts them in their place.
struct DaemonOption: Sendable {
    let key: String
    let flag: Flag?
    /// Whether SIGHUP takes a changed value; others wait for the next start.
    var isReloadable = false
    /// Whether what the flag says is added to what the file says. Otherwise giving both is an error, as dockerd has it.
    var addsUp = false
    let apply: @Sendable (inout DaemonOptions, JSONValue) throws(OptionError) -> Void

    /// The flag's value as the file would have it; nil when it was not given.
    func value(in flags: FlagValues) -> JSONValue? {
        guard let flag, flags.has(flag.name) else { return nil }
        return switch flag.kind {
        case .bool: flags.givenBool(flag.name).map { .bool($0) }
        case .int: flags.givenInt(flag.name).map { .integer($0) }
        case .list, .commaList: .array(flags.list(flag.name).map { .string($0) })
        case .map:
            .object(JSONObject(flags.pairs(flag.name).sorted { $0.key < $1.key }.map { .init(name: $0.key, value: .string($0.value)) }))
        default: .string(flags.string(flag.name))
        }
    }

    func reloadable() -> DaemonOption {
        var copy = self
        copy.isReloadable = true
        return copy
    }

    // MARK: Kinds

    typealias Place<Value> = WritableKeyPath<DaemonOptions, Value> & Sendable

    static func text(_ key: String, _ flag: Flag?, _ place: any Place<String>) -> DaemonOption {
        DaemonOption(key: key, flag: flag) { options, value throws(OptionError) in options[keyPath: place] = try value.text(of: key) }
    }

    static func optionalText(_ key: String, _ flag: Flag?, _ place: any Place<String?>) -> DaemonOption {
        DaemonOption(key: key, flag: flag) { options, value throws(OptionError) in options[keyPath: place] = try value.text(of: key) }
    }

    static func bool(_ key: String, _ flag: Flag?, _ place: any Place<Bool>) -> DaemonOption {
        DaemonOption(key: key, flag: flag) { options, value throws(OptionError) in options[keyPath: place] = try value.bool(of: key) }
    }

    static func texts(_ key: String, _ flag: Flag?, _ place: any Place<[String]>) -> DaemonOption {
        DaemonOption(key: key, flag: flag) { options, value throws(OptionError) in options[keyPath: place] = try value.texts(of: key) }
    }

    /// A setting of dockerd's that can only be what Clipper does in any case: one of `values`; null stands for what is empty.
    static func fixed(_ key: String, _ flag: Flag? = nil, to values: JSONValue..., because reason: String) -> DaemonOption {
        DaemonOption(key: key, flag: flag) { _, value throws(OptionError) in
            let isEmpty = value == .string("") || value == .array([]) || value == .object(JSONObject())
            guard values.contains(value) || isEmpty && values.contains(.null) else {
                throw OptionError("\(key): \(value.goText) is not possible: \(reason)")
            }
        }
    }

    /// A number of at least one.
    static func count(_ key: String, _ flag: Flag?, _ place: any Place<Int>) -> DaemonOption {
        DaemonOption(key: key, flag: flag) { options, value throws(OptionError) in
            guard let number = value.intValue else { throw OptionError("\(key): expected a number, found \(value.kind)") }
            guard let count = Int(exactly: number), count > 0 else { throw OptionError("invalid \(key): \(number)") }
            options[keyPath: place] = count
        }
    }

    static func number(_ key: String, _ flag: Flag?, _ place: any Place<Int?>) -> DaemonOption {
        DaemonOption(key: key, flag: flag) { options, value throws(OptionError) in
            guard let number = value.intValue else { throw OptionError("\(key): expected a number, found \(value.kind)") }
            options[keyPath: place] = Int(number)
        }
    }
}

extension JSONValue {
    func text(of key: String) throws(OptionError) -> String {
        guard let stringValue else { throw OptionError("\(key): expected a string, found \(kind)") }
        return stringValue
    }

    func bool(of key: String) throws(OptionError) -> Bool {
        guard let boolValue else { throw OptionError("\(key): expected true or false, found \(kind)") }
        return boolValue
    }

    func texts(of key: String) throws(OptionError) -> [String] {
        guard let elements = arrayValue, elements.allSatisfy({ $0.stringValue != nil }) else {
            throw OptionError("\(key): expected an array of strings")
        }
        return elements.compactMap(\.stringValue)
    }

    func object(of key: String) throws(OptionError) -> JSONObject {
        guard let objectValue else { throw OptionError("\(key): expected an object, found \(kind)") }
        return objectValue
    }

    /// As Go's `%v` prints it, which is how dockerd's messages show values: `[a b]`, `map[a:b]`.
    var goText: String {
        switch self {
        case .string(let text): text
        case .array(let elements): "[\(elements.map(\.goText).joined(separator: " "))]"
        case .object(let object):
            "map[\(object.members.sorted { $0.name < $1.name }.map { "\($0.name):\($0.value.goText)" }.joined(separator: " "))]"
        case .null: "<nil>"
        default: text()
        }
    }
}

/// A flag or a key of daemon.json that cannot be used.
struct OptionError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
