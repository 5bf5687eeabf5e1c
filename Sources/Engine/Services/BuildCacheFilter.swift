internal import Builder
internal import EngineTypes
internal import Linux

/// What `/build/prune` asks of a cache object: BuildKit's fields.
struct BuildCacheFilter: Sendable {
    /// Filters that are compared with one field of an object.
    private static let fields = ["description", "id", "inuse", "parent", "private", "shared", "type"]

    private let wanted: [String: String]
    /// What is asked as of every prune: labels, and for how long it has not been used.
    private let common: PruneFilter

    init(_ filters: Filters) throws(EngineError) {
        var common = filters
        var wanted: [String: String] = [:]
        for name in Self.fields + ["until", "unused-for"] {
            guard let values = filters.values[name] else { continue }
            if values.count > 1 { throw .invalid("filters expect only one value") }
            // A field without a value has to be there.
            if Self.fields.contains(name) { wanted[name] = values.first ?? "true" }
        }
        if let age = filters.values["unused-for"] {
            if filters.values["until"] != nil { throw .invalid("conflicting filters: \"until\" and \"unused-for\"") }
            common.values["until"] = age
        }
        // An age without a value is none, as in BuildKit.
        if common.values["until"] == [] { common.values["until"] = nil }
        for name in Self.fields + ["unused-for"] { common.values[name] = nil }
        for name in ["inuse", "private", "shared"] {
            guard let value = wanted[name], !["true", "false", "1", "0"].contains(value) else { continue }
            throw .invalid("invalid filter '\(name)=[\(value)]'")
        }
        self.common = try PruneFilter(common)
        self.wanted = wanted
    }

    func matches(_ record: BuildCacheRecord) -> Bool {
        func has(_ name: String, _ value: String) -> Bool { wanted[name].map { $0 == value } ?? true }
        func holds(_ name: String, _ fact: Bool) -> Bool { wanted[name].map { ["true", "1"].contains($0) == fact } ?? true }
        // An expression, as in Docker, or the ID itself.
        if let id = NamePatterns(wanted["id"].map { [$0] }), !id.matches(record.id) { return false }
        return has("type", record.kind.rawValue) && has("parent", record.parent ?? "") && has("description", record.description)
            && holds("inuse", record.isInUse) && holds("shared", record.isShared) && holds("private", !record.isShared)
            && common.matches(labels: record.labels, created: record.lastUsedAt ?? record.createdAt)
    }
}
