import CLinux
import Glibc
import Linux
import Logging
import Netlink
import Testing

@testable import Networking

/// A host of the test's own: a network namespace in which a `NetworkManager` runs, so that the machine's network is not
/// touched. Everything inside runs on one thread that is in the namespace; what that thread starts is, too.
enum TestHost {
    static func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
        try NetworkNamespace.run(in: .new) {
            try RouteNetlink().setUp(1)
            return try body()
        }
    }

    /// A manager with records of its own, which is shut down with all that it made afterwards.
    static func withManager<Result: Sendable>(
        _ edit: @escaping @Sendable (inout NetworkConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (NetworkManager) throws -> Result
    ) throws -> Result {
        try run {
            let manager = try makeManager(MemoryNetworkRecords(), edit)
            defer { manager.shutdown(removeAll: true) }
            return try body(manager)
        }
    }

    static func makeManager(
        _ records: any NetworkRecords, isDefault: Bool = true, key: String = "t", _ edit: (inout NetworkConfiguration) -> Void = { _ in }
    ) throws -> NetworkManager {
        var configuration = NetworkConfiguration(instanceKey: key, isDefaultInstance: isDefault)
        configuration.hostLockPath = "/tmp/clipper-net-test.lock"
        configuration.warmSandboxes = 1
        edit(&configuration)
        return try NetworkManager(configuration: configuration, records: records, logger: Logger(label: "test"))
    }

    /// Standard output and error of a program run in the calling thread's namespace.
    @discardableResult
    static func output(_ command: String...) throws -> String {
        let pipe = try OwnedFD.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipe.writing.raw, 1)
        posix_spawn_file_actions_adddup2(&actions, pipe.writing.raw, 2)
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
        defer { for variable in environment { free(variable) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, command[0], &actions, nil, &arguments, &environment)
        if code != 0 { throw SystemError("start", command[0], code: code) }
        let (reading, writing) = (pipe.reading.raw, pipe.writing.raw)
        _ = reading
        _ = dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), writing)
        let text = String(decoding: try pipe.reading.readAll(), as: UTF8.self)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        return text
    }
}

/// A connected or listening socket of a test.
final class TestSocket: Sendable {
    let fd: OwnedFD

    init(_ fd: consuming OwnedFD) { self.fd = fd }

    private static func address(_ ip: String, _ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, ip, &address.sin_addr)
        return address
    }

    private static func make(_ type: Int32, milliseconds: Int = 10000) throws -> OwnedFD {
        let fd = OwnedFD(owning: try retrying("socket") { socket(AF_INET, type, 0) })
        var limit = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
        setsockopt(fd.raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(fd.raw, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        return fd
    }

    private static func with(_ ip: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = address(ip, port)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    static func listen(_ port: UInt16, on ip: String = "0.0.0.0", udp: Bool = false) throws -> TestSocket {
        let fd = try make(udp ? clp_sock_dgram_cloexec() : clp_sock_stream_cloexec())
        try retrying("bind") { with(ip, port) { bind(fd.raw, $0, $1) } }
        if !udp { try retrying("listen") { Glibc.listen(fd.raw, 16) } }
        return TestSocket(fd)
    }

    static func connect(_ ip: String, _ port: UInt16, udp: Bool = false, milliseconds: Int = 10000) throws -> TestSocket {
        let fd = try make(udp ? clp_sock_dgram_cloexec() : clp_sock_stream_cloexec(), milliseconds: milliseconds)
        try retrying("connect", "\(ip):\(port)") { with(ip, port) { Glibc.connect(fd.raw, $0, $1) } }
        return TestSocket(fd)
    }

    /// Accepts a connection; returns it and the peer's address.
    func accept() throws -> (TestSocket, String) {
        var peer = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let accepted = try retrying("accept") {
            withUnsafeMutablePointer(to: &peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.accept(fd.raw, $0, &size) }
            }
        }
        let text = IPAddress(family: .v4, value: UInt128(UInt32(bigEndian: peer.sin_addr.s_addr))).description
        return (TestSocket(OwnedFD(owning: accepted)), text)
    }

    /// Whether something comes within so many milliseconds.
    func hears(milliseconds: Int32) -> Bool {
        var descriptor = pollfd(fd: fd.raw, events: Int16(POLLIN), revents: 0)
        return poll(&descriptor, 1, milliseconds) > 0
    }

    /// Answers one datagram with `text`.
    func answer(_ text: String) throws {
        var peer = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        var buffer = [UInt8](repeating: 0, count: 256)
        try withUnsafeMutablePointer(to: &peer) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                try retrying("receive") { recvfrom(fd.raw, &buffer, buffer.count, 0, address, &size) }
                try retrying("send") { sendto(fd.raw, text, text.utf8.count, 0, address, size) }
            }
        }
    }

    func read() throws -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = try fd.read(into: &buffer)
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    func write(_ text: String) throws { try fd.writeAll(Array(text.utf8)) }
}
