internal import Linux
internal import ShimProtocol

/// Fluentd's forward protocol, version 1, message mode: `[tag, time, record]` in MessagePack
/// (github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1).
struct FluentdEncoder: LogEncoder {
    private let tag: [UInt8]
    private let fields: [UInt8]
    private let fieldCount: Int
    private let hasSubseconds: Bool

    init(_ configuration: LaunchRequest.Log.Remote) {
        var tag: [UInt8] = []
        Self.put(Array(configuration.tag.utf8), &tag)
        self.tag = tag
        var bytes: [UInt8] = []
        for (name, text) in configuration.fields.sorted(by: { $0.key < $1.key }) {
            Self.put(Array(name.utf8), &bytes)
            Self.put(Array(text.utf8), &bytes)
        }
        fields = bytes
        fieldCount = configuration.fields.count
        hasSubseconds = configuration.settings["subsecond"] == "true"
    }

    func encode(_ message: LogMessage) -> [[UInt8]] {
        var bytes: [UInt8] = [0x93]
        bytes += tag
        let seconds = UInt32(truncatingIfNeeded: message.time.seconds)
        if hasSubseconds {
            // EventTime: an extension of type 0 and 8 bytes.
            bytes += [0xd7, 0]
            Self.put(seconds, &bytes)
            Self.put(UInt32(truncatingIfNeeded: message.time.nanoseconds), &bytes)
        } else {
            bytes.append(0xce)
            Self.put(seconds, &bytes)
        }
        bytes.append(0xdf)
        Self.put(UInt32(fieldCount + (message.isPartial ? 3 : 2)), &bytes)
        bytes += fields
        Self.put(Array("source".utf8), &bytes)
        Self.put(Array((message.isError ? "stderr" : "stdout").utf8), &bytes)
        if message.isPartial {
            Self.put(Array("partial_message".utf8), &bytes)
            Self.put(Array("true".utf8), &bytes)
        }
        Self.put(Array("log".utf8), &bytes)
        Self.put(message.text, &bytes)
        return [bytes]
    }

    /// A text with the shortest head that has room for its length.
    private static func put(_ text: some Collection<UInt8>, _ bytes: inout [UInt8]) {
        switch text.count {
        case ..<32: bytes.append(0xa0 | UInt8(text.count))
        case ..<256: bytes += [0xd9, UInt8(text.count)]
        case ..<65536: bytes += [0xda, UInt8(text.count >> 8), UInt8(text.count & 255)]
        default:
            bytes.append(0xdb)
            put(UInt32(truncatingIfNeeded: text.count), &bytes)
        }
        bytes += text
    }

    private static func put(_ number: UInt32, _ bytes: inout [UInt8]) { withUnsafeBytes(of: number.bigEndian) { bytes += $0 } }
}
