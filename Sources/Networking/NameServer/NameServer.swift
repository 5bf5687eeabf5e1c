internal import CLinux
internal import Glibc
internal import Linux
internal import Netlink
internal import Synchronization

/// The name server of containers on networks that users define: 127.0.0.11 in each of their network namespaces, as in Docker.
///
/// It answers for the containers that share a network with the one that asks, and passes all else on to the servers that the host
/// (or `--dns`) names. Its sockets stand in the container's namespace on free ports, and a rule there leads port 53 to them: a
/// container may run a name server of its own. One thread waits for all; TCP, which programs use for long answers only, gets a
/// thread a connection. Nothing of it outlives the daemon: the next one makes the sockets and the rule again.
final class NameServer: Sendable {
    /// What to do with a question of a container.
    enum Decision: Sendable {
        case answer(DNSQuestion.Code, [DNSQuestion.Record])
        case forward
    }

    /// A container that is served.
    final class Client: Sendable {
        let containerID: String
        /// Where questions about the rest of the world go, in this order.
        let upstream: [IPAddress]
        let decide: @Sendable (String, DNSQuestion) -> Decision
        let datagrams: OwnedFD
        let listener: OwnedFD

        init(
            containerID: String, upstream: [IPAddress], decide: @escaping @Sendable (String, DNSQuestion) -> Decision,
            datagrams: consuming OwnedFD, listener: consuming OwnedFD
        ) {
            self.containerID = containerID
            self.upstream = upstream
            self.decide = decide
            self.datagrams = datagrams
            self.listener = listener
        }
    }

    static let address = IPAddress(family: .v4, value: 127 << 24 | 11)

    private struct State {
        var clients: [String: UInt64] = [:]
        var sockets: [UInt64: (client: Client, isListener: Bool)] = [:]
        var next: UInt64 = 2
        var isRunning = false
        var isStopped = false
    }

    private let state = Mutex(State())
    private let epoll: OwnedFD
    private let wake: OwnedFD
    private static let wakeToken: UInt64 = 0

    init() throws(SystemError) {
        epoll = OwnedFD(owning: try retrying("create epoll") { clp_epoll_create() })
        wake = OwnedFD(owning: try retrying("create eventfd") { eventfd(0, Int32(EFD_CLOEXEC)) })
        let number = wake.raw
        let set = epoll.raw
        try retrying("watch eventfd") { clp_epoll_add(set, number, clp_epoll_input(), Self.wakeToken) }
    }

    /// Begins to answer in a container's network namespace; a container that is served already stays so. Blocks.
    func serve(
        containerID: String, namespace: Int32, upstream: [IPAddress], decide: @escaping @Sendable (String, DNSQuestion) -> Decision
    ) throws {
        if state.withLock({ $0.clients[containerID] != nil }) { return }
        let client = try NetworkNamespace.run(in: .existing(namespace)) {
            try NamespaceSockets.open(containerID: containerID, upstream: upstream, decide: decide)
        }
        try state.withLock { state throws(SystemError) in
            if state.isStopped { throw SystemError("serve names", code: ECANCELED) }
            let token = state.next
            state.next += 2
            state.clients[containerID] = token
            state.sockets[token] = (client, false)
            state.sockets[token + 1] = (client, true)
            let (set, datagrams, listener) = (epoll.raw, client.datagrams.raw, client.listener.raw)
            try retrying("watch socket") { clp_epoll_add(set, datagrams, clp_epoll_input(), token) }
            try retrying("watch socket") { clp_epoll_add(set, listener, clp_epoll_input(), token + 1) }
            if !state.isRunning {
                try start()
                state.isRunning = true
            }
        }
    }

    /// Closes a container's sockets, which would keep its network namespace alive.
    func stop(containerID: String) {
        state.withLock { state in
            guard let token = state.clients.removeValue(forKey: containerID), let (client, _) = state.sockets[token] else { return }
            _ = clp_epoll_remove(epoll.raw, client.datagrams.raw)
            _ = clp_epoll_remove(epoll.raw, client.listener.raw)
            state.sockets[token] = nil
            state.sockets[token + 1] = nil
        }
    }

    /// Ends the thread and closes everything.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.clients = [:]
            state.sockets = [:]
        }
        var one: UInt64 = 1
        _ = write(wake.raw, &one, 8)
    }

    private func start() throws(SystemError) {
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<NameServer>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, argument.toOpaque())
        if code != 0 {
            argument.release()
            throw SystemError("start thread", code: code)
        }
        pthread_detach(thread)
    }

    private func run() {
        var forwarder = DNSForwarder(epoll: epoll.raw)
        var events = [epoll_event](repeating: epoll_event(), count: 32)
        while true {
            let count = epoll_wait(epoll.raw, &events, Int32(events.count), forwarder.timeout())
            if count < 0 && errno != EINTR { return }
            for event in events.prefix(Int(max(count, 0))) {
                let token = event.data.u64
                if token == Self.wakeToken { return }
                if DNSForwarder.isItsOwn(token) {
                    forwarder.receive(token)
                    continue
                }
                guard let (client, isListener) = state.withLock({ $0.sockets[token] }) else { continue }
                if isListener { DNSStream.accept(client) } else { answer(client, &forwarder) }
            }
            forwarder.expire()
        }
    }

    /// Takes what has come in: a few at a time, so that one container does not keep the others waiting.
    private func answer(_ client: Client, _ forwarder: inout DNSForwarder) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<16 {
            var from = sockaddr_in()
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let count = withUnsafeMutableBytes(of: &from) { address in
                recvfrom(
                    client.datagrams.raw, &buffer, buffer.count, Int32(MSG_DONTWAIT),
                    address.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
            }
            if count <= 0 { return }
            let packet = Array(buffer.prefix(count))
            if let question = DNSQuestion(packet), case .answer(let code, let records) = client.decide(client.containerID, question) {
                DNSForwarder.reply(question.answer(code, records), to: from, through: client)
            } else {
                forwarder.forward(packet, from: from, client: client)
            }
        }
    }
}

/// Makes the sockets and the rule in the network namespace of the calling thread.
private enum NamespaceSockets {
    static func open(
        containerID: String, upstream: [IPAddress], decide: @escaping @Sendable (String, DNSQuestion) -> NameServer.Decision
    ) throws -> NameServer.Client {
        let datagrams = try bind(Int32(SOCK_DGRAM.rawValue))
        let listener = try bind(Int32(SOCK_STREAM.rawValue))
        let number = listener.raw
        try retrying("listen for names") { listen(number, 16) }
        try NFTables().commit(rule(udp: try port(of: datagrams.raw), tcp: try port(of: number)))
        return NameServer.Client(
            containerID: containerID, upstream: upstream, decide: decide, datagrams: datagrams, listener: listener)
    }

    private static func bind(_ kind: Int32) throws(SystemError) -> OwnedFD {
        let flags = kind | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let made = OwnedFD(owning: try retrying("open name server's socket") { socket(AF_INET, flags, 0) })
        let number = made.raw
        try retrying("bind name server's socket") { HeldSocket.socketAddress(NameServer.address, 0) { Glibc.bind(number, $0, $1) } }
        return made
    }

    private static func port(of socket: Int32) throws(SystemError) -> UInt16 {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        try retrying("read name server's port") {
            withUnsafeMutableBytes(of: &address) {
                getsockname(socket, $0.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
            }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// In the container: what goes to 127.0.0.11 port 53 goes to our ports instead.
    private static func rule(udp: UInt16, tcp: UInt16) -> NFTBatch {
        var batch = NFTBatch(table: "clipper-names")
        batch.addTable()
        batch.deleteTable()
        batch.addTable()
        batch.addBaseChain("output", type: "nat", hook: .output, priority: -100)
        for (proto, port) in [(UInt8(IPPROTO_UDP), udp), (UInt8(IPPROTO_TCP), tcp)] {
            batch.addRule(
                "output",
                [
                    .meta(.networkProtocol, to: 0), .compare(0, equal: true, [2]),
                    .networkHeader(offset: 16, length: 4, to: 0), .compare(0, equal: true, NameServer.address.bytes),
                    .meta(.transportProtocol, to: 0), .compare(0, equal: true, [proto]),
                    .transportHeader(offset: 2, length: 2, to: 0), .compare(0, equal: true, [0, 53]),
                    .immediate(NameServer.address.bytes, to: 0), .immediate([UInt8(port >> 8), UInt8(port & 0xff)], to: 1),
                    .destinationNAT(family: .v4, address: 0, port: 1),
                ])
        }
        return batch
    }
}
