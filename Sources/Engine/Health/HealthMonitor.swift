internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux
internal import Supervision

/// Runs the health checks of running containers and writes down what they say. A check is one exec through the
/// container's own shim: no thread and no process of the daemon waits for it.
struct HealthMonitor: Sendable {
    let probe: HealthProbe
    let journal: HealthJournal
    let events: EventBus
    let metrics: EngineMetrics

    /// How many results `inspect` shows, and how many bytes of each one's output (Docker's figures).
    static let loggedResults = 5
    static let loggedBytes = 4096

    /// A check with Docker's defaults filled in; durations in nanoseconds.
    struct Check: Sendable, Equatable {
        let command: [String]
        let interval: UInt64
        let timeout: UInt64
        let startPeriod: UInt64
        let startInterval: UInt64
        let retries: Int

        /// nil when the container has none (`NONE`, empty, or no configuration).
        init?(_ config: ContainerConfig) {
            guard let health = config.Healthcheck, let test = health.Test, let kind = test.first else { return nil }
            switch kind {
            case "CMD": command = Array(test.dropFirst())
            case "CMD-SHELL": command = (config.Shell ?? ["/bin/sh", "-c"]) + [test.dropFirst().joined(separator: " ")]
            default: return nil
            }
            guard !command.isEmpty else { return nil }
            func time(_ value: Int64?, _ fallback: UInt64) -> UInt64 { value.flatMap { $0 > 0 ? UInt64($0) : nil } ?? fallback }
            interval = time(health.Interval, 30_000_000_000)
            timeout = time(health.Timeout, 30_000_000_000)
            startPeriod = time(health.StartPeriod, 0)
            startInterval = time(health.StartInterval, 5_000_000_000)
            retries = health.Retries.flatMap { $0 > 0 ? $0 : nil } ?? 3
        }

        func isInStartPeriod(_ moment: Timestamp, since begin: Timestamp) -> Bool {
            moment.nanoseconds(since: begin) < Int64(clamping: startPeriod)
        }
    }

    /// Starts checking; the task ends when the container does and is cancelled by the caller then.
    func start(_ container: Container, _ connection: ShimConnection) -> Task<Void, Never>? {
        guard let check = Check(container.record.config) else { return nil }
        if let found = journal.read(container.id, run: connection.startedAt) {
            // Another daemon has checked this run already.
            container.withState { $0.record.health = found }
        } else {
            // What was found in earlier runs stays to be read; it counts no more.
            container.withState { state in
                state.record.health = HealthState(Status: "starting", FailingStreak: 0, Log: state.record.health?.Log ?? [])
            }
        }
        // The container's own start, which may be long before this daemon's.
        let begin = Timestamp(connection.startedAt) ?? .now()
        return Task {
            while !Task.isCancelled {
                let status = container.withState { $0.record.health?.Status }
                let isStarting = status == "starting" && check.isInStartPeriod(.now(), since: begin)
                let pause = isStarting ? min(check.startInterval, check.interval) : check.interval
                do { try await Task.sleep(nanoseconds: pause) } catch { return }
                // A paused container's checks would only wait for their time-out.
                guard case .running = container.phase else { continue }
                guard let result = await probe.run(check.command, timeout: check.timeout, container, connection) else { continue }
                if Task.isCancelled { return }
                metrics.healthChecked(failed: result.exitCode != 0)
                let found = record(result, check, container, countsFailure: !check.isInStartPeriod(result.start, since: begin))
                if let found { await journal.write(found, container.id, run: connection.startedAt) }
            }
        }
    }

    /// The container has ended, and its checks: as dockerd, whoever looks sees that nobody vouches for it.
    static func stopped(_ health: HealthState?) -> HealthState? {
        health.map { HealthState(Status: "unhealthy", FailingStreak: $0.FailingStreak, Log: $0.Log) }
    }

    /// Failures of the start period don't count until the first success. Answers how the container stands now.
    private func record(_ result: HealthProbe.Outcome, _ check: Check, _ container: Container, countsFailure: Bool) -> HealthState? {
        var found: HealthState?
        let change: String? = container.withState { state in
            guard var health = state.record.health else { return nil }
            let before = health.Status
            if result.exitCode == 0 {
                health.Status = "healthy"
                health.FailingStreak = 0
            } else if countsFailure || before != "starting" {
                health.FailingStreak += 1
                if health.FailingStreak >= check.retries { health.Status = "unhealthy" }
            }
            health.Log = Array((health.Log + [result.json]).suffix(Self.loggedResults))
            state.record.health = health
            found = health
            return health.Status == before ? nil : health.Status
        }
        if let change { events.publish("health_status: \(change)", of: container.record) }
        return found
    }
}
