internal import Linux

/// The values a command line gave. All were checked against their kinds when they were read.
public struct FlagValues: Sendable {
    var values: [String: [String]] = [:]
    var standards: [String: String] = [:]

    public init() {}

    /// Whether the flag stood on the command line.
    public func has(_ name: String) -> Bool { values[name] != nil }

    /// The last value; the table's standard or empty when not given.
    public func string(_ name: String) -> String { values[name]?.last ?? standards[name] ?? "" }

    /// The last value when the flag was given.
    public func given(_ name: String) -> String? { values[name]?.last }

    public func bool(_ name: String) -> Bool { Flag.bool(string(name)) ?? false }

    /// A switch when it was given.
    public func givenBool(_ name: String) -> Bool? { values[name]?.last.flatMap { Flag.bool($0) } }

    public func list(_ name: String) -> [String] { values[name] ?? [] }

    public func int(_ name: String) -> Int64? { GoInteger.signed(string(name)) }

    public func givenInt(_ name: String) -> Int64? { given(name).flatMap { GoInteger.signed($0) } }

    /// Bytes (`64m`) when given.
    public func bytes(_ name: String) -> Int64? { given(name).flatMap { ByteSize.bytes($0) } }

    /// Nanoseconds (`1m30s`) when given.
    public func duration(_ name: String) -> Int64? { given(name).flatMap { GoDuration.nanoseconds($0) } }

    /// Billionths (`1.5` is 1,500,000,000) when given.
    public func nano(_ name: String) -> Int64? { given(name).flatMap { Decimal.nano($0) } }

    /// `key=value` pairs; a key without `=` has an empty value.
    public func pairs(_ name: String) -> [String: String] {
        var result: [String: String] = [:]
        for text in list(name) {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            result[parts[0]] = parts.count == 2 ? parts[1] : ""
        }
        return result
    }
}
