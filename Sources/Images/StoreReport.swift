/// One thing about the store that is not as it should be, told in one sentence.
public struct StoreFinding: Sendable, Hashable {
    public enum Kind: String, Sendable {
        /// A layer's directory, or what is known of the layer.
        case layer
        /// A blob: a layer's stream, a config, a manifest.
        case content
        case image
        case name
        /// Something that was set aside before; no damage any more.
        case aside
    }

    public let kind: Kind
    /// A digest, a name or a path.
    public let subject: String
    public let message: String
    /// What was done about it; nil when nothing was.
    public let repair: String?

    public init(_ kind: Kind, _ subject: String, _ message: String, repair: String? = nil) {
        self.kind = kind
        self.subject = subject
        self.message = message
        self.repair = repair
    }
}

/// What a check of the store has looked at and found.
public struct StoreReport: Sendable {
    public var layers = 0
    public var contents = 0
    public var images = 0
    /// Bytes that were read and hashed.
    public var bytes: Int64 = 0
    public var findings: [StoreFinding] = []

    public init() {}
}
