internal import CLinux
internal import Glibc
internal import JSON
internal import Linux

/// What the runtime tells beside its output: a failure on standard error, and every entry in the `--log` file in the
/// form that engines read back (containerd's shim takes `level`, `msg` and `time` of the last JSON entry that is an error).
struct RuntimeLog: Sendable {
    enum Level: String, Sendable {
        case debug, warning, error
    }

    var path: String?
    var isJSON = false
    var isDebug = false

    /// Before anything is done: an engine that asked for a log must not find out afterwards that there is none.
    func check() throws(RuntimeError) {
        guard let path else { return }
        do { _ = try open(path) } catch { throw RuntimeError(error) }
    }

    /// A failure that ends the command.
    func report(_ error: RuntimeError) { write(.error, error.message) }

    /// Something that went wrong and ends nothing.
    func warn(_ message: String) { write(.warning, message) }

    /// A step, when `--debug` asks for them. The message is put together only then.
    func debug(_ message: @autoclosure () -> String) { if isDebug { write(.debug, message()) } }

    private func write(_ level: Level, _ message: String) {
        let line = RuntimeError(kind: .usage, message: message).line
        guard let path else {
            Self.writeLine(isJSON || level == .debug ? entry(level, line) : "clipper-runtime: \(line)", to: 2)
            return
        }
        if level != .debug { Self.writeLine("clipper-runtime: \(line)", to: 2) }
        if let file = try? open(path) { Self.writeLine(entry(level, line), to: file.raw) }
    }

    /// Opened for each entry: no descriptor of ours stands where `--preserve-fds` looks.
    private func open(_ path: String) throws(SystemError) -> OwnedFD { try OwnedFD.open(path, O_WRONLY | O_CREAT | O_APPEND) }

    private func entry(_ level: Level, _ line: String) -> String {
        let time = "\(Timestamp.now())"
        if isJSON {
            let entry: JSONValue = ["level": .string(level.rawValue), "msg": .string(line), "time": .string(time)]
            return entry.text()
        }
        return "time=\"\(time)\" level=\(level.rawValue) msg=\(JSONValue.string(line).text())"
    }

    private static func writeLine(_ text: String, to number: Int32) {
        let bytes = Array(text.utf8) + [UInt8(ascii: "\n")]
        _ = bytes.withUnsafeBytes { Glibc.write(number, $0.baseAddress, $0.count) }
    }
}
