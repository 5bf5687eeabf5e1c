public import EngineTypes
public import Linux

/// Events of the engine: handed to everyone who listens, and kept (bounded) for those who ask what has been.
public final class EventBus: Sendable {
    /// How many past events are kept.
    public static let historyLimit = 1024

    private struct State {
        var history: [EventMessage] = []
        var next = 0
        var published = 0
        var listeners: [Int: AsyncStream<EventMessage>.Continuation] = [:]
    }

    private let state = Locked(State())

    public init() {}

    /// How many clients listen now (`info`).
    public var listenerCount: Int { state.withLock { $0.listeners.count } }

    /// How many events have been told since the daemon's start.
    var publishedCount: Int { state.withLock { $0.published } }

    /// Tells everyone. `kind` is `container`, `image`, `volume`, `network`, `builder` or `daemon`; `id` is empty for an event of no
    /// one object, such as a prune.
    public func publish(_ kind: String, _ action: String, id: String, attributes: [String: String] = [:], at time: Timestamp = .now()) {
        let hasLegacyFields = kind == "container" || kind == "image"
        let event = EventMessage(
            status: hasLegacyFields ? action : nil, id: hasLegacyFields && !id.isEmpty ? id : nil,
            from: kind == "container" ? attributes["image"] : nil, Type: kind, Action: action,
            Actor: .init(ID: id, Attributes: attributes), time: time.seconds,
            timeNano: time.seconds * 1_000_000_000 + Int64(time.nanoseconds))
        state.withLock { state in
            state.published += 1
            state.history.append(event)
            if state.history.count > Self.historyLimit + 128 { state.history.removeFirst(128) }
            for listener in state.listeners.values { listener.yield(event) }
        }
    }

    /// Past events since `since`, then live ones until `until` or cancellation. Throws what `emit` throws, and
    /// `EngineError.invalid` for an unknown filter.
    public func events(
        since: Timestamp?, until: Timestamp?, filters: Filters, emit: @escaping @Sendable (EventMessage) async throws -> Void
    ) async throws {
        try filters.requireOnly(Filters.eventNames)
        let (stream, continuation) = AsyncStream.makeStream(of: EventMessage.self, bufferingPolicy: .bufferingNewest(8192))
        let (identifier, past) = state.withLock { state in
            let identifier = state.next
            state.next += 1
            state.listeners[identifier] = continuation
            return (identifier, since == nil && until == nil ? [] : state.history)
        }
        defer { _ = state.withLock { $0.listeners.removeValue(forKey: identifier) } }
        let filter = EventFilter(filters: filters)
        for event in past where Self.isInside(event, since, until) && filter.matches(event) { try await emit(event) }
        let end = until.map { $0.nanoseconds(since: .now()) }
        if let end, end <= 0 { return }
        let timer = end.map { nanoseconds in
            Task {
                try? await Task.sleep(nanoseconds: UInt64(nanoseconds))
                continuation.finish()
            }
        }
        defer { timer?.cancel() }
        for await event in stream where filter.matches(event) {
            try Task.checkCancellation()
            try await emit(event)
        }
    }

    private static func isInside(_ event: EventMessage, _ since: Timestamp?, _ until: Timestamp?) -> Bool {
        let time = Timestamp(seconds: event.time, nanoseconds: Int32(event.timeNano % 1_000_000_000))
        if let since, time < since { return false }
        if let until, until < time { return false }
        return true
    }
}
