import Testing

@testable import JSON

@Suite struct JSONCodableTests {
    enum Kind: String, Codable { case one, two }

    struct Inner: Codable, Equatable {
        var name: String
        var kind: Kind
    }

    struct Outer: Codable, Equatable {
        var zulu: Int = 1
        var alpha: String = "x"
        var flag = true
        var ratio = 0.5
        var big: UInt64 = .max
        var small: Int8 = -128
        var list: [Inner] = []
        var map: [String: Int] = [:]
        var absent: Int?
        var nested: [[Int]] = []
        var raw: JSONValue = .null
        var optionals: [Int?] = []
    }

    private let sample = Outer(
        list: [Inner(name: "a", kind: .two)], map: ["b": 2, "a": 1], nested: [[1], []], raw: ["k": [1, nil]], optionals: [1, nil])

    @Test func bothWays() throws {
        let bytes = try JSON.encode(sample)
        #expect(try JSON.decode(Outer.self, from: bytes) == sample)
    }

    @Test func fieldsKeepTheirOrderAndDictionariesAreSorted() throws {
        let text = String(decoding: try JSON.encode(sample), as: UTF8.self)
        #expect(
            text
                == #"{"zulu":1,"alpha":"x","flag":true,"ratio":0.5,"big":18446744073709551615,"small":-128,"list":[{"name":"a","kind":"two"}],"#
                + #""map":{"a":1,"b":2},"nested":[[1],[]],"raw":{"k":[1,null]},"optionals":[1,null]}"#)
    }

    private func decode<T: Decodable>(_ type: T.Type, _ text: String, likeGo: Bool = false) throws -> T {
        try JSON.decode(type, from: Array(text.utf8), likeGo: likeGo)
    }

    @Test func keysInAnyCaseOnlyWhenAsked() throws {
        let text = #"{"NAME":"a","Kind":"one"}"#
        #expect(try decode(Inner.self, text, likeGo: true) == Inner(name: "a", kind: .one))
        #expect(throws: DecodingError.self) { try decode(Inner.self, text) }
        // The exact name wins over another case, wherever it stands.
        #expect(try decode(Inner.self, #"{"name":"right","NAME":"wrong","kind":"one"}"#, likeGo: true).name == "right")
        #expect(try decode([Inner].self, "[\(text)]", likeGo: true).count == 1)
        #expect(try decode([String].self, #"["a",null]"#, likeGo: true) == ["a", ""])
        #expect(try decode([String: Int].self, #"{"a":null}"#, likeGo: true) == ["a": 0])
        #expect(throws: DecodingError.self) { try decode([String].self, "[null]") }
    }

    private static let mistakes: [(String, String)] = [
        (#"{"kind":"one"}"#, "field name is missing"), (#"{"name":5,"kind":"one"}"#, "cannot use number as string in field name"),
        (#"{"name":null,"kind":"one"}"#, "cannot use null as string in field name"), ("[]", "cannot use array as object"),
    ]

    @Test(arguments: mistakes) func mistakesNameTheField(text: String, message: String) {
        do {
            _ = try decode(Inner.self, text)
            Issue.record("accepted")
        } catch let error as DecodingError { #expect(error.summary == message) } catch { Issue.record("\(error)") }
    }

    @Test func deepMistakesNameThePath() {
        struct Box: Decodable { var list: [Inner] }
        do {
            _ = try decode(Box.self, #"{"list":[{"name":"a","kind":"one"},{"name":true,"kind":"one"}]}"#)
            Issue.record("accepted")
        } catch let error as DecodingError {
            #expect(error.summary == "cannot use bool as string in field list.1.name")
        } catch { Issue.record("\(error)") }
    }

    @Test func unknownEnumCaseIsAnError() {
        #expect(throws: DecodingError.self) { try decode(Inner.self, #"{"name":"a","kind":"three"}"#) }
    }

    private static let integers: [(String, Bool)] = [
        ("127", true), ("128", false), ("-128", true), ("-129", false), ("1.0", true), ("1.5", false), ("1e2", true), ("true", false),
        ("\"1\"", false), ("18446744073709551615", false), ("null", false),
    ]

    @Test(arguments: integers) func integersMustFit(text: String, fits: Bool) {
        #expect(((try? decode(Int8.self, text)) != nil) == fits)
    }

    @Test func unsigned64() throws {
        #expect(try decode(UInt64.self, "18446744073709551615") == .max)
        #expect(try decode([UInt64].self, "[0,9223372036854775808]") == [0, 1 << 63])
        #expect(throws: DecodingError.self) { try decode(UInt64.self, "-1") }
        #expect(try String(decoding: JSON.encode(UInt64.max), as: UTF8.self) == "18446744073709551615")
    }

    @Test func numbersAreReadAsDouble() throws {
        #expect(try decode([Double].self, "[1,2.5,18446744073709551615]") == [1, 2.5, 18446744073709551616])
    }

    @Test func emptyContainersAreEncoded() throws {
        struct Empty: Codable {}
        #expect(try String(decoding: JSON.encode(Empty()), as: UTF8.self) == "{}")
        #expect(try String(decoding: JSON.encode([Int]()), as: UTF8.self) == "[]")
        #expect(try String(decoding: JSON.encode([String: Int]()), as: UTF8.self) == "{}")
        #expect(try String(decoding: JSON.encode(["a": [String: [Int]]()]), as: UTF8.self) == #"{"a":{}}"#)
    }

    @Test func nestedAndSuperContainers() throws {
        struct Manual: Codable, Equatable {
            var a = 1
            var b = [2, 3]

            enum Keys: String, CodingKey { case outer, inner, list }

            init() {}

            init(from decoder: any Decoder) throws {
                let outer = try decoder.container(keyedBy: Keys.self).nestedContainer(keyedBy: Keys.self, forKey: .outer)
                a = try outer.decode(Int.self, forKey: .inner)
                var list = try outer.nestedUnkeyedContainer(forKey: .list)
                b = []
                while !list.isAtEnd { b.append(try list.decode(Int.self)) }
                #expect(throws: DecodingError.self) { try list.decode(Int.self) }
            }

            func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: Keys.self)
                var outer = container.nestedContainer(keyedBy: Keys.self, forKey: .outer)
                try outer.encode(a, forKey: .inner)
                var list = outer.nestedUnkeyedContainer(forKey: .list)
                for number in b { try list.encode(number) }
            }
        }
        let bytes = try JSON.encode(Manual())
        #expect(String(decoding: bytes, as: UTF8.self) == #"{"outer":{"inner":1,"list":[2,3]}}"#)
        #expect(try JSON.decode(Manual.self, from: bytes) == Manual())
    }
}
