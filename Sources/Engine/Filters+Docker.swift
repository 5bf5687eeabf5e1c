internal import EngineTypes
internal import Linux

/// What Docker's filters share across kinds of object.
extension Filters {
    /// A boolean filter; nil when it was not given. Both `true` and `false`, or neither, is refused.
    func flag(_ name: String) throws(EngineError) -> Bool? {
        guard let given = values[name] else { return nil }
        let isTrue = given.contains("true") || given.contains("1")
        let isFalse = given.contains("false") || given.contains("0")
        guard isTrue != isFalse else {
            throw .invalid("invalid filter '\(name)\(given.isEmpty ? "" : "=[\(given.sorted().joined(separator: " "))]")'")
        }
        return isTrue
    }

    /// Moments, each as a span before now (`24h`) or a time. `never` is the value of none.
    func moments(_ name: String, now: Timestamp = .now()) throws(EngineError) -> [Timestamp] {
        try (self[name] ?? []).map { (text) throws(EngineError) in
            if text != "0", let span = GoDuration.nanoseconds(text) { return now.adding(nanoseconds: -span) }
            guard let moment = Timestamp(text) else { throw .invalid("failed to parse value as time or duration: \"\(text)\"") }
            return moment
        }
    }
}

/// A filter whose values are regular expressions, or the name itself. What is no expression matches itself only.
struct NamePatterns {
    private let names: Set<String>
    private let expressions: [Regex<AnyRegexOutput>]

    /// nil when the filter was not given.
    init?(_ wanted: [String]?) {
        guard let wanted else { return nil }
        names = Set(wanted)
        expressions = wanted.compactMap { try? Regex($0) }
    }

    func matches(_ text: String) -> Bool { names.contains(text) || expressions.contains { text.firstMatch(of: $0) != nil } }
}

/// What all prunes ask of an object: labels that it has, labels that it hasn't, an age.
struct PruneFilter {
    private let labels: [String]?
    private let excluded: [String]?
    private let until: Timestamp?

    /// - Parameter known: further filters of this kind of prune.
    init(_ filters: Filters, known: Set<String> = ["until"]) throws(EngineError) {
        try filters.requireOnly(known.union(["label", "label!"]))
        labels = filters["label"]
        excluded = filters["label!"]
        let moments = try filters.moments("until")
        // Whoever names an age has not asked for everything; dockerd breaks the connection off.
        if filters.values["until"] != nil && moments.isEmpty { throw .invalid("invalid filter 'until'") }
        if moments.count > 1 { throw .invalid("more than one until filter specified") }
        until = moments.first
    }

    /// - Parameter created: when it was made; nil when that is not known, which no `until` holds for.
    func matches(labels own: [String: String], created: Timestamp?) -> Bool {
        if let labels, !Filters.labels(own, satisfy: labels) { return false }
        if let excluded, Filters.labels(own, satisfy: excluded) { return false }
        guard let until else { return true }
        guard let created, created != .never else { return false }
        return !(until < created)
    }
}
