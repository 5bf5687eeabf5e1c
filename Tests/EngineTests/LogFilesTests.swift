import EngineTypes
import Glibc
import Linux
import Testing

@testable import Engine

@Suite struct LogFilesTests {
    private func all(_ files: inout LogFiles) throws -> [String] {
        var result: [String] = []
        while true {
            let lines = try files.next()
            if lines.isEmpty { return result }
            result += lines.map { String(decoding: $0, as: UTF8.self) }
        }
    }

    private func read(_ scratch: Scratch, tail: Int?) throws -> [String] {
        var files = try LogFiles(path: "\(scratch.path)/log", tail: tail, isBounded: false)
        return try all(&files)
    }

    @Test(
        arguments: [
            (nil, ["a", "b", "c", "d", "e"]), (0, []), (1, ["e"]), (2, ["d", "e"]), (3, ["c", "d", "e"]), (4, ["b", "c", "d", "e"]),
            (5, ["a", "b", "c", "d", "e"]), (99, ["a", "b", "c", "d", "e"]),
        ] as [(Int?, [String])])
    func tailOverRotatedFiles(_ tail: Int?, _ expected: [String]) throws {
        let scratch = try Scratch()
        try scratch.write("log.2", "a\nb\n")
        try scratch.write("log.1", "c\n")
        try scratch.write("log", "d\ne\n")
        #expect(try read(scratch, tail: tail) == expected)
    }

    @Test(arguments: ["", "torn"])
    func currentFileWithoutEntries(_ text: String) throws {
        let scratch = try Scratch()
        try scratch.write("log.1", "a\nb\n")
        try scratch.write("log", text)
        #expect(try read(scratch, tail: 1) == ["b"])
    }

    @Test(arguments: [(1, ["b"]), (2, ["a", "b"]), (nil, ["a", "b"])] as [(Int?, [String])])
    func tornLastLineIsNoEntry(_ tail: Int?, _ expected: [String]) throws {
        let scratch = try Scratch()
        // Longer than the block in which the end is looked for.
        try scratch.write("log", "a\nb\n" + String(repeating: "t", count: 200_000))
        #expect(try read(scratch, tail: tail) == expected)
    }

    @Test func linesAcrossBlocks() throws {
        let scratch = try Scratch()
        let lines = (0..<300).map { "\($0)-" + String(repeating: "x", count: 3000) }
        try scratch.write("log", lines.joined(separator: "\n") + "\n")
        #expect(try read(scratch, tail: nil) == lines)
        #expect(try read(scratch, tail: 250) == Array(lines.suffix(250)))
    }

    /// Two rotations fall between the beginning of a reading and its second file, and only one old file is kept.
    @Test(arguments: [(nil, ["a", "b", "c"]), (2, ["b", "c"])] as [(Int?, [String])])
    func whatWasThereAtFirstIsReadThoughItGoes(_ tail: Int?, _ expected: [String]) throws {
        let scratch = try Scratch()
        try scratch.write("log.2", "a\n")
        try scratch.write("log.1", "b\n")
        try scratch.write("log", "c\n")
        var files = try LogFiles(path: "\(scratch.path)/log", tail: tail, isBounded: true)
        for name in ["log", "log.1", "log.2"] { #expect(unlink("\(scratch.path)/\(name)") == 0) }
        try scratch.write("log.1", "d\n")
        try scratch.write("log", "e\n")
        #expect(try all(&files) == expected)
    }

    @Test func missingLogIsEmptyAndMayComeLater() throws {
        let scratch = try Scratch()
        var files = try LogFiles(path: "\(scratch.path)/log", tail: 3, isBounded: false)
        #expect(try all(&files) == [])
    }

    /// A socket is there, and cannot be opened however often that is tried.
    @Test(.timeLimit(.minutes(1)), arguments: [nil, 5]) func fileThatCannotBeOpenedIsAnError(_ tail: Int?) throws {
        let scratch = try Scratch()
        #expect(mknod("\(scratch.path)/log.1", S_IFSOCK | 0o600, 0) == 0)
        try scratch.write("log", "a\n")
        let error = #expect(throws: SystemError.self) { _ = try LogFiles(path: "\(scratch.path)/log", tail: tail, isBounded: false) }
        #expect(error?.code == ENXIO)
    }

    @Test func partialLineIsCompletedLater() throws {
        let scratch = try Scratch()
        try scratch.append("log", "one\ntw")
        var files = try LogFiles(path: "\(scratch.path)/log", tail: nil, isBounded: false)
        #expect(try all(&files) == ["one"])
        try scratch.append("log", "o\n")
        #expect(try all(&files) == ["two"])
    }

    @Test func followsARotation() throws {
        let scratch = try Scratch()
        try scratch.append("log", "one\n")
        var files = try LogFiles(path: "\(scratch.path)/log", tail: nil, isBounded: false)
        #expect(try all(&files) == ["one"])
        // Written after our last read, and before the rename.
        try scratch.append("log", "two\n")
        rename("\(scratch.path)/log", "\(scratch.path)/log.1")
        #expect(try all(&files) == ["two"])
        try scratch.append("log", "three\n")
        #expect(try all(&files) == ["three"])
    }

    @Test func missesNothingWhenFilesMoveOnWhileItReads() throws {
        let scratch = try Scratch()
        try scratch.append("log.1", "one\n")
        try scratch.append("log", "two\n")
        var files = try LogFiles(path: "\(scratch.path)/log", tail: nil, isBounded: false)
        #expect(try files.next().count == 1)
        for name in ["three", "four"] {
            rename("\(scratch.path)/log.2", "\(scratch.path)/log.3")
            rename("\(scratch.path)/log.1", "\(scratch.path)/log.2")
            rename("\(scratch.path)/log", "\(scratch.path)/log.1")
            try scratch.append("log", "\(name)\n")
        }
        #expect(try all(&files) == ["two", "three", "four"])
    }

    @Test func packedFilesAreReadAndFollowed() throws {
        let scratch = try Scratch()
        // printf 'a\\nb\\n' | gzip -n
        let packed: [UInt8] = [
            0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0xe4, 0x4a, 0xe2, 2, 0, 0x97, 0x2a, 0x57, 0x18, 4, 0, 0, 0,
        ]
        try scratch.write("log.2", "a\nb\n")
        try scratch.write("log.1", "c\n")
        try scratch.write("log", "d\n")
        var files = try LogFiles(path: "\(scratch.path)/log", tail: nil, isBounded: false)
        #expect(try files.next() == [Array("a".utf8)[...], Array("b".utf8)[...]])
        // The file at hand is packed, and one more rotation moves it on.
        var facts = stat()
        #expect(stat("\(scratch.path)/log.2", &facts) == 0)
        try Files.replace("\(scratch.path)/log.3.gz", with: packed)
        #expect(utimensat(AT_FDCWD, "\(scratch.path)/log.3.gz", [facts.st_atim, facts.st_mtim], 0) == 0)
        rename("\(scratch.path)/log.1", "\(scratch.path)/log.2")
        unlink("\(scratch.path)/log.1")
        rename("\(scratch.path)/log", "\(scratch.path)/log.1")
        try scratch.write("log", "e\n")
        #expect(try all(&files) == ["c", "d", "e"])
        #expect(try read(scratch, tail: nil) == ["a", "b", "c", "d", "e"])
        #expect(try read(scratch, tail: 4) == ["b", "c", "d", "e"])
    }

    /// Whoever does not follow gets what there was at the beginning, though the log grows and is rotated.
    @Test func endsWhereTheLogEndedAtFirst() throws {
        let scratch = try Scratch()
        try scratch.write("log.1", "a\nb\n")
        try scratch.write("log", "c\n")
        for (tail, expected) in [(nil, ["a", "b", "c"]), (2, ["b", "c"]), (1, ["c"]), (0, [])] as [(Int?, [String])] {
            var files = try LogFiles(path: "\(scratch.path)/log", tail: tail, isBounded: true)
            try scratch.append("log", "later\n")
            rename("\(scratch.path)/log.1", "\(scratch.path)/log.2")
            rename("\(scratch.path)/log", "\(scratch.path)/log.1")
            try scratch.write("log", "still later\n")
            #expect(try all(&files) == expected)
            rename("\(scratch.path)/log.2", "\(scratch.path)/log.1")
            try scratch.write("log", "c\n")
        }
    }

    @Test func aLogOfOneFileThatWasEmptiedGoesOn() throws {
        let scratch = try Scratch()
        try scratch.append("log", "a long first line\n")
        var files = try LogFiles(path: "\(scratch.path)/log", tail: nil, isBounded: false)
        #expect(try all(&files).count == 1)
        truncate("\(scratch.path)/log", 0)
        try scratch.append("log", "new\n")
        #expect(try all(&files) == ["new"])
    }
}

@Suite struct LogReaderTests {
    private static func entry(_ text: String, _ second: Int, _ stream: String = "stdout", attributes: String = "") -> String {
        "{\"log\":\"\(text)\\n\",\"stream\":\"\(stream)\",\(attributes)\"time\":\"2026-01-01T00:00:0\(second).5Z\"}\n"
    }

    private static func request(stderr: Bool = true, follow: Bool = false, tail: Int? = nil) -> LogRequest {
        LogRequest(
            stdout: true, stderr: stderr, follow: follow, since: nil, until: nil, timestamps: false, tail: tail, details: false)
    }

    private func read(_ scratch: Scratch, _ request: LogRequest, isFramed: Bool = false) async throws -> [UInt8] {
        let output = Locked<[UInt8]>([])
        let reader = LogReader(path: "\(scratch.path)/log", directory: scratch.path, request: request, isFramed: isFramed)
        try await reader.run(container: Container(makeRecord(), phase: .exited)) { bytes in output.withLock { $0 += bytes } }
        return output.current
    }

    private func log() throws -> Scratch {
        let scratch = try Scratch()
        try scratch.write("log.1", Self.entry("a", 1))
        try scratch.write(
            "log", Self.entry("b", 2, "stderr") + "{\"log\":\"torn\n" + Self.entry("c", 3, attributes: #""attrs":{"k":"v"},"#))
        return scratch
    }

    @Test func tornLinesAreLeftOut() async throws {
        #expect(String(decoding: try await read(log(), Self.request()), as: UTF8.self) == "a\nb\nc\n")
    }

    @Test func framesTellTheStreams() async throws {
        let header = [1, 2, 1].map { [UInt8($0), 0, 0, 0, 0, 0, 0, 2] }
        let texts = ["a\n", "b\n", "c\n"].map { Array($0.utf8) }
        #expect(try await read(log(), Self.request(), isFramed: true) == zip(header, texts).flatMap { $0 + $1 })
        #expect(try await read(log(), Self.request(stderr: false)) == Array("a\nc\n".utf8))
        #expect(LogReader.frameHeader(isError: true, count: 0x0102_0304) == [2, 0, 0, 0, 1, 2, 3, 4])
    }

    @Test(
        arguments: [
            (1, nil, "a\nb\nc\n"), (2, nil, "b\nc\n"), (nil, 2, "a\n"), (2, 3, "b\n"), (nil, 9, "a\nb\nc\n"), (9, nil, ""),
        ] as [(Int64?, Int64?, String)])
    func sinceAndUntil(_ since: Int64?, _ until: Int64?, _ expected: String) async throws {
        let begin: Int64 = 1_767_225_600
        var request = Self.request()
        request.since = since.map { Timestamp(seconds: begin + $0) }
        request.until = until.map { Timestamp(seconds: begin + $0) }
        #expect(String(decoding: try await read(log(), request), as: UTF8.self) == expected)
    }

    @Test func timestampsAndDetails() async throws {
        var request = Self.request(tail: 1)
        request.timestamps = true
        #expect(try await read(log(), request) == Array("2026-01-01T00:00:03.500000000Z c\n".utf8))
        request.details = true
        #expect(try await read(log(), request) == Array("2026-01-01T00:00:03.500000000Z k=v c\n".utf8))
    }

    @Test func followsUntilTheContainerEnds() async throws {
        let scratch = try log()
        let container = Container(makeRecord(), phase: .starting)
        let (stream, continuation) = AsyncStream.makeStream(of: String.self)
        let reader = LogReader(
            path: "\(scratch.path)/log", directory: scratch.path, request: Self.request(follow: true, tail: 1), isFramed: false)
        let following = Task {
            try await reader.run(container: container) { continuation.yield(String(decoding: $0, as: UTF8.self)) }
            continuation.finish()
        }
        var seen = stream.makeAsyncIterator()
        #expect(await seen.next() == "c\n")
        // In the writer's order: from the oldest on.
        rename("\(scratch.path)/log.1", "\(scratch.path)/log.2")
        rename("\(scratch.path)/log", "\(scratch.path)/log.1")
        try scratch.append("log", Self.entry("d", 4))
        #expect(await seen.next() == "d\n")
        container.withState { $0.phase = .exited }
        container.announce(.exited(code: 0, error: ""))
        try await following.value
        #expect(await seen.next() == nil)
    }
}

@Suite struct LogOptionsTests {
    @Test(
        arguments: [
            ([:], 0, 1), (["max-size": "10m", "max-file": "3"], 10 << 20, 3), (["max-size": "512K"], 512 << 10, 1),
            (["max-size": "1gb"], 1 << 30, 1), (["max-size": "-1"], 0, 1), (["mode": "non-blocking", "max-buffer-size": "4m"], 0, 1),
        ] as [([String: String], Int64, Int)])
    func accepted(_ options: [String: String], _ size: Int64, _ files: Int) throws {
        let read = try LogOptions(options, driver: "json-file")
        #expect(read.maxSize == size && read.maxFiles == files)
    }

    @Test(arguments: [
        (["max-size": "much"], "invalid size: 'much'"), (["max-size": "99999999999g"], "invalid size: '99999999999g'"),
        (["max-size": "-5m"], "invalid size: '-5m'"), (["max-file": "0"], "max-file cannot be less than 1"),
        (["mode": "x"], "logger: logging mode not supported: x"), (["colour": "x"], "unknown log opt 'colour' for json-file log driver"),
        (["tag": "{{json .}}"], "not implemented: log option tag with {{json .}}"),
        (["tag": "{{.ID"], "template: log-tag: unclosed action"),
        (["compress": "true"], "compress cannot be true when max-file is less than 2 or max-size is not set"),
        (["max-buffer-size": "1m"], "logger: max-buffer-size option is only supported with 'mode=non-blocking'"),
        (["env-regex": "("], "env-regex: cannot read the pattern ("),
    ])
    func refused(_ options: [String: String], _ text: String) {
        #expect(message { _ = try LogOptions(options, driver: "json-file") } == text)
    }

    @Test(
        arguments: [
            ("x", [:], "logger: no log driver named 'x' is registered"), ("splunk", [:], "not implemented: log driver splunk"),
            ("local", ["tag": "x"], "unknown log opt 'tag' for log driver local"),
            ("gelf", ["x": "y", "gelf-address": "udp://h:1"], "unknown log opt \"x\" for gelf log driver"),
            ("gelf", [:], "gelf-address is a required parameter"),
            ("gelf", ["gelf-address": "unix:///x"], "gelf: endpoint needs to be TCP or UDP"),
            ("syslog", ["syslog-facility": "24"], "invalid syslog facility"), ("syslog", ["syslog-format": "x"], "Invalid syslog format"),
            ("syslog", ["syslog-tls-cert": "x"], "not implemented: log option syslog-tls-cert"),
            ("fluentd", ["fluentd-address": "udp://h:1"], "unsupported scheme in fluentd-address: udp"),
        ] as [(String, [String: String], String)])
    func otherDriversRefuse(_ driver: String, _ options: [String: String], _ text: String) {
        #expect(message { _ = try LogOptions(options, driver: driver) } == text)
    }

    @Test(
        arguments: [
            ("syslog", ["syslog-address": "tcp://h:9"], "tcp h 9"), ("syslog", ["syslog-address": "udp://[::1]"], "udp ::1 514"),
            ("syslog", ["syslog-address": "unixgram:///dev/log"], "unixgram /dev/log -"), ("fluentd", [:], "tcp 127.0.0.1 24224"),
            ("fluentd", ["fluentd-address": "h"], "tcp h 24224"), ("fluentd", ["fluentd-address": "unix:///s"], "unix /s -"),
        ] as [(String, [String: String], String)])
    func addresses(_ driver: String, _ options: [String: String], _ expected: String) throws {
        let address = try #require(try LogOptions(options, driver: driver).address())
        #expect("\(address.scheme) \(address.host) \(address.port.map(String.init) ?? "-")" == expected)
    }

    @Test func attributesAreChosen() throws {
        let options = ["labels": "a,none", "labels-regex": "^b", "env": "X", "env-regex": "^Y.$"]
        let chosen = try LogAttributes.chosen(
            options, labels: ["a": "1", "bc": "2", "c": "3"], environment: ["X=x=y", "YY=1", "YYY=2", "Z"])
        #expect(chosen == ["a": "1", "bc": "2", "X": "x=y", "YY": "1"])
        #expect(LogLaunch.journalName("_my.team-1") == "MY_TEAM_1")
    }

    @Test func otherDriversTakeNone() {
        #expect(message { _ = try LogOptions(["max-size": "1m"], driver: "none") } == "unknown log opt 'max-size' for none log driver")
        #expect(message { _ = try LogOptions([:], driver: "none") } == nil)
    }
}
