import Testing

@testable import JSON

/// RFC 8259: what is a document and what is not, and where the error is.
@Suite struct JSONParserTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: text) }

    private func failure(_ bytes: [UInt8]) -> JSONError? {
        do {
            _ = try JSONValue(parsing: bytes)
            return nil
        } catch { return error }
    }

    private func failure(_ text: String) -> JSONError? { failure(Array(text.utf8)) }

    private static let documents: [(String, JSONValue)] = [
        ("null", .null), (" true ", true), ("\t\r\nfalse\n", false), ("0", 0), ("-0", 0), ("-17", -17), ("1.5", 1.5), ("1E3", 1000.0),
        ("2e-2", 0.02), ("-0.0", .double(-0.0)), ("\"\"", ""), ("[]", []), ("{}", [:]), ("[ ]", []), ("{ }", [:]),
        ("[1,[2,[3]]]", [1, [2, [3]]]), (#"{"a":{"b":[null]}}"#, ["a": ["b": [nil]]]),
        ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
        ("9223372036854775808", .unsigned(1 << 63)), ("18446744073709551615", .unsigned(.max)),
        ("18446744073709551616", .double(18446744073709551616)), ("-9223372036854775809", .double(-9223372036854775808)),
        (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{c}\n\r\t")), (#""\u0041\u00e9\u20AC""#, "Aé€"), (#""\ud83d\ude00""#, "😀"),
        (#""\u0000""#, "\0"), ("\"é😀\u{7f}\"", "é😀\u{7f}"),
    ]

    @Test(arguments: documents) func accepts(text: String, value: JSONValue) throws { #expect(try parse(text) == value) }

    @Test(arguments: [
        "", " ", "nul", "nulL", "True", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}", "{,}", "{a:1}", "{'a':1}", "{\"a\" 1}", "{1:2}", "{\"a\":1 \"b\":2}", "01", "-", "-a", "+1", ".5", "1.", "1.e1", "1e",
        "1e+",
        "0x10", "1_000", "NaN", "Infinity", "-Infinity", "\"", "\"a", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\uD83D\\u\"",
        "\"a\nb\"",
        "\"\t\"", "1 2", "{}{}", "[]x", "// c\n1", "/* */ 1", "1e400", "-1e400", "tru", "\u{feff}1",
    ])
    func refuses(text: String) { #expect(failure(text) != nil, "\(text.debugDescription)") }

    @Test(arguments: [
        ("", 1, 1), ("{\"a\" 1}", 1, 6), ("{\n  \"a\": tru\n}", 2, 8), ("[1,\n2,\n\n  x]", 4, 3), ("[1] 2", 1, 5), ("\"a\nb\"", 1, 3),
        ("[\"é\", x]", 1, 8), ("[1,]", 1, 4),
    ])
    func errorSaysWhere(text: String, line: Int, column: Int) throws {
        let error = try #require(failure(text))
        #expect(error.line == line && error.column == column, "\(error)")
        #expect(error.description.hasPrefix("invalid JSON at line \(line), column \(column): "))
    }

    /// As Go's decoder: half a surrogate pair and bytes that are not UTF-8 become U+FFFD.
    @Test func brokenCharactersAreReplaced() throws {
        #expect(try parse(#""a\ud83db""#) == "a\u{fffd}b")
        #expect(try parse(#""\ude00""#) == "\u{fffd}")
        #expect(try parse(#""\ud83d\u0041""#) == "\u{fffd}A")
        #expect(try parse(#""\ud83d\ud83d\ude00""#) == "\u{fffd}😀")
        #expect(try JSONValue(parsing: [0x22, 0xff, 0x61, 0x22]) == "\u{fffd}a")
        #expect(try JSONValue(parsing: [0x22, 0xc3, 0x22]) == "\u{fffd}")
        #expect(try JSONValue(parsing: [0x22, 0x5c, 0x6e, 0xff, 0x22]) == "\n\u{fffd}")
    }

    @Test func depthIsBounded() throws {
        let deepest = String(repeating: "[", count: JSONValue.maximumDepth) + String(repeating: "]", count: JSONValue.maximumDepth)
        #expect(failure(deepest) == nil)
        #expect(failure("[\(deepest)]")?.message.contains("nested deeper than 512") == true)
        #expect(failure(String(repeating: "[", count: 1_000_000)) != nil)
        #expect(failure(String(repeating: "{\"a\":", count: 1_000_000)) != nil)
        // Depth is how deep, not how many.
        #expect(failure("[" + Array(repeating: "[]", count: 5000).joined(separator: ",") + "]") == nil)
    }

    @Test func membersKeepTheirOrderAndTheLastOfANameCounts() throws {
        let value = try parse(#"{"z":1,"a":2,"m":3,"a":4}"#)
        #expect(value.objectValue?.members.map(\.name) == ["z", "a", "m", "a"])
        #expect(value["a"] == 4)
        #expect(value["b"] == nil && value[0] == nil)
    }

    @Test func everyPrefixOfADocumentIsRefused() throws {
        let document = Array(#"{"a":[1,-2.5e3,true,null,"x\u00e9\n"],"b":{"c":false}}"#.utf8)
        #expect(failure(document) == nil)
        for length in 0..<document.count { #expect(failure(Array(document[..<length])) != nil, "\(length)") }
    }

    @Test func everyByteInEveryPlaceEndsWell() {
        let document = Array(#"{"a":[1,-2.5e3,true,"x\u00e9\n"]}"#.utf8)
        for position in document.indices {
            for byte in UInt8.min...UInt8.max {
                var copy = document
                copy[position] = byte
                _ = failure(copy)
            }
        }
    }
}

@Suite struct JSONRowTests {
    private static let text = #"[{"a":1,"b":{"a":[2,"\n"],"c":"x"},"d":[{"a":3}]},{"b":{},"a":{"d":4,"b":5}},6,[{"d":7}]]"#

    private func rows(_ text: String, _ members: Set<String>) throws -> JSONValue {
        try JSONValue(parsing: Array(text.utf8), rowMembers: members)
    }

    @Test func onlyTheMembersOfRowsAreKept() throws {
        #expect(try rows(Self.text, ["a"]) == [["a": 1], ["a": ["d": 4, "b": 5]], 6, [["d": 7]]])
        #expect(try rows(Self.text, ["a", "b", "d"]) == JSONValue(parsing: Self.text))
        #expect(try rows(Self.text, []) == [[:], [:], 6, [["d": 7]]])
        #expect(try rows("[]", ["a"]) == [])
    }

    @Test func whatIsNotKeptMustBeJSONToo() {
        let bytes = Array(Self.text.utf8)
        for position in bytes.indices {
            for byte in UInt8.min...UInt8.max {
                var copy = bytes
                copy[position] = byte
                let whole = Result { try JSONValue(parsing: copy) }
                let some = Result { try JSONValue(parsing: copy, rowMembers: ["a"]) }
                switch (whole, some) {
                case (.success, .success): break
                case (.failure(let one), .failure(let other)): #expect("\(one)" == "\(other)")
                default: Issue.record("read in one way only: \(String(decoding: copy, as: UTF8.self))")
                }
            }
        }
    }
}

@Suite struct JSONWriterTests {
    private static let texts: [(JSONValue, String)] = [
        (nil, "null"), (true, "true"), (-5, "-5"), (.unsigned(.max), "18446744073709551615"), (1.5, "1.5"), (.double(3), "3"),
        (.double(1e300), "1e+300"), (.double(.nan), "null"), (.double(.infinity), "null"), ([], "[]"), ([:], "{}"),
        ([1, [2], ["a": nil]], #"[1,[2],{"a":null}]"#), ("a\"b\\c/\n\r\t\u{1}\u{1f}é😀", #""a\"b\\c/\n\r\t\u0001\u001fé😀""#),
    ]

    @Test(arguments: texts) func writes(value: JSONValue, text: String) { #expect(value.text() == text) }

    @Test func indentsAsInspectDoes() throws {
        let value: JSONValue = ["a": [1, ["b": []]], "c": [:]]
        #expect(
            value.text(indent: 4) == "{\n    \"a\": [\n        1,\n        {\n            \"b\": []\n        }\n    ],\n    \"c\": {}\n}")
        #expect(try JSONValue(parsing: value.text(indent: 4)) == value)
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let values: [JSONValue] = [
            .integer(.min), .integer(.max), .unsigned(.max), .double(0.1), .double(-1e-300), .double(.leastNonzeroMagnitude), .double(1e15),
            .double(123456789012345680),
            .double(.greatestFiniteMagnitude), .string("\0\u{7f}\u{2028}\"\\"), ["": ["": ""]],
        ]
        for value in values {
            let again = try JSONValue(parsing: value.text())
            #expect(again == value || again.doubleValue == value.doubleValue && value.doubleValue != nil, "\(value.text())")
        }
    }
}

@Suite struct JSONObjectTests {
    @Test func settingReplacesAppendsAndRemoves() {
        var object = JSONObject([.init(name: "a", value: 1), .init(name: "b", value: 2), .init(name: "a", value: 3)])
        object["a"] = 4
        #expect(object["a"] == 4)
        object["c"] = 5
        #expect(object.members.map(\.name) == ["a", "b", "a", "c"])
        object["a"] = nil
        #expect(object.members.map(\.name) == ["b", "c"])
        object["nothing"] = nil
        #expect(object.members.count == 2)
    }

    @Test func numbersConvertOnlyWhenExact() {
        #expect(JSONValue.double(3).intValue == 3 && JSONValue.double(3.5).intValue == nil && JSONValue.double(1e30).intValue == nil)
        #expect(JSONValue.integer(-1).unsignedValue == nil && JSONValue.unsigned(.max).unsignedValue == .max)
        #expect(JSONValue.unsigned(.max).intValue == nil && JSONValue.double(-1).unsignedValue == nil)
        #expect(JSONValue.string("3").intValue == nil && JSONValue.integer(3).doubleValue == 3)
    }
}
