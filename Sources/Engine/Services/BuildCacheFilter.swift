internal import EngineTypes
internal import Images
internal import OCIImageSpec

/// What `/build/prune` asks of a cache object: BuildKit's fields, here of the images that builds have left without a name.
struct BuildCacheFilter: Sendable {
    /// Filters that are compared with one field of an object.
    private static let fields = ["description", "id", "inuse", "parent", "private", "shared", "type"]

    private let wanted: [String: String]
    /// What is asked as of every prune, with `unused-for` under its newer name.
    let common: Filters

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
        self.common = common
        self.wanted = wanted
    }

    /// - Parameter isShared: whether another image has a layer of this one.
    func matches(_ image: Image, isShared: Bool) -> Bool {
        func has(_ name: String, _ value: String) -> Bool { wanted[name].map { $0 == value } ?? true }
        func holds(_ name: String, _ fact: Bool) -> Bool { wanted[name].map { ["true", "1"].contains($0) == fact } ?? true }
        // An expression, as in Docker, or the ID itself.
        if let id = NamePatterns(wanted["id"].map { [$0] }), !id.matches(image.id.description) { return false }
        // What is in use is no candidate.
        return has("type", "regular") && has("parent", image.parent?.description ?? "")
            && has("description", image.config.history?.last?.createdBy ?? "")
            && holds("inuse", false) && holds("shared", isShared) && holds("private", !isShared)
    }
}
