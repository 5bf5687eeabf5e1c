import Glibc
import Netlink
import Testing

@testable import Networking

@Suite struct DNSQuestions {
    static func query(_ name: String, kind: UInt16 = 1, id: UInt16 = 0x1234, flags: [UInt8] = [1, 0], counts: [UInt8] = [0, 1]) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(id >> 8), UInt8(id & 0xff)] + flags + counts + [0, 0, 0, 0, 0, 0]
        for label in name.split(separator: ".") { bytes += [UInt8(label.utf8.count)] + label.utf8 }
        return bytes + [0, UInt8(kind >> 8), UInt8(kind & 0xff), 0, 1]
    }

    @Test func readsNameAndKind() throws {
        let question = try #require(DNSQuestion(Self.query("Web.Net", kind: 28)))
        #expect(question.name == "web.net" && question.kind == 28 && question.id == 0x1234 && question.recursionDesired)
    }

    @Test(arguments: [
        [], [0], query("a", flags: [0x80, 0]), query("a", flags: [0x28, 0]), query("a", counts: [0, 2]), query("a", counts: [0, 0]),
        Array(query("abc").dropLast(5)), Array(query("abc").prefix(14)), Array(query("a").dropLast(2)) + [0, 3],
        Array(query("a").prefix(12)) + [0xc0, 0x0c, 0, 1, 0, 1], Array(query("a").prefix(12)) + [63, 65],
    ])
    func refusesWhatIsNoQuestion(_ packet: [UInt8]) { #expect(DNSQuestion(packet) == nil) }

    @Test func anyBytesAreReadWithoutACrash() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var packet = Self.query("some.name")
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                packet[Int.random(in: packet.indices, using: &generator)] = UInt8.random(in: .min ... .max, using: &generator)
            }
            _ = DNSQuestion(Array(packet.prefix(Int.random(in: 0...packet.count, using: &generator))))?.reverseAddress
        }
    }

    @Test func reverseAddresses() throws {
        #expect(DNSQuestion(Self.query("2.0.17.172.in-addr.arpa", kind: 12))?.reverseAddress == IPAddress("172.17.0.2"))
        let digits = "20010db8000000000000000000000005".reversed().map { "\($0)" }.joined(separator: ".")
        #expect(DNSQuestion(Self.query("\(digits).ip6.arpa", kind: 12))?.reverseAddress == IPAddress("2001:db8::5"))
        #expect(DNSQuestion(Self.query("0.17.172.in-addr.arpa", kind: 12))?.reverseAddress == nil)
        #expect(DNSQuestion(Self.query("2.0.17.172.in-addr.arpa"))?.reverseAddress == nil)
    }

    @Test func answersCarryTheQuestionAndItsRecords() throws {
        let packet = Self.query("web")
        let question = try #require(DNSQuestion(packet))
        let address = try #require(IPAddress("172.18.0.2"))
        let answer = question.answer(.noError, [.address(address)])
        #expect(Array(answer[0..<8]) == [0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1])
        #expect(Array(answer[12..<packet.count]) == Array(packet[12...]))
        #expect(Array(answer.suffix(16)) == [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 2, 0x58, 0, 4, 172, 18, 0, 2])
        #expect(question.answer(.serverFailure)[3] == 0x82 && question.answer(.serverFailure)[7] == 0)
    }
}
