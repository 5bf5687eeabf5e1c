internal import EngineTypes
internal import Logging
internal import Networking
internal import ShimProtocol
internal import Supervision

/// What follows a change of the networks of a container that runs.
extension ContainerLifecycle {
    /// Gives a container its default routes and published ports on the network that has them by Docker's rules, lets its files
    /// and names say what is, and writes that down. With the transition lock held, and `isRewiring` written down before.
    ///
    /// After a failure its ports are published nowhere, or where they were.
    /// - Parameter anew: whether it is not known what the supervisor holds: the daemon died within a change.
    func settleNetworks(_ container: Container, _ connection: ShimConnection, anew: Bool = false) async throws {
        let record = container.record
        try await offloading { [launcher] in
            let sandbox = try launcher.sandbox(of: connection)
            try launcher.chooseGateways(record.attachments, sandbox)
            try launcher.serveNames(record, record.attachments, sandbox)
            try launcher.writeHosts(record, record.attachments)
            try launcher.writeResolvConf(record, record.attachments)
        }
        try await movePorts(container, connection, anew: anew)
        container.withState { $0.record.isRewiring = false }
        try await store.save(container)
    }

    /// The same where the change is done whatever comes of it: a failure is told in the log.
    func settleNetworksOrTell(_ container: Container, _ connection: ShimConnection, anew: Bool = false) async {
        do { try await settleNetworks(container, connection, anew: anew) } catch {
            logger.warning(
                "a container's networks have changed, but not all that follows",
                metadata: ["container": "\(container.id)", "error": "\(error)"])
            container.withState { $0.record.isRewiring = false }
            try? await store.save(container)
        }
    }

    private func movePorts(_ container: Container, _ connection: ShimConnection, anew: Bool) async throws {
        let record = container.record
        let requests = try PortRequests(record).requests
        guard !requests.isEmpty else { return }
        let target = record.attachments.publishing?.endpoint
        let holders = record.attachments.filter { !$0.published.isEmpty }
        if !anew, holders.map(\.endpoint.id) == [target?.id].compactMap({ $0 }) { return }
        // The sockets first: once the address is another's, nothing may be passed on to it.
        if anew || !holders.isEmpty { await closePorts(container, connection) }
        for holder in holders {
            try await offloading { [networks = launcher.networks] in try networks.unpublish(holder.endpoint, holder.published) }
            _ = note(published: [], at: holder.endpoint, of: container)
        }
        guard let target else { return }
        let published = try await offloading { [networks = launcher.networks] in try networks.publish(target, ports: requests) }
        defer { published.closeSockets() }
        do {
            let numbers = try await connection.hold(published.descriptors)
            if let relay = published.relay({ numbers[$0] }) { try await connection.servePorts(relay) }
            // It may have ended in the meantime, and left its networks.
            guard note(published: published.bindings, at: target, of: container) else {
                throw EngineError.conflict("container \(container.id) is not running")
            }
        } catch {
            await closePorts(container, connection)
            try? await offloading { [networks = launcher.networks] in try networks.unpublish(target, published.bindings) }
            throw EngineError.from(error)
        }
    }

    /// False when the container has left the network.
    private func note(published: [PublishedPort], at endpoint: Endpoint, of container: Container) -> Bool {
        container.withState { state in
            guard let index = state.record.attachments.firstIndex(where: { $0.endpoint.id == endpoint.id }) else { return false }
            state.record.attachments[index].published = published
            return true
        }
    }

    /// From when this returns nothing is passed on to the container's address.
    func closePorts(_ container: Container, _ connection: ShimConnection) async {
        do throws(ShimFailure) { try await connection.closePorts() } catch {
            // As after its end, which closes them too.
            if error.kind == .conflict { return }
            logger.warning(
                "a container's ports stay taken until its end", metadata: ["container": "\(container.id)", "error": "\(error)"])
        }
    }
}

extension ContainerLauncher {
    /// The network namespace of a container that runs; throws where it has ended.
    func sandbox(of connection: ShimConnection) throws -> NetworkSandbox {
        let sandbox = try networks.reopenSandbox(pid: connection.containerPID)
        // Asked after it is open: the number may be another process's by now.
        if connection.hasEnded { throw EngineError.conflict("container \(connection.containerID) is not running") }
        return sandbox
    }
}
