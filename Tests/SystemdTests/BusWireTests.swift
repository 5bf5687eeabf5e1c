import Testing

@testable import Systemd

/// The wire format, byte for byte.
@Suite struct BusWireTests {
    @Test func aCallAsTheSpecificationHasIt() {
        var message = BusMessage(kind: .call)
        message.serial = 1
        message.path = "/a"
        message.member = "Get"
        message.body = [.string("x"), .bool(true)]
        let expected: [UInt8] = [
            0x6c, 1, 0, 1,  // little-endian, call, no flags, version 1
            12, 0, 0, 0,  // the body's length
            1, 0, 0, 0,  // serial
            40, 0, 0, 0,  // the fields' length
            1, 1, 0x6f, 0, 2, 0, 0, 0, 0x2f, 0x61, 0,  // path: variant o "/a"
            0, 0, 0, 0, 0,
            3, 1, 0x73, 0, 3, 0, 0, 0, 0x47, 0x65, 0x74, 0,  // member: variant s "Get"
            0, 0, 0, 0,
            8, 1, 0x67, 0, 2, 0x73, 0x62, 0,  // signature: variant g "sb"
            1, 0, 0, 0, 0x78, 0, 0, 0,  // "x", padding
            1, 0, 0, 0,  // true
        ]
        #expect(message.bytes == expected)
    }

    @Test(arguments: [
        BusValue.byte(7), .bool(false), .int32(-5), .uint32(.max), .int64(.min), .uint64(.max), .double(0.5), .string("käse"), .string(""),
        .objectPath("/org/x"), .signature("a(sv)"), .variant(.variant(.string("deep"))), .structure([.byte(1), .uint64(2), .string("z")]),
        .array(
            of: "(sv)",
            [.structure([.string("MemoryMax"), .variant(.uint64(1 << 40))]), .structure([.string("b"), .variant(.bool(true))])]),
        .array(of: "t", []), .array(of: "u", [.uint32(1), .uint32(2)]), .array(of: "(sa(sv))", []),
    ])
    func whatIsWrittenIsRead(_ value: BusValue) throws {
        // Behind a byte, so that alignment matters.
        var message = BusMessage(kind: .signal)
        message.serial = 9
        message.member = "M"
        message.body = [.byte(1), value, .byte(2)]
        let bytes = message.bytes
        #expect(try BusMessage.length(bytes[...]) == bytes.count)
        #expect(try BusMessage(parsing: bytes[...]) == message)
    }

    @Test func bigEndianIsRead() throws {
        // A method return of serial 2 to serial 1 with the string "a".
        let bytes: [UInt8] = [
            0x42, 2, 1, 1, 0, 0, 0, 6, 0, 0, 0, 2, 0, 0, 0, 15,
            5, 1, 0x75, 0, 0, 0, 0, 1, 8, 1, 0x67, 0, 1, 0x73, 0, 0,
            0, 0, 0, 1, 0x61, 0,
        ]
        let message = try #require(try BusMessage(parsing: bytes[...]))
        #expect(message.kind == .answer && message.answersSerial == 1 && message.body == [.string("a")])
    }

    /// No bytes crash the reader or make it go on for ever.
    @Test func brokenMessagesAreRefused() throws {
        var message = BusMessage(kind: .answer)
        message.answersSerial = 1
        message.body = [.array(of: "(sv)", [.structure([.string("a"), .variant(.array(of: "s", [.string("b")]))])]), .string("end")]
        let bytes = message.bytes
        for length in 0..<bytes.count { #expect(throws: BusError.self) { try whole(Array(bytes.prefix(length))) } }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<3000 {
            var broken = bytes
            for _ in 0..<3 { broken[Int.random(in: 0..<broken.count, using: &generator)] = .random(in: 0...255, using: &generator) }
            _ = try? whole(broken)
        }
    }

    private func whole(_ bytes: [UInt8]) throws {
        guard let length = try BusMessage.length(bytes[...]), length <= bytes.count else { throw BusError.malformed("short") }
        _ = try BusMessage(parsing: bytes[..<length])
    }

    @Test func hostileLengths() {
        var bytes = BusMessage(kind: .answer).bytes
        bytes.replaceSubrange(4..<8, with: [0xff, 0xff, 0xff, 0xff])
        #expect(throws: BusError.malformed("it is too long (4294967311 bytes)")) { try BusMessage.length(bytes[...]) }
        // Variants in variants, deeper than anybody needs.
        var reader = BusReader(Array(repeatElement([1, 0x76, 0] as [UInt8], count: 500).joined())[...])
        #expect(throws: BusError.self) { try reader.values("v") }
        // An array of empty structures takes no room.
        var empty = BusReader([8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][...])
        #expect(throws: BusError.self) { try empty.values("a()") }
    }
}
