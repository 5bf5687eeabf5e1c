internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// One UDP port, passed on: each client that speaks to it gets a socket to the container, through which its answers come
/// back, until neither has said anything for a while. Datagrams that cannot be passed on now are lost, as they may be.
final class DatagramRelay {
    /// Milliseconds of silence after which a client is forgotten: as long as dockerd's proxy.
    private static let patience: Int64 = 90_000
    /// Clients at a time, however many descriptors there are.
    static let mostClients = 1024

    private final class Client {
        let socket: OwnedFD
        let peer: clp_relay_peer
        var token: UInt64 = 0
        var lastHeard: Int64

        init(_ socket: consuming OwnedFD, _ peer: clp_relay_peer, now: Int64) {
            self.socket = socket
            self.peer = peer
            lastHeard = now
        }
    }

    private let listener: PortRelay.Listener
    private let target: String
    /// Clients at a time, each of which costs a descriptor; the one that was silent longest makes room.
    private let limit: Int
    private let loop: EventLoop
    private var token: UInt64?
    private var sweeping: UInt64?
    /// By the client's address and port, and the address it spoke to.
    private var clients: [[UInt8]: Client] = [:]

    init(_ listener: PortRelay.Listener, target: String, limit: Int, loop: EventLoop) throws(SystemError) {
        self.listener = listener
        self.target = target
        self.limit = limit
        self.loop = loop
        try retrying("configure socket for udp port", "\(listener.port)") { clp_relay_tells_destination(listener.descriptor) }
        token = try loop.watch(listener.descriptor, Readiness.input) { [unowned self] _ in receive() }
    }

    func stop() {
        if let token { loop.unwatch(token) }
        token = nil
        if let sweeping { loop.cancel(sweeping) }
        sweeping = nil
        for client in clients.values { loop.unwatch(client.token) }
        clients = [:]
    }

    /// One datagram; the loop comes back while there are more.
    private func receive() {
        let buffer = SharedBuffer.input
        var peer = clp_relay_peer()
        let count = clp_relay_receive(listener.descriptor, buffer.baseAddress, buffer.count, &peer)
        if count < 0 { return }
        let key = withUnsafeBytes(of: peer) { Array($0) }
        guard let client = clients[key] ?? welcome(peer, key) else { return }
        client.lastHeard = EventLoop.now()
        // A refusal of an earlier one is told here: this one is another.
        if send(client.socket.raw, buffer.baseAddress, count, Int32(MSG_DONTWAIT)) < 0 && errno == ECONNREFUSED {
            _ = send(client.socket.raw, buffer.baseAddress, count, Int32(MSG_DONTWAIT))
        }
    }

    private func welcome(_ peer: clp_relay_peer, _ key: [UInt8]) -> Client? {
        if clients.count >= limit, let oldest = clients.min(by: { $0.value.lastHeard < $1.value.lastHeard })?.key {
            forget(oldest)
        }
        do throws(SystemError) {
            let name = "\(target) port \(listener.port)"
            let socket = OwnedFD(owning: try retrying("open socket for", name) { clp_relay_socket(clp_inet_family(target), 1) })
            try retrying("connect to", name) { clp_inet_connect(socket.raw, target, listener.port) }
            let client = Client(socket, peer, now: EventLoop.now())
            client.token = try loop.watch(client.socket.raw, Readiness.input) { [unowned self, unowned client] _ in answer(client) }
            clients[key] = client
            if sweeping == nil { sweepLater() }
            return client
        } catch {
            ShimLog.write("\(error)")
            return nil
        }
    }

    private func answer(_ client: Client) {
        let buffer = SharedBuffer.input
        // An error is taken off the socket by being read.
        let count = recv(client.socket.raw, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0 { return }
        client.lastHeard = EventLoop.now()
        var peer = client.peer
        _ = clp_relay_answer(listener.descriptor, buffer.baseAddress, count, &peer)
    }

    private func sweepLater() {
        sweeping = loop.after(milliseconds: DatagramRelay.patience / 2) { [unowned self] in
            let now = EventLoop.now()
            for (key, client) in clients where client.lastHeard + DatagramRelay.patience <= now { forget(key) }
            sweeping = nil
            if !clients.isEmpty { sweepLater() }
        }
    }

    private func forget(_ key: [UInt8]) {
        guard let client = clients.removeValue(forKey: key) else { return }
        loop.unwatch(client.token)
    }
}
