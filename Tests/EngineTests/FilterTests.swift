import EngineTypes
import Images
import Linux
import Logging
import RecordStore
import Testing

@testable import Engine

@Suite struct ContainerFilterTests {
    private let scratch: Scratch
    private let store: ContainerStore
    private let images: ImageStore
    private let container: Container

    init() throws {
        scratch = try Scratch()
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        let records = try RecordStore(root: scratch.path)
        store = try ContainerStore(records: records, logger: logger)
        images = try ImageStore(root: scratch.path, records: records, logger: logger)
        var config = ContainerConfig()
        config.Labels = ["tier": "front", "empty": ""]
        // Whatever a client sent once is in the record.
        config.ExposedPorts = ["80/tcp": EmptyObject(), "/": EmptyObject(), "": EmptyObject(), "53/udp": EmptyObject()]
        var record = makeRecord("abc123", config: config)
        record.name = "web-1"
        record.networks = ["backend": EndpointSettings()]
        record.mounts = [ResolvedMount(kind: .volume, name: "data", source: "/v/data", destination: "/srv")]
        record.outcome.exitCode = 3
        record.outcome.startedAt = "2026-01-01T00:00:00Z"
        container = Container(record, phase: .exited)
        store.insert(container)
        let older = makeRecord("def456")
        store.insert(Container(older, phase: .created))
    }

    @Test(arguments: [
        ("id", "abc", true), ("id", "123", true), ("id", "x", false), ("name", "web", true), ("name", "^web-\\d$", true),
        ("name", "^/web", true), ("name", "^eb", false), ("name", "[", false), ("status", "exited", true), ("status", "running", false),
        ("exited", "3", true), ("exited", "0", false), ("label", "tier", true), ("label", "tier=front", true),
        ("label", "tier=back", false),
        ("label", "empty=", true), ("network", "backend", true), ("network", "front", false), ("volume", "data", true),
        ("volume", "/srv", true),
        ("volume", "x", false), ("expose", "80", false), ("publish", "80", false), ("is-task", "false", true),
        ("is-task", "true", false), ("ancestor", "nothing", false), ("health", "none", true), ("since", "def456", false),
    ])
    func matches(_ name: String, _ value: String, _ expected: Bool) throws {
        let filter = try ContainerFilter(Filters([name: [value]]), store: store, images: images)
        #expect(filter.matches(container) == expected)
    }

    @Test(arguments: [
        ("colour", "red", "invalid filter 'colour'"),
        (
            "status", "flying",
            "invalid filter 'status=flying': invalid value for state (flying): must be one of created, running, paused, restarting, "
                + "removing, exited, dead"
        ),
        ("health", "ill", "invalid filter 'health=ill': invalid value for health (ill): must be one of none, starting, healthy, unhealthy"),
        ("expose", "9-1", "error while looking up for expose 9-1: invalid port range"),
        ("publish", "x", "error while looking up for publish x: invalid port range"),
        ("publish", "1:2", "filter for 'publish' should not contain ':': 1:2"),
        ("is-task", "perhaps", "invalid filter 'is-task=[perhaps]'"),
        ("exited", "x", "invalid filter 'exited=x'"), ("before", "zz", "No such container: zz"),
    ])
    func refused(_ name: String, _ value: String, _ text: String) {
        #expect(message { _ = try ContainerFilter(Filters([name: [value]]), store: store, images: images) } == text)
    }

    @Test func lookingUp() throws {
        try store.reserve("web-1", for: "abc123")
        for text in ["abc", "abc123", "web-1", "/web-1"] { #expect(try store.find(text).id == "abc123") }
        #expect(message { _ = try store.find("") } == "No such container: ")
        store.insert(Container(makeRecord("abc999"), phase: .created))
        #expect(message { _ = try store.find("abc") } == "Multiple IDs found with provided prefix: abc")
    }

    @Test func namesAreTakenOnce() throws {
        try store.reserve("n", for: "one")
        try store.reserve("n", for: "one")
        #expect(message { try store.reserve("n", for: "two") }?.contains("is already in use by container \"one\"") == true)
        store.release("n", of: "two")
        #expect(store.container(withName: "n") == "one")
        store.release("n", of: "one")
        try store.reserve("n", for: "two")
    }
}
