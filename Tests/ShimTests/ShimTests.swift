import Glibc
import JSON
import Linux
import ShimProtocol
import Testing

@testable import Shim

/// A log in a directory of its own.
private final class LogSandbox {
    let base = "/tmp/cliptest-log-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    var path: String { "\(base)/c.log" }
    init() throws { try Files.makeDirectories(base) }
    deinit { try? Files.removeTree(base) }

    func writer(_ change: (inout LaunchRequest.Log.JSONFile) -> Void = { _ in }) throws -> LogWriter {
        var configuration = LaunchRequest.Log.JSONFile(path: path)
        change(&configuration)
        return try LogWriter(configuration)
    }

    func lines(_ path: String? = nil) throws -> [JSONValue] {
        try Files.readText(path ?? self.path).split(separator: "\n").map { try JSONValue(parsing: String($0)) }
    }
}

extension LogWriter {
    fileprivate func append(_ text: String, stream: Int = 1) { append(Array(text.utf8), stream: stream) }
    fileprivate func append(_ bytes: [UInt8], stream: Int = 1) { bytes.withUnsafeBytes { append($0, stream: stream) } }
}

private func escaped(_ bytes: [UInt8]) -> String {
    var bytes = bytes
    let output = [UInt8](unsafeUninitializedCapacity: bytes.count * 6 + 1) { buffer, count in
        guard let base = buffer.baseAddress else { return }
        count = bytes.withUnsafeMutableBufferPointer { LogEscape.write($0.baseAddress, $0.count, to: base) }
    }
    return String(decoding: output, as: UTF8.self)
}

@Test func writesLinesAsDockerDoes() throws {
    let sandbox = try LogSandbox()
    let log = try sandbox.writer { $0.attributes = ["z": "1", "a": "q\"q"] }
    log.append("one\ntw")
    log.append("err\n", stream: 2)
    log.append("o\n\n")
    log.append("prompt> ")
    log.finish()
    let text = try Files.readText(sandbox.path).split(separator: "\n").map(String.init)
    #expect(text[0].hasPrefix(#"{"log":"one\n","stream":"stdout","attrs":{"a":"q\"q","z":"1"},"time":"20"#))
    #expect(text[0].hasSuffix(#"Z"}"#))
    let lines = try sandbox.lines()
    #expect(lines.map { $0["log"]?.stringValue } == ["one\n", "err\n", "two\n", "\n", "prompt> "])
    #expect(lines.map { $0["stream"]?.stringValue } == ["stdout", "stderr", "stdout", "stdout", "stdout"])
    for line in lines { #expect(Timestamp(line["time"]?.stringValue ?? "") != nil) }
}

@Test func cutsLongLinesAt16KiB() throws {
    let sandbox = try LogSandbox()
    let log = try sandbox.writer()
    let long = String(repeating: "x", count: 40_000)
    log.append(long + "\n")
    // The same in crumbs.
    for start in stride(from: 0, to: 40_000, by: 1000) { log.append(String(long.dropFirst(start).prefix(1000))) }
    log.append("\nnext\n")
    // Exactly a piece and its newline: Docker ends the line with an empty piece.
    log.append(String(repeating: "y", count: 16384))
    log.append("\n")
    let texts = try sandbox.lines().compactMap { $0["log"]?.stringValue }
    #expect(texts.map(\.utf8.count) == [16384, 16384, 7233, 16384, 16384, 7233, 5, 16384, 1])
    #expect(texts.map { $0.hasSuffix("\n") } == [false, false, true, false, false, true, true, false, true])
    #expect(texts[..<3].joined() == long + "\n")
}

@Test func escapesAsDockerDoes() {
    #expect(escaped(Array("a\"b\\c\td\re<f>&g".utf8)) == #"a\"b\\c\u0009d\re\u003cf\u003e\u0026g"#)
    #expect(escaped([0, 0x1B, 0x7F]) == "\\u0000\\u001b\u{7F}")
    #expect(escaped(Array("äöü €😀\u{2028}\u{2029}".utf8)) == #"äöü €😀\u2028\u2029"#)
    // Bytes that are no UTF-8, one by one: lone, cut off, overlong, surrogates, beyond the last character.
    #expect(escaped([0x80, 0x41]) == #"\ufffdA"#)
    #expect(escaped([0xE2, 0x82]) == #"\ufffd\ufffd"#)
    #expect(escaped([0xC0, 0xAF]) == #"\ufffd\ufffd"#)
    #expect(escaped([0xED, 0xA0, 0x80]) == #"\ufffd\ufffd\ufffd"#)
    #expect(escaped([0xF4, 0x90, 0x80, 0x80]) == #"\ufffd\ufffd\ufffd\ufffd"#)
}

@Test func survivesRandomBytes() throws {
    let sandbox = try LogSandbox()
    let log = try sandbox.writer()
    var total = 0
    for _ in 0..<30 {
        let bytes = (0..<Int.random(in: 1...65536)).map { _ in UInt8.random(in: .min ... .max) }
        total += bytes.count
        log.append(bytes)
    }
    log.finish()
    let texts = try sandbox.lines().compactMap { $0["log"]?.stringValue }
    // Each byte that is not UTF-8 is one character, and so are the others: none is lost.
    #expect(texts.reduce(0) { $0 + $1.unicodeScalars.count } > total / 2)
}

@Test func rotates() throws {
    let sandbox = try LogSandbox()
    let log = try sandbox.writer {
        $0.maxSize = 1000
        $0.maxFiles = 3
    }
    for number in 0..<100 { log.append("line \(number)\n") }
    #expect(Set(try Files.list(sandbox.base)) == ["c.log", "c.log.1", "c.log.2"])
    let all = try ["c.log.2", "c.log.1", "c.log"].flatMap { try sandbox.lines("\(sandbox.base)/\($0)") }.compactMap {
        $0["log"]?.stringValue
    }
    #expect(all == (100 - all.count..<100).map { "line \($0)\n" })
    #expect(all.count > 20)
    // One write of many lines is split where the limit is.
    let batch = (0..<100).map { "batch \($0)\n" }.joined()
    log.append(batch)
    for name in ["c.log.2", "c.log.1", "c.log"] { #expect(try Files.read("\(sandbox.base)/\(name)").count < 1200) }
}

@Test func rotatesToNothingWithOneFile() throws {
    let sandbox = try LogSandbox()
    let log = try sandbox.writer { $0.maxSize = 500 }
    for number in 0..<100 { log.append("line \(number)\n") }
    #expect(try Files.list(sandbox.base) == ["c.log"])
    #expect(try sandbox.lines().last?["log"] == "line 99\n")
    #expect(try Files.read(sandbox.path).count < 700)
}

@Test func goesOnInAnExistingFile() throws {
    let sandbox = try LogSandbox()
    try sandbox.writer().append("first\n")
    try sandbox.writer().append("second\n")
    #expect(try sandbox.lines().count == 2)
}

@Test(
    arguments: [
        ("/", nil, "/", true), ("/a", "a", "/", false), ("/a/b/", "b", "/a", true), ("/a/b/.", "b", "/a", true),
        ("a/../b", "b", "/a/..", false),
        ("/a/..", nil, "/a", false), (".", nil, "/", true), ("//x///y", "y", "/x", false),
    ] as [(String, String?, String, Bool)])
func readsPathsAsDockerDoes(_ text: String, _ last: String?, _ parent: String, _ follows: Bool) {
    let path = RootfsPath(text)
    #expect(path.last == last)
    #expect(path.parent == parent)
    #expect(path.followsLast == follows)
}

@Test func queueKeepsOrder() {
    var queue = ByteQueue()
    var written: [UInt8] = []
    var expected: [UInt8] = []
    for round in 0..<300 {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &+ round) }
        expected += bytes
        bytes.withUnsafeBytes { queue.append($0) }
        _ = queue.drain { part in
            if written.count % 7 == 6 {
                errno = EAGAIN
                return -1
            }
            written += part.prefix(701)
            return min(701, part.count)
        }
    }
    _ = queue.drain { part in
        written += part
        return part.count
    }
    #expect(written == expected)
    #expect(queue.isEmpty)
}
