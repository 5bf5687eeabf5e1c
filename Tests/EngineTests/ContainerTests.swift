import EngineTypes
import JSON
import Linux
import Logging
import Networking
import RecordStore
import Testing

@testable import Engine

@Suite struct NamesAndSignals {
    @Test(arguments: [
        ("web", true), ("a1", true), ("0-_.z", true), ("a", false), ("", false), ("-a", false), ("_ab", false), ("a b", false),
        ("a/b", false), ("äb", false), ("ab\u{301}", false), ("a\n", false),
    ])
    func containerNames(_ name: String, _ isAllowed: Bool) {
        let text = "Invalid container name (\(name)), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        #expect(message { try ContainerNames.check(name) } == (isAllowed ? nil : text))
    }

    @Test func generatedNamesAreAllowedAndFree() throws {
        let first = ContainerNames.generate { _ in false }
        try ContainerNames.check(first)
        // With every pair of words taken there is a number behind.
        let numbered = ContainerNames.generate { $0.last?.isNumber != true }
        #expect(numbered.last?.isNumber == true)
    }

    @Test func identifiers() {
        let ids = (0..<200).map { _ in ContainerNames.newID() }
        #expect(Set(ids).count == 200)
        #expect(ids.allSatisfy { $0.count == 64 && $0.allSatisfy { "0123456789abcdef".contains($0) } })
    }

    @Test(
        arguments: [
            ("9", 9), ("KILL", 9), ("sigkill", 9), ("SIGTERM", 15), ("IOT", 6), ("RTMIN", 34), ("SIGRTMIN+3", 37), ("RTMAX", 64),
            ("RTMAX-14", 50), ("64", 64), ("0", nil), ("65", nil), ("-9", nil), ("", nil), ("SIG", nil), ("RTMIN+31", nil), ("NOPE", nil),
        ] as [(String, Int32?)])
    func signals(_ text: String, _ number: Int32?) { #expect(Signals.number(text) == number) }

    @Test func signalNames() {
        #expect(
            Signals.name(9) == "SIGKILL" && Signals.name(6) == "SIGABRT" && Signals.name(17) == "SIGCHLD" && Signals.name(40) == "signal 40"
        )
    }

    @Test(
        arguments: [
            (0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (119, "About a minute"),
            (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"), (7200, "2 hours"), (172_800, "2 days"),
            (14 * 86_400, "2 weeks"), (61 * 86_400, "2 months"), (800 * 86_400, "2 years"),
        ] as [(Int64, String)])
    func durations(_ seconds: Int64, _ text: String) { #expect(StatusText.words(seconds) == text) }

    @Test(
        arguments: [
            ("running", nil, "Up 5 minutes"), ("paused", nil, "Up 5 minutes (Paused)"), ("exited", nil, "Exited (3) 2 minutes ago"),
            ("created", nil, "Created"), ("restarting", nil, "Restarting (3) 2 minutes ago"), ("dead", nil, "Dead"),
            ("removing", nil, "Removal In Progress"), ("running", "starting", "Up 5 minutes (health: starting)"),
            ("running", "unhealthy", "Up 5 minutes (unhealthy)"),
        ] as [(String, String?, String)])
    func statusTexts(_ status: String, _ health: String?, _ text: String) {
        let now = Timestamp.now()
        let state = ContainerState(
            Status: status, Running: true, Paused: status == "paused", Restarting: false, OOMKilled: false, Dead: false, Pid: 1,
            ExitCode: 3, Error: "", StartedAt: now.adding(nanoseconds: -300_500_000_000).description,
            FinishedAt: now.adding(nanoseconds: -120_500_000_000).description,
            Health: health.map { HealthState(Status: $0, FailingStreak: 0, Log: []) })
        #expect(StatusText.text(state) == text)
    }

    /// st_mode and Go's os.FileMode.
    @Test(
        arguments: [
            (0o100644, 0o644), (0o040755, 0o755 | 1 << 31), (0o120777, 0o777 | 1 << 27), (0o060600, 0o600 | 1 << 26),
            (0o020666, 0o666 | 1 << 26 | 1 << 21), (0o010600, 0o600 | 1 << 25), (0o140700, 0o700 | 1 << 24), (0o104755, 0o755 | 1 << 23),
            (0o102755, 0o755 | 1 << 22), (0o041777, 0o777 | 1 << 31 | 1 << 20),
        ] as [(UInt32, UInt32)])
    func goFileModes(_ mode: UInt32, _ expected: UInt32) { #expect(GoFileMode.mode(mode) == expected) }
}

@Suite struct PortRequestsTests {
    private func requests(_ bindings: [String: [PortBinding]?], exposed: [String] = [], all: Bool = false) throws -> [String] {
        var host = HostConfig()
        host.PortBindings = bindings
        host.PublishAllPorts = all
        var config = ContainerConfig()
        config.ExposedPorts = Dictionary(uniqueKeysWithValues: exposed.map { ($0, EmptyObject()) })
        return try PortRequests(makeRecord(config: config, host: host)).requests.map {
            "\($0.hostIP ?? "*"):\($0.hostPorts.map { "\($0.lowerBound)-\($0.upperBound)" } ?? "any")->\($0.containerPort)/\($0.proto.rawValue)"
        }
    }

    @Test func bindings() throws {
        let given: [String: [PortBinding]?] = [
            "80/tcp": [PortBinding(HostIp: "", HostPort: "8080"), PortBinding(HostIp: "127.0.0.1", HostPort: "9000-9002")],
            "53/udp": [PortBinding(HostIp: nil, HostPort: nil)], "70": nil,
        ]
        #expect(try requests(given) == ["*:any->53/udp", "*:8080-8080->80/tcp", "127.0.0.1:9000-9002->80/tcp"])
        #expect(try requests(given, exposed: ["80/tcp", "81/tcp"], all: true).last == "*:any->81/tcp")
        #expect(try requests([:], exposed: ["80/tcp"]) == [])
    }

    @Test(arguments: ["", "/", "x/tcp", "0/tcp", "65536/tcp", "80/abc", "80/tcp/x", "-1"])
    func badKeys(_ key: String) {
        #expect(message { _ = try PortRequests.parse(key) } == "invalid port specification: \"\(key)\"")
        #expect(throws: (any Error).self) { try requests([key: [PortBinding(HostIp: nil, HostPort: "1")]]) }
    }

    @Test(arguments: ["x", "9-8", "1-2-3", "70000"])
    func badHostPorts(_ port: String) {
        #expect(throws: (any Error).self) { try requests(["80/tcp": [PortBinding(HostIp: nil, HostPort: port)]]) }
    }
}

@Suite struct RecordTests {
    /// As the first daemon wrote it: without what came later.
    private static let old = """
        {"id":"c1","name":"web","created":"2026-01-02T03:04:05Z","imageID":"sha256:1","imageName":"busybox","config":{"Cmd":["ls"]},
        "hostConfig":{},"networks":{"bridge":{}},"path":"ls","arguments":[],
        "mounts":[{"kind":"volume","name":"v","source":"/v","destination":"/data"}],"outcome":{"phase":"exited","exitCode":7}}
        """

    @Test func missingFieldsHaveDefaults() throws {
        let record = try JSON.decode(ContainerRecord.self, from: Array(Self.old.utf8))
        #expect(record.name == "web" && record.restartCount == 0 && !record.wasStoppedByUser && record.attachments.isEmpty)
        #expect(record.outcome.phase == .exited && record.outcome.exitCode == 7 && record.outcome.error.isEmpty)
        #expect(record.mounts == [ResolvedMount(kind: .volume, name: "v", source: "/v", destination: "/data")])
        #expect(record.mounts[0].isRecursive)
    }

    @Test func whatMustBeThereIsAskedFor() {
        #expect(throws: (any Error).self) { try JSON.decode(ContainerRecord.self, from: Array(#"{"id":"c1"}"#.utf8)) }
        let unknown = Self.old.replacing("\"exited\"", with: "\"flying\"")
        #expect(throws: (any Error).self) { try JSON.decode(ContainerRecord.self, from: Array(unknown.utf8)) }
    }

    @Test func roundTrip() throws {
        var record = makeRecord()
        record.restartCount = 3
        record.wasStoppedByUser = true
        record.outcome = .init(phase: .dead, pid: 4, exitCode: 5, error: "e", wasOutOfMemory: true, startedAt: "s", finishedAt: "f")
        var mount = ResolvedMount(kind: .bind, source: "/s", destination: "/d", isReadOnly: true, mode: "ro", propagation: "rslave")
        (mount.isRecursive, mount.options, mount.copiesImageContent, mount.isAnonymous, mount.createsSource) = (
            false, ["a"], true, true, true
        )
        record.mounts = [mount]
        let bytes = try JSON.encode(record)
        let read = try JSON.decode(ContainerRecord.self, from: bytes)
        #expect(try JSON.encode(read) == bytes)
        #expect(read.mounts == [mount] && read.outcome == record.outcome && read.restartCount == 3 && read.wasStoppedByUser)
    }
}

@Suite struct HealthChecks {
    private func check(_ test: [String]?, shell: [String]? = nil, _ fill: (inout HealthConfig) -> Void = { _ in }) -> HealthMonitor.Check? {
        var config = ContainerConfig()
        var health = HealthConfig()
        health.Test = test
        fill(&health)
        config.Healthcheck = health
        config.Shell = shell
        return HealthMonitor.Check(config)
    }

    @Test func commands() {
        #expect(HealthMonitor.Check(ContainerConfig()) == nil)
        for none in [nil, [], ["NONE"], ["CMD"], ["what", "x"]] as [[String]?] { #expect(check(none) == nil) }
        #expect(check(["CMD", "curl", "-f"])?.command == ["curl", "-f"])
        #expect(check(["CMD-SHELL", "a | b"])?.command == ["/bin/sh", "-c", "a | b"])
        #expect(check(["CMD-SHELL", "a"], shell: ["bash", "-ec"])?.command == ["bash", "-ec", "a"])
    }

    @Test func defaultsAndGivenTimes() {
        let usual = check(["CMD", "x"]) {
            $0.Interval = 0; $0.Timeout = -1
        }
        #expect(usual?.interval == 30_000_000_000 && usual?.timeout == 30_000_000_000 && usual?.startPeriod == 0 && usual?.retries == 3)
        let given = check(["CMD", "x"]) { ($0.Interval, $0.Timeout, $0.StartPeriod, $0.StartInterval, $0.Retries) = (1, 2, 3, 4, 5) }
        #expect(given?.interval == 1 && given?.timeout == 2 && given?.startPeriod == 3 && given?.startInterval == 4 && given?.retries == 5)
    }
}

@Suite struct Locks {
    @Test func waitersAreServedInOrder() async {
        let lock = AsyncLock()
        let order = Locked<[Int]>([])
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let holder = Task { await lock.withLock { for await _ in gate { break } } }
        await settle()
        var waiting: [Task<Void, Never>] = []
        for number in 0..<20 {
            waiting.append(Task { await lock.withLock { order.withLock { $0.append(number) } } })
            await settle()
        }
        #expect(order.current.isEmpty)
        open.yield()
        await holder.value
        for task in waiting { await task.value }
        #expect(order.current == Array(0..<20))
    }

    @Test func isReleasedWhenTheWorkThrows() async {
        let lock = AsyncLock()
        await #expect(throws: EngineError.self) { try await lock.withLock { throw EngineError.conflict("x") } }
        #expect(await lock.withLock { 7 } == 7)
    }

    /// Lets a task that was just made come to its first wait.
    private func settle() async { try? await Task.sleep(for: .milliseconds(10)) }
}
