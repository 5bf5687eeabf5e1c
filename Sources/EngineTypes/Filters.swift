internal import JSON

/// The `filters` query of list, prune and event calls: name → accepted values.
public struct Filters: Sendable, Equatable {
    public var values: [String: [String]]

    public init(_ values: [String: [String]] = [:]) { self.values = values }

    /// Reads both forms clients send: `{"a":{"x":true}}` and `{"a":["x"]}`. Throws `EngineError.invalid`.
    public init(parsing text: String) throws(EngineError) {
        values = [:]
        if text.isEmpty { return }
        let document: JSONValue
        do { document = try JSONValue(parsing: text) } catch { throw .invalid("invalid filters: \(error)", cause: error) }
        guard case .object(let object) = document else { throw .invalid("invalid filters: cannot use \(document.kind) as object") }
        for member in object.members {
            switch member.value {
            case .array(let elements):
                // A value that is left out would widen a prune.
                values[member.name] = try elements.map { (element) throws(EngineError) in
                    guard let text = element.stringValue else {
                        throw .invalid("invalid filters: cannot use \(element.kind) as a value of \(member.name)")
                    }
                    return text
                }
            case .object(let set): values[member.name] = set.members.filter { $0.value != false }.map(\.name)
            case .null: continue
            default: throw .invalid("invalid filters: cannot use \(member.value.kind) as values of \(member.name)")
            }
        }
    }

    public var isEmpty: Bool { values.isEmpty }

    /// The filters that `GET /events` knows.
    public static let eventNames: Set<String> = [
        "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "type", "volume",
    ]

    /// The values of a filter; nil when it was not given.
    public subscript(name: String) -> [String]? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// Refuses filters that the call does not know, with Docker's text.
    public func requireOnly(_ known: Set<String>) throws(EngineError) {
        if let unknown = values.keys.sorted().first(where: { !known.contains($0) }) { throw .invalid("invalid filter '\(unknown)'") }
    }

    /// Whether labels satisfy all values of a `label` filter (`key` or `key=value`).
    public static func labels(_ labels: [String: String], satisfy wanted: [String]) -> Bool {
        wanted.allSatisfy { term in
            let parts = term.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let value = labels[parts[0]] else { return false }
            return parts.count == 1 || value == parts[1]
        }
    }
}
