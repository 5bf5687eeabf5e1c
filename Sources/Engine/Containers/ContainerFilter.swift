internal import EngineTypes
internal import Images
internal import Linux
internal import Networking
internal import OCIImageSpec

/// The filters of `docker ps`: values of one are alternatives (labels must all hold), different ones must all hold.
struct ContainerFilter {
    private let filters: Filters
    private let names: NamePatterns?
    private let ids: NamePatterns?
    private let isTask: Bool?
    private let imageIDs: Set<String>?
    private let networks: Set<String>?
    private let published: [PortRange]
    private let exposed: [PortRange]
    private let before: Timestamp?
    private let since: Timestamp?

    private static let states = ["created", "running", "paused", "restarting", "removing", "exited", "dead"]
    private static let healths = ["none", "starting", "healthy", "unhealthy"]

    /// - Parameter networks: those that there are, to find the name of one that is asked for by ID.
    init(_ filters: Filters, store: ContainerStore, images: ImageStore, networks: [Network] = []) throws(EngineError) {
        try filters.requireOnly([
            "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network", "publish",
            "since", "status", "volume",
        ])
        self.filters = filters
        for (name, noun, known) in [("status", "state", Self.states), ("health", "health", Self.healths)] {
            for value in filters[name] ?? [] where !known.contains(value) {
                throw .invalid(
                    "invalid filter '\(name)=\(value)': invalid value for \(noun) (\(value)): must be one of \(known.joined(separator: ", "))"
                )
            }
        }
        for code in filters["exited"] ?? [] where Int(code) == nil { throw .invalid("invalid filter 'exited=\(code)'") }
        names = NamePatterns(filters["name"])
        ids = NamePatterns(filters["id"])
        isTask = try filters.flag("is-task")
        published = try (filters["publish"] ?? []).map { (text) throws(EngineError) in try PortRange(text, filter: "publish") }
        exposed = try (filters["expose"] ?? []).map { (text) throws(EngineError) in try PortRange(text, filter: "expose") }
        self.networks = filters["network"].map { wanted in
            Set(wanted).union(networks.filter { network in wanted.contains { network.id.hasPrefix($0) } }.map(\.name))
        }
        imageIDs = filters["ancestor"].map { Self.descendants(of: $0, images) }
        func created(_ name: String) throws(EngineError) -> Timestamp? {
            guard let wanted = filters[name]?.last else { return nil }
            return Timestamp(try store.find(wanted).record.created) ?? .now()
        }
        before = try created("before")
        since = try created("since")
    }

    /// A filter that speaks of containers that do not run shows all.
    var impliesAll: Bool { filters["status"] != nil }

    func matches(_ container: Container) -> Bool {
        let record = container.record
        let state = container.apiState
        lazy var created = Timestamp(record.created) ?? .never
        func any(_ name: String, _ test: (String) -> Bool) -> Bool { filters[name].map { $0.contains(where: test) } ?? true }
        return ids?.matches(record.id) ?? true
            && names.map { $0.matches(record.name) || $0.matches("/\(record.name)") } ?? true
            && any("status") { $0 == state.Status }
            && any("exited") { Int($0) == state.ExitCode && !state.Running && state.StartedAt != Timestamp.never.description }
            && any("health") { $0 == (state.Health?.Status ?? "none") }
            && networks.map { !$0.isDisjoint(with: record.networks.keys) } ?? true
            && any("volume") { wish in
                record.mounts.contains { $0.destination == wish || ($0.name.isEmpty ? $0.source : $0.name) == wish }
            }
            && hasPort(container)
            && isTask != true
            && any("isolation") { ["", "default"].contains($0) }
            && (filters["label"].map { Filters.labels(record.config.Labels ?? [:], satisfy: $0) } ?? true)
            && (imageIDs?.contains(record.imageID) ?? true)
            && (before.map { created < $0 } ?? true) && (since.map { $0 < created } ?? true)
    }

    /// As in Docker, a port that is published as one filter wants or exposed as the other does is enough; only a container that
    /// runs has ports.
    private func hasPort(_ container: Container) -> Bool {
        guard filters["publish"] != nil || filters["expose"] != nil else { return true }
        return ContainerService.ports(container).contains { port in
            published.contains { $0.contains(port.PublicPort ?? 0, port.Type) }
                || exposed.contains { $0.contains(port.PrivatePort, port.Type) }
        }
    }

    /// The images named, and all that were built on them.
    private static func descendants(of names: [String], _ images: ImageStore) -> Set<String> {
        var found = Set(names.compactMap { try? images.image($0).id })
        let all = images.list()
        var count = 0
        while count < found.count {
            count = found.count
            for image in all { if let parent = image.parent, found.contains(parent) { found.insert(image.id) } }
        }
        return Set(found.map(\.description))
    }
}

/// `80`, `80/tcp`, `8000-8010/udp`.
private struct PortRange {
    private let ports: ClosedRange<Int>
    private let proto: String

    init(_ text: String, filter: String) throws(EngineError) {
        if text.contains(":") { throw .invalid("filter for '\(filter)' should not contain ':': \(text)") }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let bounds = parts[0].split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
        guard (1...2).contains(bounds.count), let first = bounds[0], let last = bounds[bounds.count - 1], first <= last else {
            throw .invalid("error while looking up for \(filter) \(text): invalid port range")
        }
        ports = Int(first)...Int(last)
        proto = parts.count > 1 ? parts[1].lowercased() : "tcp"
    }

    func contains(_ port: Int, _ proto: String) -> Bool { ports.contains(port) && self.proto == proto }
}
