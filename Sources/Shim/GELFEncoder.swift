internal import Glibc
internal import Linux
internal import ShimProtocol

/// Graylog's format, version 1.1: JSON objects, ended by a zero byte on a stream; on datagrams packed, and in chunks when
/// they are long (docs.graylog.org, "GELF").
struct GELFEncoder: LogEncoder {
    /// Bytes of one chunk with its head of 12, as Docker's client cuts them.
    static let longestDatagram = 1420

    private let isDatagram: Bool
    private let form: Deflate.Form?
    private let host: [UInt8]
    /// `,"_name":"text"` for each field.
    private let fields: [UInt8]

    init(_ configuration: LaunchRequest.Log.Remote) {
        isDatagram = configuration.address.isDatagram
        form =
            switch configuration.settings["compression"] {
            case "gzip": .gzip
            case "zlib": .zlib
            default: nil
            }
        host = Self.quoted(Array(configuration.host.utf8))
        fields = configuration.fields.sorted { $0.key < $1.key }.flatMap {
            [UInt8(ascii: ",")] + Self.quoted(Array("_\($0.key)".utf8)) + [UInt8(ascii: ":")] + Self.quoted(Array($0.value.utf8))
        }
    }

    func encode(_ message: LogMessage) -> [[UInt8]] {
        // A message without text is none to Graylog.
        if message.text.isEmpty { return [] }
        let thousandths = "\(1000 + message.time.nanoseconds / 1_000_000)".dropFirst()
        var bytes = Array("{\"version\":\"1.1\",\"host\":".utf8) + host + Array(",\"short_message\":".utf8)
        bytes += Self.quoted(Array(message.text))
        bytes += Array(",\"timestamp\":\(message.time.seconds).\(thousandths),\"level\":\(message.isError ? 3 : 6)".utf8)
        bytes += fields
        bytes.append(UInt8(ascii: "}"))
        if !isDatagram { return [bytes + [0]] }
        // Without memory to pack it goes as it is: Graylog takes both.
        return Self.chunks(form.flatMap { try? Deflate.packed(bytes, $0) } ?? bytes)
    }

    /// Magic, a number that tells messages apart, place and number of chunks. More than 128 are not allowed: the message
    /// is lost.
    private static func chunks(_ bytes: [UInt8]) -> [[UInt8]] {
        if bytes.count <= longestDatagram { return [bytes] }
        let room = longestDatagram - 12
        let count = (bytes.count + room - 1) / room
        guard count <= 128 else { return [] }
        var number = UInt64.random(in: 0 ... .max)
        let name = withUnsafeBytes(of: &number) { Array($0) }
        return (0..<count).map { index in
            [0x1e, 0x0f] + name + [UInt8(index), UInt8(count)] + bytes[index * room..<min(bytes.count, (index + 1) * room)]
        }
    }

    static func quoted(_ bytes: [UInt8]) -> [UInt8] {
        let escaped = [UInt8](unsafeUninitializedCapacity: bytes.count * 6 + 1) { output, count in
            guard let base = output.baseAddress else { return }
            count = bytes.withUnsafeBufferPointer { LogEscape.write($0.baseAddress, $0.count, to: base) }
        }
        return [UInt8(ascii: "\"")] + escaped + [UInt8(ascii: "\"")]
    }
}
