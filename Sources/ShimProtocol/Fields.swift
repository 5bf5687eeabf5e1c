internal import JSON

/// Reads the members of one message; a missing or wrong member is a failure that names it.
struct Fields {
    let value: JSONValue
    /// What is read, for messages.
    let name: String

    init(_ value: JSONValue, _ name: String) throws(ShimFailure) {
        guard case .object = value else { throw ShimFailure(.invalidRequest, "\(name): expected an object, found \(value.kind)") }
        self.value = value
        self.name = name
    }

    func wrong(_ member: String, _ expected: String) -> ShimFailure {
        let found = value[member].map { "found \($0.kind)" } ?? "it is missing"
        return ShimFailure(.invalidRequest, "\(name).\(member): expected \(expected), \(found)")
    }

    func string(_ member: String) throws(ShimFailure) -> String {
        guard let text = value[member]?.stringValue else { throw wrong(member, "a string") }
        return text
    }

    func string(_ member: String, default fallback: String) throws(ShimFailure) -> String {
        isAbsent(member) ? fallback : try string(member)
    }

    func optionalString(_ member: String) throws(ShimFailure) -> String? { isAbsent(member) ? nil : try string(member) }

    /// False when missing.
    func flag(_ member: String) throws(ShimFailure) -> Bool {
        if isAbsent(member) { return false }
        guard let flag = value[member]?.boolValue else { throw wrong(member, "true or false") }
        return flag
    }

    func number<T: FixedWidthInteger>(_ member: String, _ type: T.Type = T.self) throws(ShimFailure) -> T {
        guard let wide = value[member]?.intValue, let number = T(exactly: wide) else { throw wrong(member, "a whole number") }
        return number
    }

    func number<T: FixedWidthInteger>(_ member: String, default fallback: T) throws(ShimFailure) -> T {
        isAbsent(member) ? fallback : try number(member)
    }

    func strings(_ member: String) throws(ShimFailure) -> [String] {
        if isAbsent(member) { return [] }
        guard let elements = value[member]?.arrayValue else { throw wrong(member, "an array of strings") }
        var result: [String] = []
        for element in elements {
            guard let text = element.stringValue else { throw wrong(member, "an array of strings") }
            result.append(text)
        }
        return result
    }

    /// A member whose own members are texts; empty when missing.
    func texts(_ member: String) throws(ShimFailure) -> [String: String] {
        var result: [String: String] = [:]
        for member in isAbsent(member) ? [] : try object(member).value.objectValue?.members ?? [] {
            guard let text = member.value.stringValue else { throw wrong(member.name, "a string") }
            result[member.name] = text
        }
        return result
    }

    /// A member that is an object.
    func object(_ member: String) throws(ShimFailure) -> Fields {
        guard let inner = value[member] else { throw wrong(member, "an object") }
        return try Fields(inner, "\(name).\(member)")
    }

    func isAbsent(_ member: String) -> Bool { value[member]?.isNull ?? true }
}

/// Makes a message: false flags, nil and empty values are left out.
struct FieldsWriter {
    private(set) var object = JSONObject()

    var value: JSONValue { .object(object) }

    mutating func put(_ name: String, _ text: String) { object.append(name, .string(text)) }
    mutating func put(_ name: String, _ text: String?) { if let text { object.append(name, .string(text)) } }
    mutating func put(_ name: String, _ flag: Bool) { if flag { object.append(name, .bool(true)) } }
    mutating func put<T: FixedWidthInteger>(_ name: String, _ number: T) { object.append(name, .integer(Int64(clamping: number))) }
    mutating func put(_ name: String, _ texts: [String: String]) {
        if texts.isEmpty { return }
        var members = JSONObject()
        for (name, text) in texts.sorted(by: { $0.key < $1.key }) { members.append(name, .string(text)) }
        object.append(name, .object(members))
    }
    mutating func put(_ name: String, _ value: JSONValue) { object.append(name, value) }
    mutating func put(_ name: String, _ texts: [String]) {
        if !texts.isEmpty { object.append(name, .array(texts.map { .string($0) })) }
    }
}
