// Swift's Codable over JSONValue: the encoding half.

/// A place in the document under construction. Containers share it by reference, as Codable demands.
final class EncodingNode {
    private enum Content {
        case value(JSONValue)
        case array([EncodingNode])
        case object([(String, EncodingNode)])
    }

    private var content = Content.value(.null)

    func set(_ value: JSONValue) { content = .value(value) }

    func becomeObject() { if case .object = content {} else { content = .object([]) } }

    func becomeArray() { if case .array = content {} else { content = .array([]) } }

    var count: Int { if case .array(let nodes) = content { nodes.count } else { 0 } }

    func member(_ name: String) -> EncodingNode {
        guard case .object(var members) = content else { return EncodingNode() }
        content = .value(.null)
        let node = EncodingNode()
        members.append((name, node))
        content = .object(members)
        return node
    }

    func element() -> EncodingNode {
        guard case .array(var nodes) = content else { return EncodingNode() }
        content = .value(.null)
        let node = EncodingNode()
        nodes.append(node)
        content = .array(nodes)
        return node
    }

    var value: JSONValue {
        switch content {
        case .value(let value): value
        case .array(let nodes): .array(nodes.map(\.value))
        case .object(let members): .object(JSONObject(members.map { JSONObject.Member(name: $0.0, value: $0.1.value) }))
        }
    }
}

struct ValueEncoder: Encoder, SingleValueEncodingContainer {
    let node: EncodingNode
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        node.becomeObject()
        return KeyedEncodingContainer(KeyedValueEncoder<Key>(node: node, codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.becomeArray()
        return UnkeyedValueEncoder(node: node, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }

    /// Dictionaries of strings go out sorted by key, so that an answer is the same each time.
    func encodeValue(_ value: some Encodable) throws {
        switch value {
        case let value as JSONValue: node.set(value)
        case let value as any StringKeyedEncodable: try value.encodeSorted(to: self)
        default: try value.encode(to: self)
        }
    }

    func encodeNil() { node.set(.null) }
    func encode(_ value: Bool) { node.set(.bool(value)) }
    func encode(_ value: String) { node.set(.string(value)) }
    func encode(_ value: Double) { node.set(.double(value)) }
    func encode(_ value: Float) { node.set(.double(Double(value))) }
    func encode(_ value: Int) { node.set(.integer(Int64(value))) }
    func encode(_ value: Int8) { node.set(.integer(Int64(value))) }
    func encode(_ value: Int16) { node.set(.integer(Int64(value))) }
    func encode(_ value: Int32) { node.set(.integer(Int64(value))) }
    func encode(_ value: Int64) { node.set(.integer(value)) }
    func encode(_ value: UInt) { encode(UInt64(value)) }
    func encode(_ value: UInt8) { node.set(.integer(Int64(value))) }
    func encode(_ value: UInt16) { node.set(.integer(Int64(value))) }
    func encode(_ value: UInt32) { node.set(.integer(Int64(value))) }
    func encode(_ value: UInt64) { node.set(Int64(exactly: value).map { .integer($0) } ?? .unsigned(value)) }
    func encode(_ value: some Encodable) throws { try encodeValue(value) }
}

/// What a dictionary with string keys can do that no other `Encodable` can.
protocol StringKeyedEncodable {
    func encodeSorted(to encoder: ValueEncoder) throws
}

extension Dictionary: StringKeyedEncodable where Key == String, Value: Encodable {
    func encodeSorted(to encoder: ValueEncoder) throws {
        encoder.node.becomeObject()
        for (key, value) in self.sorted(by: { $0.key < $1.key }) {
            try ValueEncoder(node: encoder.node.member(key), codingPath: encoder.codingPath + [AnyKey(key)]).encodeValue(value)
        }
    }
}

private struct KeyedValueEncoder<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: EncodingNode
    let codingPath: [any CodingKey]

    private func child(_ key: any CodingKey) -> ValueEncoder {
        ValueEncoder(node: node.member(key.stringValue), codingPath: codingPath + [key])
    }

    func encodeNil(forKey key: Key) { node.member(key.stringValue).set(.null) }
    // The kinds that most members have, past the casts of the general case.
    func encode(_ value: Bool, forKey key: Key) { node.member(key.stringValue).set(.bool(value)) }
    func encode(_ value: String, forKey key: Key) { node.member(key.stringValue).set(.string(value)) }
    func encode(_ value: Int, forKey key: Key) { node.member(key.stringValue).set(.integer(Int64(value))) }
    func encode(_ value: Int64, forKey key: Key) { node.member(key.stringValue).set(.integer(value)) }
    func encode(_ value: some Encodable, forKey key: Key) throws { try child(key).encodeValue(value) }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
        child(key).container(keyedBy: type)
    }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { child(key).unkeyedContainer() }
    func superEncoder() -> any Encoder { child(AnyKey("super")) }
    func superEncoder(forKey key: Key) -> any Encoder { child(key) }
}

private struct UnkeyedValueEncoder: UnkeyedEncodingContainer {
    let node: EncodingNode
    let codingPath: [any CodingKey]
    var count: Int { node.count }

    private func child() -> ValueEncoder {
        let key = AnyKey(intValue: count)
        return ValueEncoder(node: node.element(), codingPath: codingPath + [key])
    }

    func encodeNil() { child().encodeNil() }
    func encode(_ value: some Encodable) throws { try child().encodeValue(value) }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        child().container(keyedBy: type)
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { child().unkeyedContainer() }
    func superEncoder() -> any Encoder { child() }
}

/// A coding key made at run time.
struct AnyKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(_ name: String) {
        stringValue = name
        intValue = nil
    }

    init(stringValue: String) { self.init(stringValue) }

    init(intValue: Int) {
        stringValue = "\(intValue)"
        self.intValue = intValue
    }
}

extension JSONValue: Encodable {
    public func encode(to encoder: any Encoder) throws {
        if let encoder = encoder as? ValueEncoder { return encoder.node.set(self) }
        var container = encoder.singleValueContainer()
        try container.encode(text())
    }
}
