internal import EngineTypes
internal import Images
internal import Linux
internal import Networking
internal import OCIImageSpec

/// The filters of `docker ps`.
struct ContainerFilter {
    private let filters: Filters
    private let imageIDs: Set<String>?
    private let before: Timestamp?
    private let since: Timestamp?

    private static let statuses: Set<String> = ["created", "running", "paused", "restarting", "removing", "exited", "dead"]

    init(_ filters: Filters, store: ContainerStore, images: ImageStore) throws(EngineError) {
        try filters.requireOnly([
            "ancestor", "before", "since", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network",
            "publish", "status",
            "volume",
        ])
        self.filters = filters
        for status in filters["status"] ?? [] where !Self.statuses.contains(status) {
            throw .invalid("invalid filter 'status=\(status)'")
        }
        for code in filters["exited"] ?? [] where Int(code) == nil { throw .invalid("invalid filter 'exited=\(code)'") }
        imageIDs = filters["ancestor"].map { names in Set(names.compactMap { try? images.image($0).id.description }) }
        before = try filters["before"].map { (names) throws(EngineError) in Timestamp(try store.find(names[0]).record.created) ?? .now() }
        since = try filters["since"].map { (names) throws(EngineError) in Timestamp(try store.find(names[0]).record.created) ?? .now() }
    }

    /// Filters that speak of containers that do not run show all.
    var impliesAll: Bool { filters["status"] != nil || filters["exited"] != nil }

    func matches(_ container: Container) -> Bool {
        let record = container.record
        let state = container.apiState
        let created = Timestamp(record.created) ?? .never
        func any(_ name: String, _ test: (String) -> Bool) -> Bool { filters[name].map { $0.contains(where: test) } ?? true }
        return any("id") { record.id.hasPrefix($0) || record.id.contains($0) }
            && any("name") { wish in
                let wish = wish.hasPrefix("/") ? String(wish.dropFirst()) : wish
                if let pattern = try? Regex(wish) {
                    return record.name.firstMatch(of: pattern) != nil || "/\(record.name)".firstMatch(of: pattern) != nil
                }
                return record.name.contains(wish)
            }
            && any("status") { $0 == state.Status }
            && any("exited") { Int($0) == state.ExitCode && (state.Status == "exited" || state.Status == "dead") }
            && any("health") { $0 == (state.Health?.Status ?? "none") }
            && any("network") { wish in
                record.networks.keys.contains(wish) || record.attachments.contains { $0.endpoint.networkID.hasPrefix(wish) }
            }
            && any("volume") { wish in record.mounts.contains { $0.name == wish || $0.destination == wish || $0.source == wish } }
            && any("publish") { wish in
                record.attachments.flatMap(\.published).contains { Self.port("\($0.hostPort)", $0.proto.rawValue, wish) }
            }
            && any("expose") { wish in
                (record.config.ExposedPorts ?? [:]).keys.contains { key in
                    let parts = key.split(separator: "/")
                    return Self.port(parts.first.map(String.init) ?? "", parts.count > 1 ? String(parts[1]) : "tcp", wish)
                }
            }
            && any("is-task") { $0 == "false" }
            && any("isolation") { ["", "default"].contains($0) }
            && (filters["label"].map { Filters.labels(record.config.Labels ?? [:], satisfy: $0) } ?? true)
            && (imageIDs?.contains(record.imageID) ?? true)
            && (before.map { created < $0 } ?? true) && (since.map { $0 < created } ?? true)
    }

    /// `80`, `80/tcp`, `8000-8010/udp`.
    private static func port(_ port: String, _ proto: String, _ wish: String) -> Bool {
        let parts = wish.split(separator: "/").map(String.init)
        if parts.count > 1 && parts[1] != proto { return false }
        let bounds = (parts.first ?? "").split(separator: "-").compactMap { Int($0) }
        guard let number = Int(port), let first = bounds.first, let last = bounds.last else { return false }
        return (first...max(first, last)).contains(number)
    }
}
