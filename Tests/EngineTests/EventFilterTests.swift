import EngineTypes
import Testing

@testable import Engine

@Suite struct EventFilterTests {
    private let start = event("container", "start", id: "abc123", ["name": "web", "image": "host:5000/repo/app:v1", "tier": "front"])
    private let exec = event("container", "exec_create: sh -c true", id: "abc123", ["name": "web", "image": "app"])
    private let tag = event("image", "tag", id: "sha256:1", ["name": "app:v1"])

    private static func event(_ kind: String, _ action: String, id: String, _ attributes: [String: String]) -> EventMessage {
        EventMessage(
            status: nil, id: nil, from: nil, Type: kind, Action: action, Actor: .init(ID: id, Attributes: attributes), time: 1, timeNano: 1)
    }

    @Test(arguments: [
        ("type", ["container"], true), ("type", ["image"], false), ("event", ["start"], true), ("event", ["sta"], false),
        ("event", ["stop", "start"], true), ("container", ["abc"], true), ("container", ["we"], true), ("container", ["b"], false),
        ("image", ["host:5000/repo/app:v1"], true), ("image", ["host:5000/repo/app"], true), ("image", ["app"], false),
        ("label", ["tier"], true), ("label", ["tier=front"], true), ("label", ["tier", "none"], false), ("scope", ["local"], true),
        ("scope", ["swarm"], false), ("network", ["abc"], true), ("daemon", ["x"], false), ("volume", ["web"], true),
    ])
    func ofAContainer(_ name: String, _ values: [String], _ expected: Bool) {
        #expect(EventFilter(filters: Filters([name: values])).matches(start) == expected)
    }

    @Test func actionsWithDetailsAreAskedForWithout() {
        #expect(EventFilter(filters: Filters(["event": ["exec_create"]])).matches(exec))
        #expect(!EventFilter(filters: Filters(["event": ["exec_die"]])).matches(exec))
        #expect(EventFilter(filters: Filters(["event": ["exec_create: sh -c true"]])).matches(exec))
    }

    @Test func imagesByNameWithAndWithoutTag() {
        for wish in ["app:v1", "app", "sha256:1"] { #expect(EventFilter(filters: Filters(["image": [wish]])).matches(tag)) }
        #expect(!EventFilter(filters: Filters(["image": ["app:v2"]])).matches(tag))
    }

    @Test func differentFiltersMustAllHold() {
        #expect(!EventFilter(filters: Filters(["type": ["container"], "event": ["stop"]])).matches(start))
        #expect(EventFilter(filters: Filters(["type": ["container"], "event": ["start"]])).matches(start))
    }
}
