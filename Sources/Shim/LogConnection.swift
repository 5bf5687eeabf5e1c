internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// One socket to a log server; never waits unless told to.
final class LogConnection {
    enum Sent {
        case sent(Int)
        /// The server cannot take this message; others may be welcome.
        case refused(String)
        case full
    }

    private let address: LaunchRequest.Log.Address
    private let loop: EventLoop
    private var socket: OwnedFD?
    private var token: UInt64?
    private(set) var isComplete = false

    /// Begins to connect.
    init(_ address: LaunchRequest.Log.Address, loop: EventLoop) throws(SystemError) {
        self.address = address
        self.loop = loop
        switch address.transport {
        case .tcp, .udp: try connect(address.isDatagram)
        case .unix, .unixgram:
            do throws(SystemError) { try connect(address.isDatagram) } catch {
                // A path does not tell which kind of socket it is.
                guard error.code == EPROTOTYPE else { throw error }
                try connect(!address.isDatagram)
            }
        }
    }

    private var isDatagram = false

    private func connect(_ isDatagram: Bool) throws(SystemError) {
        let isUnix = address.port == 0 && address.host.hasPrefix("/")
        let family = isUnix ? AF_UNIX : clp_inet_family(address.host)
        let type = Int32((isDatagram ? SOCK_DGRAM : SOCK_STREAM).rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = OwnedFD(owning: try retrying("socket") { Glibc.socket(family, type, 0) })
        let result =
            isUnix ? clp_unix_connect(descriptor.raw, address.host) : clp_inet_connect(descriptor.raw, address.host, address.port)
        let code = errno
        if result != 0 && code != EINPROGRESS { throw SystemError("dial", "\(address)", code: code) }
        isComplete = result == 0
        self.isDatagram = isDatagram
        socket = .some(consume descriptor)
    }

    private var raw: Int32 {
        switch socket {
        case .some(let socket): socket.raw
        case .none: -1
        }
    }

    /// Waits until the connection stands.
    func complete(within milliseconds: Int32) throws(SystemError) {
        if isComplete { return }
        guard waitForRoom(milliseconds) else { throw SystemError("dial", "\(address)", code: ETIMEDOUT) }
        try checkError()
    }

    /// What became of the attempt to connect.
    func checkError() throws(SystemError) {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(raw, SOL_SOCKET, SO_ERROR, &code, &length)
        if code != 0 { throw SystemError("dial", "\(address)", code: code) }
        isComplete = true
    }

    func waitForRoom(_ milliseconds: Int32) -> Bool {
        var poll = pollfd(fd: raw, events: Int16(POLLOUT), revents: 0)
        return Glibc.poll(&poll, 1, milliseconds) > 0
    }

    /// Calls `handler` when the server says something or goes, and on `wantsRoom` when there is room.
    func watch(_ handler: @escaping () -> Void) throws(SystemError) {
        if token == nil { token = try loop.watch(raw, Readiness.input) { _ in handler() } }
    }

    func wantsRoom(_ wants: Bool) {
        if let token { loop.change(token, wants ? Readiness.input | Readiness.output : Readiness.input) }
    }

    /// Servers say nothing that matters here; throws when the other end is gone.
    func takeInput() throws(SystemError) {
        var buffer = [UInt8](repeating: 0, count: 1024)
        while true {
            let count = recv(raw, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 { continue }
            if count < 0 && errno == EAGAIN { return }
            if count < 0 && errno == EINTR { continue }
            // A datagram that nobody took, told late; the next may find somebody.
            if address.transport == .udp && count < 0 { return }
            if count == 0 && isDatagram { return }
            throw SystemError("connection to", "\(address)", code: count == 0 ? ECONNRESET : errno)
        }
    }

    /// Sends what fits.
    func send(_ message: ArraySlice<UInt8>) throws(SystemError) -> Sent {
        var attempts = 0
        while true {
            let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
            let count = message.withUnsafeBytes { Glibc.send(raw, $0.baseAddress, $0.count, flags) }
            if count >= 0 { return .sent(isDatagram ? message.count : count) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .full
            case EMSGSIZE: return .refused(SystemError.text(of: EMSGSIZE))
            case ENOBUFS where isDatagram: return .refused(SystemError.text(of: ENOBUFS))
            case let code where address.transport == .udp:
                // The first answer is of an earlier datagram.
                attempts += 1
                if attempts > 1 { return .refused(SystemError.text(of: code)) }
            default: throw SystemError("send to", "\(address)")
            }
        }
    }

    func close() {
        if let token { loop.unwatch(token) }
        token = nil
        socket = nil
    }
}
