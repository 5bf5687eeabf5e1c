import Glibc
import JSON
import Linux
import Logging
import ShimProtocol
import Supervision
import Synchronization
import Testing

/// One container's place: layers, bundle, run directory, log. Everything goes with `remove`.
final class Sandbox: Sendable {
    let id: String
    let base: String
    let runtime: LaunchRequest.Runtime
    let supervisor: Supervisor
    /// Bytes; 0 for none.
    let memoryLimit = Mutex<Int64>(0)

    static let executable: String = {
        let own = CommandLine.arguments[0]
        let directory = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? "."
        if let path = getenv("CLIPPER_RUNTIME") { return String(cString: path) }
        // The test program stands beside the products, or in a bundle's directory below them.
        for candidate in ["\(directory)/clipper-runtime", "\(directory)/../clipper-runtime"] where Files.exists(candidate) {
            return candidate
        }
        return "\(directory)/clipper-runtime"
    }()

    init(_ runtime: LaunchRequest.Runtime? = nil) throws {
        id = "cliptest-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        base = "/tmp/\(id)"
        self.runtime = runtime ?? .inProcess(root: "/tmp/\(id)/runtime")
        supervisor = Supervisor(runtimeExecutable: Sandbox.executable, runtimeTimeout: 120, logger: Logger(label: "test"))
        for directory in [
            "layer/bin", "layer/dev", "layer/proc", "layer/sys", "layer/tmp", "layer/etc", "upper", "work", "bundle/rootfs", "run",
            "runtime",
        ] {
            try Files.makeDirectories("\(base)/\(directory)")
        }
        try Files.write("\(base)/layer/etc/motd", "welcome\n")
        try Files.write("\(base)/layer/bin/notes", "no program\n")
        _ = chmod("\(base)/layer/bin/notes", 0o644)
        // A copy: what happens to it in a container must not happen to the host's.
        try Files.replace("\(base)/layer/bin/busybox", with: try Files.read("/bin/busybox"), mode: 0o755, durable: false)
        for applet in ["sh", "echo", "cat", "sleep", "head", "seq", "tty", "stty", "true", "yes", "kill", "od", "wc", "dd", "md5sum", "ls"]
        {
            _ = symlink("busybox", "\(base)/layer/bin/\(applet)")
        }
    }

    var overlay: Overlay { Overlay(layers: ["\(base)/layer"], upper: "\(base)/upper", work: "\(base)/work") }
    var logPath: String { "\(base)/json.log" }

    /// config.json for a command, and the request that goes with it.
    func request(_ args: [String], terminal: Bool = false, stdin: LaunchRequest.StandardInput = .closed) throws -> LaunchRequest {
        try Files.replace("\(base)/bundle/config.json", with: config(args, terminal: terminal).serialized(), durable: false)
        var request = LaunchRequest(containerID: id, directory: "\(base)/run", bundle: "\(base)/bundle", runtime: runtime)
        request.rootfs = .overlay(overlay)
        request.log = .jsonFile(.init(path: logPath))
        request.terminal = terminal
        request.stdin = stdin
        return request
    }

    static func process(_ args: [String], terminal: Bool = false) -> JSONValue {
        [
            "terminal": .bool(terminal), "cwd": "/", "args": .array(args.map { .string($0) }), "env": ["PATH=/bin"],
            "user": ["uid": 0, "gid": 0], "capabilities": ["bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]],
        ]
    }

    private var resources: JSONValue {
        let limit = memoryLimit.withLock { $0 }
        return limit == 0 ? [:] : ["memory": ["limit": .integer(limit), "swap": .integer(limit)]]
    }

    private func config(_ args: [String], terminal: Bool) -> JSONValue {
        let namespaces: [JSONValue] = ["pid", "mount", "ipc", "uts"].map { ["type": .string($0)] }
        return [
            "ociVersion": "1.0.2", "process": Sandbox.process(args, terminal: terminal), "root": ["path": "rootfs"], "hostname": "test",
            "mounts": [
                ["destination": "/proc", "type": "proc", "source": "proc"],
                ["destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]],
                [
                    "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                    "options": ["newinstance", "ptmxmode=0666", "mode=0620"],
                ],
            ],
            "linux": ["namespaces": .array(namespaces), "cgroupsPath": .string("/\(id)"), "resources": resources],
        ]
    }

    /// The lines of the log: stream and text.
    func log() throws -> [(stream: String, text: String)] {
        try Files.readText(logPath).split(separator: "\n").map { line in
            let value = try JSONValue(parsing: String(line))
            return (value["stream"]?.stringValue ?? "", value["log"]?.stringValue ?? "")
        }
    }

    func remove() {
        if let text = try? Files.readText("\(base)/run/shim.json"), let pid = (try? JSONValue(parsing: text))?["pid"]?.intValue {
            kill(pid_t(pid), SIGKILL)
        }
        try? Files.removeTree(base)
    }
}

/// The raw stream at one end of a socket, on a thread's time.
final class Stream: Sendable {
    let socket: Int32

    init(_ socket: Int32) { self.socket = socket }
    deinit { close(socket) }

    func write(_ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { send(socket, $0.baseAddress.map { $0 + offset }, $0.count - offset, Int32(MSG_NOSIGNAL)) }
            if count < 0 { return }
            offset += count
        }
    }

    func write(_ text: String) { write(Array(text.utf8)) }
    func endInput() { shutdown(socket, Int32(SHUT_WR)) }

    /// Everything to the end, from a thread that may block.
    func readAll() async -> [UInt8] {
        await withCheckedContinuation { continuation in
            onThread { [socket] in
                var all: [UInt8] = []
                var chunk = [UInt8](repeating: 0, count: 65536)
                while true {
                    let count = recv(socket, &chunk, chunk.count, 0)
                    if count <= 0 { break }
                    all += chunk[..<count]
                }
                continuation.resume(returning: all)
            }
        }
    }

    /// The frames' data by stream number.
    func readFrames() async -> [UInt8: [UInt8]] {
        let all = await readAll()
        var result: [UInt8: [UInt8]] = [:]
        var position = 0
        while position + 8 <= all.count {
            let length = all[position + 4..<position + 8].reduce(0) { $0 << 8 | Int($1) }
            guard position + 8 + length <= all.count else { break }
            result[all[position], default: []] += all[position + 8..<position + 8 + length]
            position += 8 + length
        }
        if position != all.count { Issue.record("stream ends inside a frame") }
        return result
    }

    /// Reads until the text is there.
    func read(until text: String) async -> String {
        await withCheckedContinuation { continuation in
            onThread { [socket] in
                var all: [UInt8] = []
                var chunk = [UInt8](repeating: 0, count: 4096)
                while !String(decoding: all, as: UTF8.self).contains(text) {
                    let count = recv(socket, &chunk, chunk.count, 0)
                    if count <= 0 { break }
                    all += chunk[..<count]
                }
                continuation.resume(returning: String(decoding: all, as: UTF8.self))
            }
        }
    }
}

/// Runs what blocks on a thread of its own.
func onThread(_ body: @escaping @Sendable () -> Void) {
    final class Box { let body: @Sendable () -> Void; init(_ body: @escaping @Sendable () -> Void) { self.body = body } }
    var thread = pthread_t()
    let context = Unmanaged.passRetained(Box(body)).toOpaque()
    pthread_create(
        &thread, nil,
        {
            if let context = $0 { Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body() }
            return nil
        }, context)
    pthread_detach(thread)
}

/// A pair: the end for the shim and the other.
func streamPair(_ options: AttachOptions) throws -> (initial: InitialStream, stream: Stream) {
    let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
    let (first, second) = split(pair)
    return (InitialStream(options: options, socket: first), Stream(second))
}

func split(_ pair: consuming SocketPair) -> (Int32, Int32) { (pair.first.take(), pair.second.take()) }

extension ShimConnection {
    /// Waits for the end of everything; the exit record, if there was one.
    func finished() async -> ExitRecord? {
        var record: ExitRecord?
        for await event in events { if case .exited(let exited) = event { record = exited } }
        return record
    }
}
