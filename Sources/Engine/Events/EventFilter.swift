internal import EngineTypes

/// Which events a client wants: values of one filter are alternatives (labels must all hold), different filters must all hold.
struct EventFilter {
    let filters: Filters

    /// Kinds of object: events are asked for by their ID or name, or a beginning of either.
    private static let kinds = ["container", "daemon", "network", "node", "plugin", "volume"]

    func matches(_ event: EventMessage) -> Bool {
        let (id, attributes) = (event.Actor.ID, event.Actor.Attributes)
        func any(_ name: String, _ test: (String) -> Bool) -> Bool { filters[name].map { $0.contains(where: test) } ?? true }
        return any("type") { $0 == event.Type } && any("scope") { $0 == event.scope } && matchesAction(event.Action)
            && Self.kinds.allSatisfy { kind in any(kind) { id.hasPrefix($0) || (attributes["name"] ?? "").hasPrefix($0) } }
            && (filters["label"].map { Filters.labels(attributes, satisfy: $0) } ?? true)
            && any("image") { wish in
                let name = attributes[event.Type == "image" ? "name" : "image"] ?? ""
                return [id, name, Self.withoutTag(id), Self.withoutTag(name)].contains(wish)
            }
    }

    /// Actions that carry a detail behind a colon are asked for without it; one such among the values lets all be beginnings.
    private func matchesAction(_ action: String) -> Bool {
        guard let wanted = filters["event"] else { return true }
        let areBeginnings = wanted.contains { ["health_status", "exec_create", "exec_start"].contains($0) }
        return wanted.contains { action == $0 || areBeginnings && action.hasPrefix($0) }
    }

    /// `repository:tag` and `repository@digest` without what is behind the repository.
    private static func withoutTag(_ name: String) -> String {
        let repository = name.prefix { $0 != "@" }
        guard let colon = repository.lastIndex(of: ":"), !repository[colon...].contains("/") else { return String(repository) }
        return String(repository[..<colon])
    }
}
