internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIRuntimeSpec
internal import ShimProtocol
internal import Systemd

/// runc, crun or another program with their command line.
///
/// Such a program wants the root filesystem at a path, so the overlay is attached on `<bundle>/rootfs` in a mount
/// namespace of the shim's own. The container's processes become the shim's children because it is a subreaper.
final class ExternalDriver: RuntimeDriver {
    private let program: String
    /// What it is given before all else.
    private let leading: [String]
    private let root: String
    private let request: LaunchRequest
    private var isCreated = false
    private(set) var cgroup: CgroupManager?
    /// A scope is the program's own business.
    let systemdUnit: String? = nil

    init(_ request: LaunchRequest, program: String, leading: [String], root: String) {
        self.program = program
        self.leading = leading
        self.root = root
        self.request = request
    }

    func start(rootfs: borrowing RootfsSource, streams: borrowing ChildStreams?) throws(ShimFailure) -> StartedProcess {
        try mountRootfs(rootfs)
        try adaptConfiguration()
        let pidFile = "\(request.directory)/runtime.pid"
        let console = try streams == nil ? ConsoleSocket(directory: request.directory) : nil
        var arguments = ["create", "--bundle", request.bundle, "--pid-file", pidFile]
        arguments += ExternalDriver.path(of: console).map { ["--console-socket", $0] } ?? []
        try run(arguments + [request.containerID], streams)
        isCreated = true
        do {
            let master = try ExternalDriver.receive(console)
            let pid = try readPID(pidFile)
            // systemd takes the scope of a program that ends at once away.
            findCgroup()
            try run(["start", request.containerID], nil)
            return StartedProcess(pid: pid, terminalMaster: master)
        } catch {
            cleanUp()
            throw error
        }
    }

    func exec(_ exec: ExecRequest, streams: borrowing ChildStreams?) throws(ShimFailure) -> StartedProcess {
        let pidFile = "\(request.directory)/exec.pid"
        let processFile = "\(request.directory)/exec.json"
        do { try Files.replace(processFile, with: exec.process.serialized(), durable: false) } catch {
            throw ShimFailure(.runtime, "\(error)")
        }
        defer { unlink(processFile) }
        let console = try streams == nil ? ConsoleSocket(directory: request.directory) : nil
        var arguments = ["exec", "--detach", "--process", processFile, "--pid-file", pidFile]
        arguments += ExternalDriver.path(of: console).map { ["--console-socket", $0] } ?? []
        try run(arguments + [request.containerID], streams)
        let master = try ExternalDriver.receive(console)
        return StartedProcess(pid: try readPID(pidFile), terminalMaster: master)
    }

    func update(_ resources: JSONValue) throws(ShimFailure) {
        let path = "\(request.directory)/update.json"
        do { try Files.replace(path, with: resources.serialized(), durable: false) } catch { throw ShimFailure(.runtime, "\(error)") }
        defer { unlink(path) }
        try run(["update", "--resources", path, request.containerID], nil)
    }

    func cleanUp() {
        guard isCreated else { return }
        isCreated = false
        do throws(ShimFailure) { try run(["delete", "--force", request.containerID], nil) } catch { ShimLog.write("\(error)") }
        // The next start of the container mounts the same writable layer again.
        if case .overlay = request.rootfs { _ = clp_umount("\(request.bundle)/rootfs", Int32(MNT_DETACH)) }
    }

    private func mountRootfs(_ rootfs: borrowing RootfsSource) throws(ShimFailure) {
        guard let tree = rootfs.descriptor else { return }
        let place = "\(request.bundle)/rootfs"
        do {
            try PrivateMounts.enter()
            try Files.makeDirectories(place)
            let target = try OwnedFD.open(place, O_PATH | O_DIRECTORY)
            try retrying("mount on", place) { clp_move_mount(tree, target.raw) }
        } catch { throw ShimFailure(.rootfs, "\(error)") }
    }

    /// What the engine wrote for Clipper's own runtime in the words of others: the shim's own descriptors (the network
    /// namespace) are no longer /proc/self's, and crun before 1.9 refuses every version but 1.0, which is all that is used.
    private func adaptConfiguration() throws(ShimFailure) {
        let path = "\(request.bundle)/config.json"
        let own = "/proc/self/"
        do {
            var spec = try Spec(parsing: Files.read(path))
            spec.ociVersion = "1.0.2"
            for (index, namespace) in spec.linux.namespaces.enumerated() {
                guard let named = namespace.path, named.hasPrefix(own) else { continue }
                spec.linux.namespaces[index].path = "/proc/\(getpid())/" + named.dropFirst(own.count)
            }
            try Files.replace(path, with: spec.json.serialized(), durable: false)
        } catch { throw ShimFailure(.runtime, "\(path): \(error)") }
    }

    private func findCgroup() {
        guard let path = (try? Spec(parsing: Files.read("\(request.bundle)/config.json")))?.linux.cgroupsPath else { return }
        do {
            if request.systemdCgroup {
                let unit = try SystemdUnit(cgroupsPath: path, id: request.containerID, isUser: false)
                cgroup = try CgroupManager.open(path: try SystemdManager.connect().cgroupPath(of: unit))
            } else {
                cgroup = try CgroupManager.open(path: path)
            }
        } catch { ShimLog.write("\(error)") }
    }

    private func readPID(_ path: String) throws(ShimFailure) -> Int32 {
        defer { unlink(path) }
        guard let text = try? Files.readText(path), let pid = Int32(text.filter(\.isNumber)), pid > 0 else {
            throw ShimFailure(.runtime, "\(program): no process number in \(path)")
        }
        return pid
    }

    private static func path(of console: borrowing ConsoleSocket?) -> String? {
        switch console {
        case .some(let console): console.path
        case .none: nil
        }
    }

    private static func receive(_ console: borrowing ConsoleSocket?) throws(ShimFailure) -> OwnedFD? {
        switch console {
        case .some(let console): try console.receive()
        case .none: nil
        }
    }

    /// Runs the program to its end; its last error message becomes the failure's.
    private func run(_ arguments: [String], _ streams: borrowing ChildStreams?) throws(ShimFailure) {
        let log = "\(request.directory)/runtime.log"
        unlink(log)
        defer { unlink(log) }
        let global = ["--root", root, "--log", log, "--log-format", "json"] + (request.systemdCgroup ? ["--systemd-cgroup"] : [])
        let all = [program] + leading + global + arguments
        var numbers: [Int32] = [-1, -1, -1]
        switch streams {
        case .some(let streams): numbers = [streams.input.raw, streams.output.raw, streams.error.raw]
        case .none: break
        }
        let process: RuntimeProcess
        do { process = try RuntimeProcess(all, standard: numbers) } catch { throw ShimFailure(.runtime, "\(error)") }
        let seconds = request.runtimeTimeout
        guard let status = try? process.wait(seconds: seconds) else {
            let time = "\(seconds) second\(seconds == 1 ? "" : "s")"
            throw ShimFailure(.runtime, "\(program) \(arguments[0]) did not end within \(time) and was killed")
        }
        guard status == 0 else { throw ExternalDriver.failure(program, arguments[0], log: log) }
    }

    private static let noSuchFile = "no such file or directory"
    private static let denied = "permission denied"

    /// The message with these words in it, at its end when they are not.
    private static func said(_ message: String, _ words: String) -> String {
        if message.includes(words) { return message }
        let end = message.utf8.count - words.utf8.count
        if end > 0, message.lowercased().hasSuffix(words) { return String(decoding: message.utf8.prefix(end), as: UTF8.self) + words }
        return "\(message): \(words)"
    }

    /// The kind can only be told from the text: these programs say nothing else (Docker does the same).
    private static func failure(_ program: String, _ verb: String, log: String) -> ShimFailure {
        var message = "\(program) \(verb) failed"
        for line in (try? Files.readText(log, limit: 1 << 20))?.split(separator: "\n") ?? [] {
            guard let entry = try? JSONValue(parsing: String(line)), let text = entry["msg"]?.stringValue else { continue }
            if entry["level"]?.stringValue != "warning" { message = text }
        }
        let text = message.lowercased()
        guard text.includes("exec") else { return ShimFailure(.runtime, message) }
        // Docker's clients know 127 and 126 by runc's words alone: crun's are put into them.
        if text.includes("not found") || text.includes(noSuchFile) {
            return ShimFailure(.commandNotFound, said(message, noSuchFile))
        }
        if text.includes(denied) || text.hasPrefix("open executable: operation not permitted") {
            return ShimFailure(.commandNotExecutable, said(message, denied))
        }
        return ShimFailure(.runtime, message)
    }
}

extension Files {
    fileprivate static func readText(_ path: String, limit: Int) throws(SystemError) -> String {
        String(decoding: try read(path, limit: limit), as: UTF8.self)
    }
}

/// Where an external runtime sends a terminal's master (runc's docs/terminals.md).
struct ConsoleSocket: ~Copyable {
    private let listener: OwnedFD
    private let directory: OwnedFD
    private static let name = "console.sock"

    init(directory path: String) throws(ShimFailure) {
        do throws(SystemError) { self = try ConsoleSocket(in: path) } catch { throw ShimFailure(.runtime, "\(error)") }
    }

    private init(in path: String) throws(SystemError) {
        let directory = try OwnedFD.open(path, O_RDONLY | O_DIRECTORY)
        let listener = try UnixSocket.listen(in: directory, name: ConsoleSocket.name)
        self.directory = directory
        self.listener = listener
    }

    deinit { unlinkat(directory.raw, ConsoleSocket.name, 0) }

    /// Short, however long the directory's own path is: a socket's address has 107 bytes.
    var path: String { "/proc/\(getpid())/fd/\(directory.raw)/\(ConsoleSocket.name)" }

    /// The master, once the runtime has sent it and ended.
    func receive() throws(ShimFailure) -> OwnedFD {
        let connection = clp_shim_accept(listener.raw)
        guard connection >= 0 else { throw ShimFailure(.runtime, "receive terminal: \(SystemError.text(of: errno))") }
        let owned = OwnedFD(owning: connection)
        var bytes = [UInt8](repeating: 0, count: 4096)
        var master: Int32 = -1
        let count = bytes.withUnsafeMutableBytes { clp_receive_with_fd(owned.raw, $0.baseAddress, $0.count, &master) }
        guard count >= 0, master >= 0 else { throw ShimFailure(.runtime, "receive terminal: the runtime sent none") }
        return OwnedFD(owning: master)
    }
}
