internal import CLinux
internal import Glibc
internal import Linux

/// TLS for a client that knows plain sockets only: a child process speaks TLS with the server and plainly with the client.
///
///     client ──socket pair──▶ child ──TLS──▶ server        end of input on either side is passed on
///     client ◀──socket pair── child ◀──TLS── server        the child ends with either side
///
/// So nothing else in the client has to know of records that come in parts or of readiness that is not the socket's.
final class TLSTunnel {
    private static let bufferSize = 1 << 16

    private let session: TLSSession
    private let server: Int32
    private let client: Int32
    private var toServer: [UInt8] = []
    private var toClient: [UInt8] = []
    private var isClientOpen = true
    private var isServerOpen = true
    /// It has closed both ways: nobody takes what comes.
    private var isClientGone = false
    private var buffer = [UInt8](repeating: 0, count: bufferSize)
    /// What TLS waits for on the server's socket, whichever way its bytes go.
    private var wanted: Int16 = 0

    private init(_ session: TLSSession, server: Int32, client: Int32) {
        self.session = session
        self.server = server
        self.client = client
    }

    /// The client's end of a tunnel over a connected socket, once the server is known to be the right one.
    static func open(_ socket: consuming OwnedFD, host: String, _ tls: ClientTLS) throws -> OwnedFD {
        let session = try TLSSession(socket.raw, host: host, tls)
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        let child = try retrying("fork") { clp_fork() }
        if child != 0 { return pair.first }
        // A terminal's signals are for the client; what it pipes its output to must not wait for the child.
        for signal in [SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE] { _ = Glibc.signal(signal, SIG_IGN) }
        // The child's own ends go where its standard input and output were; standard error stays, for a last word.
        guard dup2(socket.raw, 0) == 0, dup2(pair.second.raw, 1) == 1, clp_close_range(3, UInt32.max, 0) == 0 else { _exit(1) }
        let tunnel = TLSTunnel(session, server: 0, client: 1)
        do {
            try session.move(to: 0)
            for descriptor in [0, 1] as [Int32] { _ = clp_fcntl(descriptor, F_SETFL, Int(O_NONBLOCK)) }
            try tunnel.run()
        } catch {
            let line = Array("\(error)\n".utf8)
            _ = Glibc.write(2, line, line.count)
        }
        // Nothing of the parent's is to be flushed or ended here.
        _exit(0)
    }

    /// Carries bytes until the server has ended and the client has all, or the client has gone.
    private func run() throws {
        while isServerOpen || !toClient.isEmpty {
            wanted = 0
            var hasMoved = try receiveFromServer()
            hasMoved = try sendToClient() || hasMoved
            hasMoved = try receiveFromClient() || hasMoved
            hasMoved = try sendToServer() || hasMoved
            if !hasMoved && !wait() { return }
        }
    }

    private func receiveFromServer() throws -> Bool {
        guard isServerOpen, !isClientGone, toClient.isEmpty else { return false }
        switch try buffer.withUnsafeMutableBytes({ try session.read(into: $0) }) {
        case .some(let count):
            toClient = Array(buffer[..<count])
            return true
        case .ended:
            isServerOpen = false
            return true
        case .wantsInput: wanted |= Int16(POLLIN)
        case .wantsOutput: wanted |= Int16(POLLOUT)
        }
        return false
    }

    private func sendToClient() throws -> Bool {
        if toClient.isEmpty { return false }
        let count = toClient.withUnsafeBytes { Glibc.send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        if count < 0 {
            if errno == EAGAIN || errno == EINTR { return false }
            // The client has gone: nobody is left to carry for.
            isServerOpen = false
            toClient = []
            return true
        }
        toClient.removeFirst(count)
        return count > 0
    }

    private func receiveFromClient() throws -> Bool {
        guard isClientOpen, toServer.isEmpty else { return false }
        let count = buffer.withUnsafeMutableBytes { Glibc.read(client, $0.baseAddress, $0.count) }
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return false }
        if count > 0 {
            toServer = Array(buffer[..<count])
            return true
        }
        isClientOpen = false
        session.endOutput()
        return true
    }

    private func sendToServer() throws -> Bool {
        if toServer.isEmpty { return false }
        switch try toServer.withUnsafeBytes({ try session.write($0) }) {
        case .some(let count):
            toServer.removeFirst(count)
            return true
        case .ended: isServerOpen = false
        case .wantsInput: wanted |= Int16(POLLIN)
        case .wantsOutput: wanted |= Int16(POLLOUT)
        }
        return false
    }

    /// False when the client has gone and all that it sent has been carried.
    private func wait() -> Bool {
        if isClientGone && !isClientOpen && toServer.isEmpty { return false }
        var forClient: Int16 = 0
        if isClientOpen && toServer.isEmpty { forClient |= Int16(POLLIN) }
        if !toClient.isEmpty { forClient |= Int16(POLLOUT) }
        var polled = [
            pollfd(fd: server, events: wanted, revents: 0), pollfd(fd: isClientGone ? -1 : client, events: forClient, revents: 0),
        ]
        _ = poll(&polled, 2, -1)
        if polled[1].revents & Int16(POLLHUP | POLLERR) != 0 { isClientGone = true }
        return true
    }
}
