internal import JSON

/// An object of config.json under examination. Every reader answers nil (or nothing) for a member that is absent or
/// null, and throws an error that names the member for one of the wrong type. The path is put together only when
/// something is wrong: each level adds its own name on the way out.
struct SpecObject {
    private let object: JSONObject

    init(_ value: JSONValue) throws(SpecError) {
        guard case .object(let object) = value else { throw SpecObject.mismatch("an object", value) }
        self.object = object
    }

    var names: [String] { object.members.map(\.name) }

    static func mismatch(_ expected: String, _ value: JSONValue) -> SpecError {
        SpecError(message: "expected \(expected), found \(value.kind)")
    }

    /// Reads a member with `read`.
    func value<T>(_ name: String, _ read: (JSONValue) throws(SpecError) -> T) throws(SpecError) -> T? {
        guard let value = object[name] else { return nil }
        if case .null = value { return nil }
        do throws(SpecError) { return try read(value) } catch { throw error.inside(name) }
    }

    func string(_ name: String) throws(SpecError) -> String? { try value(name, SpecObject.text) }

    func bool(_ name: String) throws(SpecError) -> Bool? {
        try value(name) { (value) throws(SpecError) in
            guard case .bool(let flag) = value else { throw SpecObject.mismatch("a bool", value) }
            return flag
        }
    }

    /// A whole number that fits into the wanted type.
    func number<T: FixedWidthInteger & Sendable>(_ name: String) throws(SpecError) -> T? {
        try value(name, SpecObject.whole)
    }

    func object<T>(_ name: String, _ make: (SpecObject) throws(SpecError) -> T) throws(SpecError) -> T? {
        try value(name) { (value) throws(SpecError) in try make(try SpecObject(value)) }
    }

    func array<T>(_ name: String, _ make: (SpecObject) throws(SpecError) -> T) throws(SpecError) -> [T] {
        try elements(name) { (value) throws(SpecError) in try make(try SpecObject(value)) }
    }

    func strings(_ name: String) throws(SpecError) -> [String] { try elements(name, SpecObject.text) }

    func numbers<T: FixedWidthInteger & Sendable>(_ name: String) throws(SpecError) -> [T] {
        try elements(name, SpecObject.whole)
    }

    func elements<T>(_ name: String, _ read: (JSONValue) throws(SpecError) -> T) throws(SpecError) -> [T] {
        try value(name) { (value) throws(SpecError) -> [T] in
            guard case .array(let elements) = value else { throw SpecObject.mismatch("an array", value) }
            var result: [T] = []
            result.reserveCapacity(elements.count)
            for (index, element) in elements.enumerated() {
                do throws(SpecError) { result.append(try read(element)) } catch { throw error.inside("[\(index)]") }
            }
            return result
        } ?? []
    }

    /// An object whose values are all strings.
    func map(_ name: String) throws(SpecError) -> [String: String] {
        try value(name) { (value) throws(SpecError) -> [String: String] in
            guard case .object(let object) = value else { throw SpecObject.mismatch("an object", value) }
            var result: [String: String] = [:]
            for member in object.members {
                do throws(SpecError) { result[member.name] = try SpecObject.text(member.value) } catch { throw error.inside(member.name) }
            }
            return result
        } ?? [:]
    }

    /// Fields of the specification that are not implemented: refused by name unless absent or null.
    func refuse(_ names: String...) throws(SpecError) {
        for name in names {
            if let value = object[name], !value.isNull { throw SpecError.notImplemented(name) }
        }
    }

    static func text(_ value: JSONValue) throws(SpecError) -> String {
        guard case .string(let text) = value else { throw mismatch("a string", value) }
        // The kernel's strings end at the first zero byte: what stands behind it would silently be cut off.
        if text.utf8.contains(0) { throw SpecError(message: "contains a zero byte") }
        return text
    }

    static func whole<T: FixedWidthInteger & Sendable>(_ value: JSONValue) throws(SpecError) -> T {
        switch value {
        case .integer(let number): if let result = T(exactly: number) { return result }
        case .unsigned(let number): if let result = T(exactly: number) { return result }
        case .double(let number): if let result = T(exactly: number) { return result }
        default: throw mismatch("a number", value)
        }
        throw SpecError(message: "expected a whole number from \(T.min) to \(T.max)")
    }
}

/// An object of config.json under construction: members that are nil or empty are left out.
struct SpecWriter {
    private var object = JSONObject()

    var value: JSONValue { .object(object) }

    /// Neither nil nor null: a `nil` beside a `JSONValue` is null to the compiler.
    mutating func put(_ name: String, _ value: JSONValue?) { if let value, !value.isNull { object.append(name, value) } }
    mutating func put(_ name: String, _ value: String?) { if let value { object.append(name, .string(value)) } }
    mutating func put(_ name: String, _ value: Bool?) { if let value { object.append(name, .bool(value)) } }

    mutating func put<T: FixedWidthInteger & Sendable>(_ name: String, _ value: T?) {
        if let value { object.append(name, SpecWriter.number(value)) }
    }

    mutating func put(_ name: String, _ values: [JSONValue]) { if !values.isEmpty { object.append(name, .array(values)) } }

    mutating func put(_ name: String, _ values: [String]) {
        if !values.isEmpty { object.append(name, .array(values.map { .string($0) })) }
    }

    /// Members sorted by name, so that the same configuration is the same text.
    mutating func put(_ name: String, _ values: [String: String]) {
        if values.isEmpty { return }
        var members = JSONObject()
        for (key, value) in values.sorted(by: { $0.key < $1.key }) { members.append(key, .string(value)) }
        object.append(name, .object(members))
    }

    static func number<T: FixedWidthInteger & Sendable>(_ value: T) -> JSONValue {
        if let number = Int64(exactly: value) { return .integer(number) }
        return .unsigned(UInt64(truncatingIfNeeded: value))
    }
}
