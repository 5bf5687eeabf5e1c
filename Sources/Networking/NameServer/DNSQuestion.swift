internal import Netlink

/// A query with one question, as programs send it to their name server (RFC 1035, section 4).
struct DNSQuestion: Sendable, Equatable {
    /// Kinds of records that are answered here.
    enum Kind {
        static let a: UInt16 = 1
        static let ptr: UInt16 = 12
        static let aaaa: UInt16 = 28
    }

    enum Code: UInt8 {
        case noError = 0
        case serverFailure = 2
        case notFound = 3
    }

    let id: UInt16
    let recursionDesired: Bool
    /// Lower case, without the last dot: `web.net`.
    let name: String
    let kind: UInt16
    /// The question section as it came.
    private let section: [UInt8]

    /// Nil for what is no query of one question in class IN: it is for the next server to judge.
    init?(_ packet: [UInt8]) {
        guard packet.count >= 12, packet[2] & 0xf8 == 0, packet[4] == 0, packet[5] == 1 else { return nil }
        var labels: [String] = []
        var position = 12
        while true {
            guard position < packet.count else { return nil }
            let length = Int(packet[position])
            // A question has no pointers: there is nothing before it to point to.
            guard length <= 63, position + 1 + length <= packet.count, position - 12 <= 255 else { return nil }
            position += 1
            if length == 0 { break }
            labels.append(String(decoding: packet[position..<position + length], as: UTF8.self).lowercased())
            position += length
        }
        guard position + 4 <= packet.count, packet[position + 2] == 0, packet[position + 3] == 1 else { return nil }
        id = UInt16(packet[0]) << 8 | UInt16(packet[1])
        recursionDesired = packet[2] & 1 == 1
        name = labels.joined(separator: ".")
        kind = UInt16(packet[position]) << 8 | UInt16(packet[position + 1])
        section = Array(packet[12..<position + 4])
    }

    /// The address a reverse look-up asks for: `2.0.17.172.in-addr.arpa`.
    var reverseAddress: IPAddress? {
        guard kind == Kind.ptr else { return nil }
        if name.hasSuffix(".in-addr.arpa") {
            let parts = name.dropLast(".in-addr.arpa".count).split(separator: ".")
            return parts.count == 4 ? IPAddress(parts.reversed().joined(separator: ".")) : nil
        }
        guard name.hasSuffix(".ip6.arpa") else { return nil }
        let digits = name.dropLast(".ip6.arpa".count).split(separator: ".").reversed().joined()
        guard digits.count == 32 else { return nil }
        let groups = stride(from: 0, to: 32, by: 4).map { start in
            String(digits.dropFirst(start).prefix(4))
        }
        return IPAddress(groups.joined(separator: ":"))
    }

    /// The answer with these records, each the data of one: an address, or a name for `ptr`.
    func answer(_ code: Code, _ records: [Record] = []) -> [UInt8] {
        // An authoritative answer; recursion is available.
        let flags: [UInt8] = [0x84 | (recursionDesired ? 1 : 0), 0x80 | code.rawValue]
        var bytes: [UInt8] = [UInt8(id >> 8), UInt8(id & 0xff)]
        bytes += flags
        bytes += [0, 1, 0, UInt8(records.count), 0, 0, 0, 0]
        bytes += section
        for record in records {
            let data = record.data
            // 0xc00c: the name of the question. Ten minutes, as Docker.
            bytes += [0xc0, 0x0c, UInt8(kind >> 8), UInt8(kind & 0xff), 0, 1, 0, 0, 0x02, 0x58]
            bytes += [UInt8(data.count >> 8), UInt8(data.count & 0xff)] + data
        }
        return bytes
    }

    enum Record: Sendable, Equatable {
        case address(IPAddress)
        case name(String)

        private static func label(_ text: Substring) -> [UInt8] {
            let bytes = Array(text.utf8.prefix(63))
            return [UInt8(bytes.count)] + bytes
        }

        fileprivate var data: [UInt8] {
            switch self {
            case .address(let address): address.bytes
            case .name(let name): name.split(separator: ".").flatMap(Self.label) + [0]
            }
        }
    }
}
