public import EngineTypes
public import Linux

/// Events of the engine: handed to everyone who listens, and kept (bounded) for those who ask what has been.
public final class EventBus: Sendable {
    /// How many past events are kept.
    public static let historyLimit = 1024

    private struct State {
        var history: [EventMessage] = []
        var next = 0
        var listeners: [Int: AsyncStream<EventMessage>.Continuation] = [:]
    }

    private let state = Locked(State())

    public init() {}

    /// How many clients listen now (`info`).
    public var listenerCount: Int { state.withLock { $0.listeners.count } }

    /// Tells everyone. `kind` is `container`, `image`, `volume`, `network`, `builder` or `daemon`.
    public func publish(_ kind: String, _ action: String, id: String, attributes: [String: String] = [:], at time: Timestamp = .now()) {
        let hasLegacyFields = kind == "container" || kind == "image"
        let event = EventMessage(
            status: hasLegacyFields ? action : nil, id: hasLegacyFields ? id : nil,
            from: kind == "container" ? attributes["image"] : nil, Type: kind, Action: action,
            Actor: .init(ID: id, Attributes: attributes), time: time.seconds,
            timeNano: time.seconds * 1_000_000_000 + Int64(time.nanoseconds))
        state.withLock { state in
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
        for event in past where Self.isInside(event, since, until) && Self.matches(event, filters) { try await emit(event) }
        let end = until.map { $0.nanoseconds(since: .now()) }
        if let end, end <= 0 { return }
        let timer = end.map { nanoseconds in
            Task {
                try? await Task.sleep(nanoseconds: UInt64(nanoseconds))
                continuation.finish()
            }
        }
        defer { timer?.cancel() }
        for await event in stream where Self.matches(event, filters) {
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

    /// Values of one filter are alternatives; different filters must all hold.
    static func matches(_ event: EventMessage, _ filters: Filters) -> Bool {
        let actor = event.Actor
        for (name, wanted) in filters.values where !wanted.isEmpty {
            let holds: Bool
            switch name {
            case "type": holds = wanted.contains(event.Type)
            case "event": holds = wanted.contains { event.Action == $0 || event.Action.hasPrefix($0 + ":") }
            case "scope": holds = wanted.contains(event.scope)
            case "label": holds = Filters.labels(actor.Attributes, satisfy: wanted)
            case "image":
                holds = wanted.contains { wish in
                    [actor.ID, actor.Attributes["image"], actor.Attributes["name"]].compactMap(\.self).contains {
                        $0 == wish || $0.hasPrefix(wish + ":")
                    }
                }
            default:
                holds = event.Type == name && wanted.contains { actor.ID == $0 || actor.Attributes["name"] == $0 || actor.ID.hasPrefix($0) }
            }
            if !holds { return false }
        }
        return true
    }
}
