/// Keys that a user types one after the other to detach: `ctrl-p,ctrl-q`.
public struct KeySequence: Sendable, Hashable {
    /// What a terminal sends for them.
    public let bytes: [UInt8]

    /// Why a text names no keys.
    public struct Unknown: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Reads single characters, and `ctrl-` with a letter or one of @[\\]^_, divided by commas.
    public init(parsing text: String) throws(Unknown) {
        var bytes: [UInt8] = []
        for key in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let byte = Self.byte(of: key) else { throw Unknown(description: "Unknown character: '\(key)'") }
            bytes.append(byte)
        }
        self.bytes = bytes
    }

    private static func byte(of key: Substring) -> UInt8? {
        let bytes = Array(key.utf8)
        if bytes.count == 1, bytes[0] < 128 { return bytes[0] }
        guard key.lowercased().hasPrefix("ctrl-"), bytes.count == 6 else { return nil }
        switch bytes[5] {
        case UInt8(ascii: "a")...UInt8(ascii: "z"): return bytes[5] - 96
        case UInt8(ascii: "@"): return 0
        case 91...95: return bytes[5] - 64
        default: return nil
        }
    }
}
