internal import Linux

/// What the daemon counts of its own work, for whoever watches it (`SystemService.metrics`).
public final class EngineMetrics: Sendable {
    /// What is done to containers, and timed when it succeeds.
    enum ContainerAction: String, CaseIterable { case changes, commit, create, delete, start }

    struct Counts {
        var actions: [ContainerAction: Histogram] = [:]
        var healthChecks = 0
        var failedHealthChecks = 0
        var builds = 0
        var failedBuilds = 0
    }

    private let counts = Locked(Counts())

    public init() {}

    var current: Counts { counts.current }

    /// Runs `body` and, when it succeeds, counts how long it took.
    func time<Result>(_ action: ContainerAction, _ body: () async throws -> Result) async rethrows -> Result {
        let begin = Timestamp.now()
        let result = try await body()
        let seconds = Double(Timestamp.now().nanoseconds(since: begin)) / 1e9
        counts.withLock { $0.actions[action, default: Histogram()].add(seconds) }
        return result
    }

    func healthChecked(failed: Bool) {
        counts.withLock {
            $0.healthChecks += 1
            if failed { $0.failedHealthChecks += 1 }
        }
    }

    func built(failed: Bool) {
        counts.withLock {
            $0.builds += 1
            if failed { $0.failedBuilds += 1 }
        }
    }
}

/// Seconds, counted by size.
struct Histogram: Sendable {
    /// Upper bounds; Prometheus's own choice.
    static let bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    /// How many were at most so large as each bound.
    private(set) var counts = [Int](repeating: 0, count: bounds.count)
    private(set) var count = 0
    private(set) var sum = 0.0

    mutating func add(_ value: Double) {
        for (index, bound) in Self.bounds.enumerated() where value <= bound { counts[index] += 1 }
        count += 1
        sum += value
    }
}
