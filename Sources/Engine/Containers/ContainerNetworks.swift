internal import EngineTypes
internal import Linux
internal import Logging
internal import Networking
internal import ShimProtocol
internal import Supervision

/// Containers joining and leaving networks between their creation and their removal.
extension ContainerService {
    /// A container that runs has its new interface when this returns; one that does not joins at its next start.
    func connect(_ id: String, to network: Network, _ settings: EndpointSettings) async throws {
        let container = try store.find(id)
        try EndpointChecks.check(settings, network: network.name)
        try await container.transition.withLock {
            let record = container.record
            try checkMode(record, network)
            if (settings.GwPriority ?? 0) != 0, container.isAlive {
                throw EngineError.notImplemented("EndpointSettings.GwPriority for a container that runs")
            }
            if case .removing = container.phase { throw EngineError.conflict("container \(container.id) is marked for removal") }
            var attachment: NetworkAttachment?
            if let connection = try? container.connection() {
                if record.attachments.contains(where: { $0.endpoint.networkID == network.id }) {
                    throw EngineError(.forbidden, "endpoint with name \(record.name) already exists in network \(network.name)")
                }
                attachment = try await join(record, network, settings, pid: connection.containerPID)
            }
            container.withState { state in
                state.record.networks[network.name] = settings
                if let attachment { state.record.attachments.append(attachment) }
            }
            try await store.save(container)
        }
    }

    private func join(_ record: ContainerRecord, _ network: Network, _ settings: EndpointSettings, pid: Int32) async throws
        -> NetworkAttachment
    {
        let launcher = lifecycle.launcher
        return try await offloading {
            let sandbox = try launcher.networks.reopenSandbox(pid: pid)
            let attachment = try launcher.attach(record, to: network.name, settings, sandbox: sandbox)
            do {
                let all = record.attachments + [attachment]
                try launcher.serveNames(record, all, sandbox)
                try launcher.writeHosts(record, all)
                try launcher.writeResolvConf(record, all)
            } catch {
                try? launcher.networks.detach(attachment.endpoint, bindings: [], containerLives: true)
                throw error
            }
            return attachment
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
            let launcher = lifecycle.launcher
            let asked = try await offloading {
                record.networks.keys.filter { (try? launcher.networks.network($0).id) == network.id }
            }
            let attachment = record.attachments.first { $0.endpoint.networkID == network.id }
            guard attachment != nil || !asked.isEmpty else {
                if force { return }
                throw EngineError(.system, "container \(container.id) is not connected to network \(network.name)")
            }
            let remaining = record.attachments.filter { $0.endpoint.networkID != network.id }
            if let attachment, let connection = try? container.connection() {
                let pid = connection.containerPID
                let sandbox = try await offloading { try launcher.networks.reopenSandbox(pid: pid) }
                // First: once the address is given back, another container may have it.
                if !attachment.published.isEmpty { await closePorts(container, connection) }
                try await offloading {
                    try launcher.networks.detach(
                        attachment.endpoint, bindings: attachment.published, sandbox: sandbox, others: remaining.map(\.endpoint))
                    try launcher.writeHosts(record, remaining)
                    try launcher.writeResolvConf(record, remaining)
                }
                launcher.publish("disconnect", attachment.endpoint)
            }
            container.withState { state in
                state.record.attachments = remaining
                for name in asked { state.record.networks[name] = nil }
            }
            try await store.save(container)
        }
    }

    /// From when this returns nothing is passed on to the container's address.
    private func closePorts(_ container: Container, _ connection: ShimConnection) async {
        do throws(ShimFailure) { try await connection.closePorts() } catch {
            lifecycle.launcher.logger.warning(
                "a container's ports stay taken until its end", metadata: ["container": "\(container.id)", "error": "\(error)"])
        }
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
        if mode == "none" || network.driver == "null" {
            throw EngineError(
                .forbidden, "container cannot be connected to multiple networks with one of the networks in private (none) mode")
        }
    }
}
