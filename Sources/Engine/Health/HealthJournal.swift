internal import EngineTypes
internal import JSON
internal import Linux
internal import Logging

/// What the health checks of running containers found, for the daemon after this one: a small file in each container's run
/// directory, replaced after each check and never synced. There it costs no disk (the directory is on a tmpfs), outlives the
/// daemon, and ends with the machine, as the run that it speaks of. A run's last state goes with the container's record.
struct HealthJournal: Sendable {
    let configuration: EngineConfiguration
    let logger: Logger

    private struct Entry: Codable {
        /// When the run began that was checked, as its supervisor tells: what an earlier run left says nothing about this one.
        let run: String
        let health: HealthState
    }

    /// What was found in the run that began at `run`; nil when nobody has checked it yet. Blocks for a small file.
    func read(_ id: String, run: String) -> HealthState? {
        guard let bytes = try? Files.read(configuration.paths(of: id).health), let entry = try? JSON.decode(Entry.self, from: bytes),
            entry.run == run
        else { return nil }
        return entry.health
    }

    /// Checks go on when it cannot be written: the next daemon then begins anew.
    func write(_ health: HealthState, _ id: String, run: String) async {
        do {
            let bytes = try JSON.encode(Entry(run: run, health: health))
            try await offloaded { [configuration] in try Files.replace(configuration.paths(of: id).health, with: bytes, durable: false) }
        } catch {
            logger.warning("cannot note a health check's result", metadata: ["container": "\(id)", "error": "\(error)"])
        }
    }
}
