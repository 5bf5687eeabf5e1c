internal import CLinux
internal import Glibc
internal import Linux
internal import Netlink

private let noSignal = Int32(MSG_NOSIGNAL)
private let doNotWait = Int32(MSG_DONTWAIT)

/// Passes questions on to other name servers, in the daemon's network namespace: those of the host may listen on its loopback.
/// A socket for each question, connected, so that only the server's answer comes back; used by the name server's thread alone.
struct DNSForwarder {
    private struct Pending {
        let socket: OwnedFDBox
        let packet: [UInt8]
        let from: sockaddr_in
        let client: NameServer.Client
        /// Servers that have not been asked.
        var next: ArraySlice<IPAddress>
        /// Milliseconds of the monotonic clock.
        let deadline: Int64
    }

    /// A descriptor in a dictionary.
    private final class OwnedFDBox {
        let fd: OwnedFD
        init(_ fd: consuming OwnedFD) { self.fd = fd }
    }

    private let epoll: Int32
    private var pending: [UInt64: Pending] = [:]
    private var counter: UInt64 = 0
    private static let mark: UInt64 = 1 << 63
    /// More questions on their way than this are dropped: whoever asks, asks again.
    private static let limit = 1024
    private static let patience: Int64 = 2000

    init(epoll: Int32) { self.epoll = epoll }

    static func isItsOwn(_ token: UInt64) -> Bool { token & mark != 0 }

    /// Milliseconds until the next deadline, as epoll_wait(2) takes it.
    func timeout() -> Int32 {
        guard let first = pending.values.map(\.deadline).min() else { return -1 }
        return Int32(clamping: max(0, first - Self.now()))
    }

    mutating func forward(_ packet: [UInt8], from: sockaddr_in, client: NameServer.Client) {
        if pending.count >= Self.limit { return }
        ask(client.upstream[...], packet, from, client)
    }

    private mutating func ask(_ servers: ArraySlice<IPAddress>, _ packet: [UInt8], _ from: sockaddr_in, _ client: NameServer.Client) {
        var servers = servers
        while let server = servers.popFirst() {
            guard let socket = Self.connect(to: server, packet) else { continue }
            counter += 1
            let token = Self.mark | counter
            let box = OwnedFDBox(socket)
            guard clp_epoll_add(epoll, box.fd.raw, clp_epoll_input(), token) == 0 else { continue }
            pending[token] = Pending(
                socket: box, packet: packet, from: from, client: client, next: servers, deadline: Self.now() + Self.patience)
            return
        }
        if let question = DNSQuestion(packet) { Self.reply(question.answer(.serverFailure), to: from, through: client) }
    }

    private static func connect(to server: IPAddress, _ packet: [UInt8]) -> OwnedFD? {
        let flags = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let number = socket(server.family == .v4 ? AF_INET : AF_INET6, flags, 0)
        guard number >= 0 else { return nil }
        let made = OwnedFD(owning: number)
        guard HeldSocket.socketAddress(server, 53, { Glibc.connect(number, $0, $1) }) == 0,
            send(number, packet, packet.count, noSignal) == packet.count
        else { return nil }
        return made
    }

    /// A server has answered, or refused.
    mutating func receive(_ token: UInt64) {
        guard let question = pending.removeValue(forKey: token) else { return }
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(question.socket.fd.raw, &buffer, buffer.count, doNotWait)
        let isAnswer = count >= 12 && buffer[0] == question.packet[0] && buffer[1] == question.packet[1]
        if isAnswer { return Self.reply(Array(buffer.prefix(count)), to: question.from, through: question.client) }
        ask(question.next, question.packet, question.from, question.client)
    }

    /// Asks the next server where one has taken too long.
    mutating func expire() {
        let now = Self.now()
        for (token, question) in pending where question.deadline <= now {
            pending[token] = nil
            ask(question.next, question.packet, question.from, question.client)
        }
    }

    static func reply(_ packet: [UInt8], to address: sockaddr_in, through client: NameServer.Client) {
        var address = address
        _ = withUnsafeBytes(of: &address) {
            sendto(
                client.datagrams.raw, packet, packet.count, noSignal | doNotWait,
                $0.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
