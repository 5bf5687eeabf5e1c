internal import AsyncHTTPClient
internal import JSON
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// Sends events to one address, in order, each until it is taken (a status below 400) or has been tried often enough. The queue is
/// bounded: a receiver that is down for long loses the oldest events, and the log says how many.
final class Notifier: Sendable {
    private struct State {
        var queue: [JSONValue] = []
        var dropped = 0
        var sleeper: CheckedContinuation<Void, Never>?
        var isStopping = false
    }

    let actions: Set<String>
    private let configuration: RegistryConfiguration.Notification
    private let client: HTTPClient
    private let logger: Logger
    private let metrics: Metrics
    private let state = Mutex(State())

    init(_ configuration: RegistryConfiguration.Notification, client: HTTPClient, metrics: Metrics, logger: Logger) {
        self.configuration = configuration
        self.client = client
        self.metrics = metrics
        self.logger = logger
        actions = Set(configuration.actions)
    }

    func enqueue(_ event: JSONValue) {
        let sleeper = state.withLock { state in
            if state.queue.count >= configuration.queue {
                state.queue.removeFirst()
                state.dropped += 1
                metrics.eventLost()
            }
            state.queue.append(event)
            defer { state.sleeper = nil }
            return state.sleeper
        }
        sleeper?.resume()
    }

    /// Sends until `stop`, then what is left once.
    func run() async {
        while let (event, dropped) = await next() {
            if dropped > 0 { logger.warning("events lost: queue full", metadata: ["url": "\(configuration.url)", "count": "\(dropped)"]) }
            await deliver(event)
        }
    }

    func stop() {
        let sleeper = state.withLock { state in
            state.isStopping = true
            defer { state.sleeper = nil }
            return state.sleeper
        }
        sleeper?.resume()
    }

    private func next() async -> (JSONValue, dropped: Int)? {
        while true {
            let (event, dropped, isStopping) = state.withLock { state -> (JSONValue?, Int, Bool) in
                guard !state.queue.isEmpty else { return (nil, 0, state.isStopping) }
                defer { state.dropped = 0 }
                return (state.queue.removeFirst(), state.dropped, state.isStopping)
            }
            if let event { return (event, dropped) }
            if isStopping { return nil }
            await withCheckedContinuation { continuation in
                let isLate = state.withLock { state in
                    if !state.queue.isEmpty || state.isStopping { return true }
                    state.sleeper = continuation
                    return false
                }
                if isLate { continuation.resume() }
            }
        }
    }

    private func deliver(_ event: JSONValue) async {
        let envelope: JSONValue = ["events": [event]]
        let body = ByteBuffer(bytes: envelope.serialized())
        var reason = ""
        for attempt in 1...configuration.attempts {
            var request = HTTPClientRequest(url: configuration.url)
            request.method = .POST
            request.headers.add(name: "Content-Type", value: "application/vnd.docker.distribution.events.v2+json")
            for (name, value) in configuration.headers { request.headers.replaceOrAdd(name: name, value: value) }
            request.body = .bytes(body)
            do {
                let response = try await client.execute(request, timeout: .seconds(Int64(configuration.timeout)))
                if response.status.code < 400 { return metrics.eventSent() }
                reason = "\(response.status)"
            } catch { reason = "\(error)" }
            if state.withLock({ $0.isStopping }) || attempt == configuration.attempts { break }
            // 0.2, 0.4 … 30 s.
            let pause = min(30_000, 100 << min(attempt, 10))
            try? await Task.sleep(for: .milliseconds(pause))
        }
        metrics.eventLost()
        logger.warning("event lost: receiver does not take it", metadata: ["url": "\(configuration.url)", "error": "\(reason)"])
    }
}
