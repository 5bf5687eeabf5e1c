internal import EngineTypes
internal import Linux
internal import Logging
internal import Netlink
internal import Networking

/// Links on the default network (`--link container:alias`), as Docker keeps them: the other container's address stands in /etc/hosts,
/// its ports and environment in variables, and `/this/alias` is a name of the other one. On networks that users define a link is a
/// name for the name server.
enum ContainerLinks {
    /// `container:alias`, `container`, or `/container:/this/alias` as `inspect` shows them.
    static func parse(_ text: String) throws(EngineError) -> (container: String, alias: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if text.isEmpty { throw .invalid("empty string specified for links") }
        guard parts.count <= 2, !parts[0].isEmpty else { throw .invalid("bad format for links: \(text)") }
        let name = parts[0].hasPrefix("/") ? String(parts[0].dropFirst()) : parts[0]
        let alias = parts.count == 2 ? parts[1].split(separator: "/").last.map(String.init) ?? "" : name
        guard !alias.isEmpty else { throw .invalid("bad format for links: \(text)") }
        return (name, alias)
    }

    /// The containers that HostConfig.Links means when the container is to be on the default network; none for another.
    static func resolve(_ host: HostConfig, in store: ContainerStore) throws(EngineError) -> [ContainerLink] {
        let mode = host.NetworkMode ?? ""
        let texts = host.Links ?? []
        guard !texts.isEmpty else { return [] }
        if mode == "host" { throw hostNetwork }
        if mode.hasPrefix("container:") { throw .invalid("conflicting options: container type network can't be used with links") }
        guard ["", "default", "bridge"].contains(mode) else { return [] }
        var links: [ContainerLink] = []
        for text in texts {
            let (name, alias) = try parse(text)
            var other: Container
            do {
                other = try store.find(name)
                while let mode = other.record.hostConfig.NetworkMode, mode.hasPrefix("container:") {
                    other = try store.find(String(mode.dropFirst("container:".count)))
                }
            } catch { throw .invalid("could not get container for \(name): \(error.message)") }
            if other.record.hostConfig.NetworkMode == "host" { throw hostNetwork }
            guard !links.contains(where: { $0.alias == alias && $0.containerID != other.id }) else {
                throw .conflict("Conflict. The link name \"\(alias)\" is used twice.")
            }
            links.append(ContainerLink(containerID: other.id, alias: alias))
        }
        return links
    }

    private static var hostNetwork: EngineError {
        .invalid("conflicting options: host type networking can't be used with links. This would result in undefined behavior")
    }

    /// What a container that starts has to know of one it is linked to.
    struct Linked: Sendable {
        let alias: String
        let record: ContainerRecord
        let address: String
    }

    /// The linked containers that run. A link to one that was removed is gone.
    static func linked(_ record: ContainerRecord, in store: ContainerStore) -> [Linked] {
        record.links.compactMap { link in
            guard let other = try? store.find(link.containerID), (try? other.connection()) != nil else { return nil }
            let theirs = other.record
            return address(theirs).map { Linked(alias: link.alias, record: theirs, address: $0) }
        }
    }

    /// A container starts only when those that it is linked to run.
    static func requireRunning(_ record: ContainerRecord, in store: ContainerStore) throws(EngineError) {
        for link in record.links {
            guard let other = try? store.find(link.containerID) else { continue }
            let name = "/\(other.name)"
            guard (try? other.connection()) != nil else {
                throw .invalid("Cannot link to a non running container: \(name) AS /\(record.name)/\(link.alias)")
            }
            if address(other.record) == nil { throw .invalid("Cannot link to \(name), as it does not belong to the default network") }
        }
    }

    static func address(_ record: ContainerRecord) -> String? {
        record.attachments.first { $0.networkName == "bridge" }?.endpoint.ipv4.map { "\($0.address)" }
    }

    /// The lines of /etc/hosts for them: alias, host name and name.
    static func hosts(_ linked: [Linked]) -> String {
        linked.map { other in
            var names = [other.alias]
            for name in [other.record.config.Hostname ?? "", other.record.name] where !name.isEmpty && !names.contains(name) {
                names.append(name)
            }
            return "\(other.address)\t\(names.joined(separator: " "))\n"
        }.joined()
    }
}

extension ContainerLinks.Linked {
    /// The variables that tell of it, `DB_PORT_5432_TCP_ADDR` and its like, as Docker sets them.
    func environment(for container: String) -> [String] {
        let prefix = alias.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
        let ports = (record.config.ExposedPorts ?? [:]).keys.compactMap { try? PortRequests.parse($0) }
            .sorted { ($0.0, $0.1 == .tcp ? 0 : 1) < ($1.0, $1.1 == .tcp ? 0 : 1) }
        var result: [String] = []
        func url(_ port: (UInt16, PortProtocol)) -> String { "\(port.1.rawValue)://\(address):\(port.0)" }
        func name(_ port: (UInt16, PortProtocol)) -> String { "\(prefix)_PORT_\(port.0)_\(port.1.rawValue.uppercased())" }
        if let first = ports.first { result.append("\(prefix)_PORT=\(url(first))") }
        // Two in a row are no range yet, says dockerd.
        for run in Self.runs(ports) where run.count > 2 {
            let (first, last) = (run[0], run[run.count - 1])
            result += [
                "\(name(first))_START=\(url(first))", "\(name(first))_ADDR=\(address)", "\(name(first))_PROTO=\(first.1.rawValue)",
                "\(name(first))_PORT_START=\(first.0)", "\(name(first))_END=\(url(last))", "\(name(first))_PORT_END=\(last.0)",
            ]
        }
        for port in ports {
            result += [
                "\(name(port))=\(url(port))", "\(name(port))_ADDR=\(address)", "\(name(port))_PORT=\(port.0)",
                "\(name(port))_PROTO=\(port.1.rawValue)",
            ]
        }
        result.append("\(prefix)_NAME=/\(container)/\(alias)")
        for variable in record.config.Env ?? [] {
            let pair = variable.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, pair[0] != "HOME", pair[0] != "PATH" else { continue }
            result.append("\(prefix)_ENV_\(pair[0])=\(pair[1])")
        }
        return result
    }

    /// Ports of one protocol that follow each other without a gap.
    private static func runs(_ ports: [(UInt16, PortProtocol)]) -> [[(UInt16, PortProtocol)]] {
        var runs: [[(UInt16, PortProtocol)]] = []
        for port in ports {
            if let last = runs.last?.last, last.1 == port.1, UInt32(last.0) + 1 == UInt32(port.0) {
                runs[runs.count - 1].append(port)
            } else {
                runs.append([port])
            }
        }
        return runs
    }
}

extension ContainerLauncher {
    /// A container has a new address: those that are linked to it and run learn it.
    func tellLinked(of container: Container) async {
        for other in store.all where other.isAlive {
            let record = other.record
            guard record.links.contains(where: { $0.containerID == container.id }) else { continue }
            do { try await offloading { [self] in try writeHosts(record, record.attachments) } } catch {
                logger.warning("cannot tell a container the new address of its link", metadata: ["error": "\(error)"])
            }
        }
    }
}

extension ContainerService {
    /// `/container/alias`: the container does not know the other any more; the other stays.
    func removeLink(_ text: String) async throws {
        let parts = text.split(separator: "/").map(String.init)
        guard parts.count == 2 else {
            throw EngineError.conflict("Conflict, cannot remove the default link name of the container")
        }
        let container: Container
        do { container = try store.find(parts[0]) } catch {
            throw EngineError(error.code, "Cannot get parent /\(parts[0]) for link name \(text)", cause: error)
        }
        let isGone = container.withState { state in
            let before = state.record.links.count
            state.record.links.removeAll { $0.alias == parts[1] }
            return state.record.links.count < before
        }
        guard isGone else { throw EngineError.notFound("No such link: \(text)") }
        try await store.save(container)
        guard container.isAlive else { return }
        let record = container.record
        let launcher = lifecycle.launcher
        try await offloading { try launcher.writeHosts(record, record.attachments) }
    }
}
