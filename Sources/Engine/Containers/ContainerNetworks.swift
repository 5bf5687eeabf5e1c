internal import EngineTypes
internal import Networking
internal import Supervision

/// Containers joining and leaving networks between their creation and their removal.
extension ContainerService {
    /// A container that runs has its new interface when this returns; one that does not joins at its next start.
    func connect(_ id: String, to network: Network, _ settings: EndpointSettings) async throws {
        let container = try store.find(id)
        try EndpointChecks.check(settings, network: network.name)
        var settings = settings
        // An answer's member.
        settings.NetworkID = nil
        try await container.transition.withLock { [settings] in
            try checkMode(container.record, network)
            if case .removing = container.phase { throw EngineError.conflict("container \(container.id) is marked for removal") }
            if let connection = try container.livingConnection() {
                return try await join(container, network, settings, connection)
            }
            container.withState { $0.record.networks[network.name] = settings }
            try await store.save(container)
        }
    }

    private func join(_ container: Container, _ network: Network, _ settings: EndpointSettings, _ connection: ShimConnection) async throws {
        let before = container.record
        if before.attachments.contains(where: { $0.endpoint.networkID == network.id }) {
            throw EngineError(.forbidden, "endpoint with name \(before.name) already exists in network \(network.name)")
        }
        let launcher = lifecycle.launcher
        let pid = connection.containerPID
        let attachment = try await offloading {
            try launcher.attach(before, to: network.name, settings, sandbox: try launcher.sandbox(of: connection))
        }
        do {
            try container.withState { state in
                guard state.record.outcome.pid == pid else { throw EngineError.conflict("container \(container.id) is not running") }
                state.record.networks[network.name] = settings
                state.record.attachments.append(attachment)
                state.record.isRewiring = true
            }
            try await store.save(container, durable: false)
            try await lifecycle.settleNetworks(container, connection)
        } catch {
            container.withState { state in
                state.record.networks[network.name] = before.networks[network.name]
                state.record.attachments.removeAll { $0.endpoint.id == attachment.endpoint.id }
            }
            try? await offloading { try launcher.networks.leave(attachment.endpoint, bindings: []) }
            launcher.publish("disconnect", attachment.endpoint)
            await lifecycle.settleNetworksOrTell(container, connection)
            throw EngineError.from(error)
        }
    }

    /// - Parameter force: whether a container that is not on the network, or that runs no more, is no error.
    func disconnect(_ id: String, from network: Network, force: Bool) async throws {
        let container: Container
        do { container = try store.find(id) } catch {
            if force { return }
            throw error
        }
        try await container.transition.withLock {
            let record = container.record
            if record.hostConfig.NetworkMode == "host" {
                throw EngineError(.forbidden, "container cannot be disconnected from host network or connected to host network")
            }
            let asked = try await offloading { [networks = lifecycle.launcher.networks] in
                record.networks.keys.filter { (try? networks.network($0).id) == network.id }
            }
            let attachment = record.attachments.first { $0.endpoint.networkID == network.id }
            guard attachment != nil || !asked.isEmpty else {
                if force { return }
                throw EngineError(.system, "container \(container.id) is not connected to network \(network.name)")
            }
            let connection = try container.livingConnection()
            // Written down first: a daemon that dies half-way leaves the rest to the next.
            container.withState { state in
                for name in asked { state.record.networks[name] = nil }
                state.record.attachments.removeAll { $0.endpoint.networkID == network.id }
                state.record.isRewiring = connection != nil
            }
            try await store.save(container)
            if let attachment, let connection { try await leave(container, attachment, connection, before: record) }
        }
    }

    private func leave(
        _ container: Container, _ attachment: NetworkAttachment, _ connection: ShimConnection, before: ContainerRecord
    ) async throws {
        let launcher = lifecycle.launcher
        // First: once the address is given back, another container may have it.
        if !attachment.published.isEmpty { await lifecycle.closePorts(container, connection) }
        do { try await offloading { try launcher.networks.leave(attachment.endpoint, bindings: attachment.published) } } catch {
            // It is on the network still, and says so.
            container.withState { state in
                state.record.networks = before.networks
                var unpublished = attachment
                unpublished.published = []
                state.record.attachments.append(unpublished)
            }
            await lifecycle.settleNetworksOrTell(container, connection)
            throw error
        }
        launcher.publish("disconnect", attachment.endpoint)
        await lifecycle.settleNetworksOrTell(container, connection)
    }

    private func checkMode(_ record: ContainerRecord, _ network: Network) throws(EngineError) {
        let mode = record.hostConfig.NetworkMode ?? ""
        if mode == "host" || network.driver == "host" {
            throw EngineError(.forbidden, "container cannot be disconnected from host network or connected to host network")
        }
        if mode.hasPrefix("container:") {
            throw EngineError(
                .forbidden, "container sharing network namespace with another container or host cannot be connected to any other network")
        }
        let isOnNone = record.networks.keys.contains { (try? lifecycle.launcher.networks.network($0).driver) == "null" }
        if isOnNone || (network.driver == "null" && !record.networks.isEmpty) {
            throw EngineError(
                .forbidden, "container cannot be connected to multiple networks with one of the networks in private (none) mode")
        }
    }
}
