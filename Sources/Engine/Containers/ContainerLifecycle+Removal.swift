internal import EngineTypes
internal import Glibc
internal import Linux
internal import Logging
internal import Volumes

extension ContainerLifecycle {
    func remove(_ container: Container, force: Bool, volumes removesVolumes: Bool) async throws {
        while true {
            await settle(container)
            if container.isAlive || container.isRestarting {
                guard force else {
                    let status = container.apiState.Status
                    throw EngineError.conflict(
                        "cannot remove container \"\(container.name)\": container is \(status): "
                            + (status == "paused" ? "unpause and then stop" : "stop") + " the container before removing or force remove")
                }
                let exit = ExitWaiter(container)
                if await !cancelRestart(container) {
                    container.withState { $0.record.wasStoppedByUser = true }
                    try await deliver(SIGKILL, to: container, for: .remove)
                    try await expectEnd(container, exit)
                }
            }
            await followers.current[container.id]?.value
            if container.record.hostConfig.AutoRemove == true, (try? store.find(container.id)) == nil { return }
            do { return try await erase(container, volumes: removesVolumes) } catch let error as EngineError where error.cause is IsAlive {
                // Somebody started it in between: again.
            }
        }
    }

    /// The cause of a refusal to erase.
    private struct IsAlive: Error {}

    /// Deletes a container that has ended: its directories, its anonymous volumes when asked, its record.
    func erase(_ container: Container, volumes removesVolumes: Bool) async throws {
        try container.withState { state in
            switch state.phase {
            case .removing: throw EngineError.conflict("removal of container \(container.id) is already in progress")
            // Its files are in use.
            case .starting, .running, .paused, .unreachable:
                throw EngineError(.conflict, "cannot remove container \(container.id): it runs", cause: IsAlive())
            case .created, .restarting, .exited, .dead: state.phase = .removing
            }
        }
        let record = container.record
        launcher.dropPendingStreams(of: container.id)
        execs.dropUnstarted(in: container.id)
        do {
            try await offloading { [directories] in try directories.discard(record.id) }
        } catch {
            container.withState { $0.phase = .dead }
            throw EngineError(.system, "cannot remove container \(record.name): \(error)", cause: error)
        }
        try await store.delete(container)
        if removesVolumes {
            for mount in record.mounts where mount.isAnonymous {
                do { try await offloading { [volumes] in try volumes.remove(mount.name, force: true) } } catch {
                    logger.warning("cannot remove an anonymous volume", metadata: ["volume": "\(mount.name)", "error": "\(error)"])
                }
            }
        }
        publish(container, "destroy")
        container.announce(.removed(code: record.outcome.exitCode, reason: record.outcome.reason))
    }
}
