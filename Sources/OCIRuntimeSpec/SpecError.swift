/// A config.json that cannot be used: the field and what is wrong with it, in one line.
public struct SpecError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What sort of fault it is.
    public enum Kind: Sendable, Equatable {
        /// The text is no JSON document.
        case notJSON
        /// A value has the wrong type or cannot be allowed.
        case invalid
        /// The specification has the field, Clipper does not.
        case notImplemented
    }

    public var kind: Kind
    /// The path of the field from the top: `linux.devices[2].type`; empty for the document itself.
    public var field: String
    public var message: String

    public init(kind: Kind = .invalid, field: String = "", message: String) {
        self.kind = kind
        self.field = field
        self.message = message
    }

    /// A value that cannot be allowed.
    public static func invalid(_ field: String, _ message: String) -> SpecError { SpecError(field: field, message: message) }

    /// A field that must be there.
    public static func missing(_ field: String) -> SpecError { SpecError(field: field, message: "is required") }

    /// A field of the specification that Clipper does not implement.
    public static func notImplemented(_ field: String) -> SpecError {
        SpecError(kind: .notImplemented, field: field, message: "not implemented")
    }

    /// The same fault, seen from the object that holds the field.
    func inside(_ parent: String) -> SpecError {
        let separator = field.isEmpty || field.hasPrefix("[") ? "" : "."
        return SpecError(kind: kind, field: parent + separator + field, message: message)
    }

    public var description: String {
        switch kind {
        case .notJSON: "config.json: \(message)"
        case .invalid: field.isEmpty ? "config.json: \(message)" : "config.json: \(field): \(message)"
        case .notImplemented: "config.json: not implemented: \(field)"
        }
    }
}
