internal import CLinux
internal import Glibc
internal import JSON
internal import Linux

/// The command line's memory: a directory for each container with `state.json`, and `start.sock` while the container
/// waits for its start. Whatever instant the runtime is killed at, a directory is a container that `delete --force`
/// can take away, with or without a readable state.json in it.
struct StateStore {
    let root: String

    private func directory(_ id: String) -> String { "\(root)/\(id)" }

    /// Takes the name. Throws when it is taken.
    func reserve(_ id: String) throws(RuntimeError) {
        do {
            try Files.makeDirectories(root, mode: 0o711)
            try retrying("create directory", directory(id)) { mkdir(directory(id), 0o711) }
        } catch {
            if error.code == EEXIST { throw RuntimeError(kind: .state, message: "container with id exists: \(id)") }
            throw RuntimeError(error)
        }
    }

    /// Replaces state.json whole.
    func save(_ state: ContainerState) throws(SystemError) {
        try Files.replace("\(directory(state.id))/state.json", with: state.json.serialized(), mode: 0o600, durable: false)
    }

    /// Throws with runc's words when there is no such container.
    func load(_ id: String) throws(RuntimeError) -> ContainerState {
        try ContainerID.validate(id)
        let bytes: [UInt8]
        do { bytes = try Files.read("\(directory(id))/state.json") } catch {
            if error.code == ENOENT { throw RuntimeError(kind: .state, message: "container does not exist: \(id)") }
            throw RuntimeError(error)
        }
        do { return try ContainerState(try JSONValue(parsing: bytes)) } catch {
            throw RuntimeError(kind: .state, message: "read state of container \(id): \(error)")
        }
    }

    func exists(_ id: String) -> Bool { Files.isDirectory(directory(id)) }

    /// The name of the user who made the container; the number when /etc/passwd does not know it.
    func owner(_ id: String) -> String {
        var status = stat()
        guard stat(directory(id), &status) == 0 else { return "" }
        for line in (try? Files.readText("/etc/passwd"))?.split(separator: "\n") ?? [] {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            if fields.count > 2, UInt32(fields[2]) == status.st_uid { return String(fields[0]) }
        }
        return "\(status.st_uid)"
    }

    /// All names, sorted.
    func list() throws(SystemError) -> [String] {
        do { return try Files.list(root).sorted().filter { (try? ContainerID.validate($0)) != nil && exists($0) } } catch {
            if error.code == ENOENT { return [] }
            throw error
        }
    }

    func remove(_ id: String) { try? Files.removeTree(directory(id)) }

    // MARK: - The start socket

    /// Reached through the directory's descriptor: a socket's path holds only 107 bytes.
    private func socketAddress(_ directory: borrowing OwnedFD) -> sockaddr_un {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { place in
            for (index, byte) in "\(directory.procPath)/start.sock".utf8.prefix(place.count - 1).enumerated() { place[index] = byte }
        }
        return address
    }

    private func connectOrBind(
        _ id: String, _ operation: String, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(SystemError) -> OwnedFD {
        let directory = try OwnedFD.open(directory(id), O_PATH | O_DIRECTORY)
        let type = Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue)
        let socket = OwnedFD(owning: try retrying("open socket") { Glibc.socket(AF_UNIX, type, 0) })
        var address = socketAddress(directory)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(socket.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        if result != 0 { throw SystemError(operation, "container \(id)") }
        return socket
    }

    /// Listens for `start`.
    func makeStartSocket(_ id: String) throws(SystemError) -> OwnedFD {
        let socket = try connectOrBind(id, "open start socket of") { bind($0, $1, $2) }
        try retrying("listen") { listen(socket.raw, 1) }
        return socket
    }

    /// Whether the container still waits for its start.
    func isWaiting(_ id: String) -> Bool { Files.exists("\(directory(id))/start.sock") }

    /// Opens the gate: the connection then tells how the start goes.
    func connectToGate(_ id: String) throws(SystemError) -> OwnedFD {
        try connectOrBind(id, "start") { connect($0, $1, $2) }
    }

    /// Nobody else may start the container.
    func closeGate(_ id: String) { _ = unlink("\(directory(id))/start.sock") }
}
