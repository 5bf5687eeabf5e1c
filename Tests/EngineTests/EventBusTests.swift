import EngineTypes
import Linux
import Testing

@testable import Engine

@Suite struct EventBusTests {
    private func seen(_ bus: EventBus, since: Int64?, until: Int64?, _ filters: [String: [String]] = [:]) async throws -> [String] {
        let found = Locked<[String]>([])
        try await bus.events(
            since: since.map { Timestamp(seconds: $0) }, until: until.map { Timestamp(seconds: $0) }, filters: Filters(filters)
        ) { event in found.withLock { $0.append(event.Action) } }
        return found.current
    }

    @Test(
        arguments: [
            (10, 12, ["b", "c"]), (nil, 11, ["a", "b"]), (12, 99, ["c", "d"]), (14, 99, []), (10, 9, []),
        ] as [(Int64?, Int64?, [String])])
    func history(_ since: Int64?, _ until: Int64?, _ expected: [String]) async throws {
        let bus = EventBus()
        for (second, action) in [(9, "a"), (11, "b"), (12, "c"), (13, "d")] {
            bus.publish("volume", action, id: "v", at: Timestamp(seconds: Int64(second)))
        }
        #expect(try await seen(bus, since: since, until: until) == expected)
        #expect(bus.listenerCount == 0)
    }

    /// Waits until someone listens; gives up when a listener has come and gone, as on a machine under heavy load.
    private func becomesListenedTo(_ bus: EventBus) async throws {
        while bus.listenerCount == 0 { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test func historyIsBounded() async throws {
        let bus = EventBus()
        for number in 0..<3000 { bus.publish("volume", "\(number)", id: "v", at: Timestamp(seconds: Int64(number))) }
        let actions = try await seen(bus, since: 0, until: 5000)
        #expect(actions.last == "2999" && (EventBus.historyLimit...EventBus.historyLimit + 128).contains(actions.count))
    }

    @Test func liveUntilItsEnd() async throws {
        let bus = EventBus()
        let found = Locked<[String]>([])
        let listening = Task {
            // From here: on a busy machine a task may begin seconds later.
            let end = Timestamp.now().adding(nanoseconds: 3_000_000_000)
            try await bus.events(since: nil, until: end, filters: Filters(["type": ["image"]])) { event in
                found.withLock { $0.append(event.Action) }
            }
        }
        try await becomesListenedTo(bus)
        bus.publish("image", "pull", id: "i")
        bus.publish("volume", "create", id: "v")
        try await listening.value
        #expect(found.current == ["pull"])
        #expect(bus.listenerCount == 0)
    }

    @Test func cancellationEndsListening() async throws {
        let bus = EventBus()
        let listening = Task { try await bus.events(since: nil, until: nil, filters: Filters()) { _ in } }
        try await becomesListenedTo(bus)
        listening.cancel()
        _ = await listening.result
        #expect(bus.listenerCount == 0)
    }

    @Test func unknownFilterIsRefused() async {
        await #expect(throws: EngineError.self) { try await seen(EventBus(), since: nil, until: 1, ["colour": ["red"]]) }
    }
}
