/// A value of the D-Bus type system (D-Bus specification, "Type System"), as far as systemd's manager needs it.
public indirect enum BusValue: Sendable, Hashable {
    case byte(UInt8)
    case bool(Bool)
    case int32(Int32)
    case uint32(UInt32)
    case int64(Int64)
    case uint64(UInt64)
    case double(Double)
    case string(String)
    case objectPath(String)
    case signature(String)
    case variant(BusValue)
    case structure([BusValue])
    /// The type of the elements, which an empty array has too.
    case array(of: String, [BusValue])

    /// The type in the specification's letters: `a(sv)`.
    public var type: String {
        switch self {
        case .byte: "y"
        case .bool: "b"
        case .int32: "i"
        case .uint32: "u"
        case .int64: "x"
        case .uint64: "t"
        case .double: "d"
        case .string: "s"
        case .objectPath: "o"
        case .signature: "g"
        case .variant: "v"
        case .structure(let members): "(" + members.map(\.type).joined() + ")"
        case .array(let element, _): "a" + element
        }
    }

    /// Text of a string or an object path.
    public var text: String? {
        switch self {
        case .string(let text), .objectPath(let text), .signature(let text): text
        case .variant(let value): value.text
        default: nil
        }
    }

    static func strings(_ texts: [String]) -> BusValue { .array(of: "s", texts.map { .string($0) }) }
}

/// Why a conversation on a bus failed. One line.
public enum BusError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Nobody is there to talk to.
    case unavailable(String)
    /// The other side answered with an error.
    case refused(operation: String, name: String, message: String)
    /// What came is not D-Bus.
    case malformed(String)
    case timedOut(String)
    /// A value that cannot be told to systemd.
    case invalid(String)

    public var description: String {
        switch self {
        case .unavailable(let reason): "connect to systemd: \(reason)"
        case .refused(let operation, let name, let message): "\(operation): \(message.isEmpty ? name : message)"
        case .malformed(let reason): "read message from systemd: \(reason)"
        case .timedOut(let operation): "\(operation): timed out"
        case .invalid(let reason): reason
        }
    }
}
