internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// Published ports that the kernel cannot translate: from IPv6 to a container that has IPv4 alone, and from ::1 or a
/// link-local address. The sockets that keep the ports are served here, so they answer while the daemon is away, and nothing
/// is started for them; until a client comes, a port costs one entry in the loop.
///
/// Bytes of a TCP connection never enter this process: `StreamRelay` moves them in the kernel. `DatagramRelay` passes on UDP.
final class PortServer {
    /// Descriptors that are left to everything else that the supervisor does, such as execs.
    private static let reserve = 128

    let loop: EventLoop
    let target: String
    /// TCP connections at a time, of all ports; whoever comes beyond waits in a listening socket's queue.
    private let limit: Int
    /// Clients at a time of each UDP port.
    private let datagramLimit: Int
    private var isResting = false
    private var tokens: [UInt64] = []
    private var streams: [ObjectIdentifier: StreamRelay] = [:]
    private var datagrams: [DatagramRelay] = []

    /// - Parameter descriptors: how many the process may have besides those that came from the daemon.
    init(_ relay: PortRelay, descriptors: Int, loop: EventLoop) {
        self.loop = loop
        target = relay.target
        let room = max(0, descriptors - PortServer.reserve)
        let datagramPorts = relay.listeners.count { $0.isUDP }
        datagramLimit = datagramPorts == 0 ? 0 : min(DatagramRelay.mostClients, max(1, room / 2 / datagramPorts))
        limit = max(4, (room - datagramPorts * datagramLimit) / StreamRelay.descriptors)
        for listener in relay.listeners {
            do throws(SystemError) { try serve(listener) } catch { ShimLog.write("\(error)") }
        }
    }

    private func serve(_ listener: PortRelay.Listener) throws(SystemError) {
        try makeNonBlocking(listener.descriptor)
        if listener.isUDP {
            return datagrams.append(try DatagramRelay(listener, target: target, limit: datagramLimit, loop: loop))
        }
        tokens.append(
            try loop.watch(listener.descriptor, Readiness.input) { [unowned self] _ in accept(listener) })
    }

    /// One connection per call: the loop comes back while there are more, and everything else has its turn in between.
    private func accept(_ listener: PortRelay.Listener) {
        // Another port's client may have taken the last place in this turn of the loop.
        guard streams.count < limit else { return }
        let number = clp_relay_accept(listener.descriptor)
        guard number >= 0 else {
            if EventLoop.needsRest(errno) { rest() }
            return
        }
        do throws(SystemError) {
            let relay = try StreamRelay(OwnedFD(owning: number), to: target, port: listener.port, loop: loop)
            let key = ObjectIdentifier(relay)
            streams[key] = relay
            if streams.count == limit { listenIfPossible() }
            relay.onEnd = { [unowned self] in
                streams[key] = nil
                if streams.count == limit - 1 { listenIfPossible() }
            }
            try relay.start()
        } catch { ShimLog.write("\(error)") }
    }

    private func rest() {
        isResting = true
        listenIfPossible()
        _ = loop.after(milliseconds: EventLoop.rest) { [weak self] in
            guard let self else { return }
            isResting = false
            listenIfPossible()
        }
    }

    private func listenIfPossible() {
        let events = isResting || streams.count >= limit ? 0 : Readiness.input
        for token in tokens { loop.change(token, events) }
    }

    /// Takes no more, passes on what has come from the container and ends all connections. The sockets are the caller's to close.
    func stop() {
        for token in tokens { loop.unwatch(token) }
        tokens = []
        for relay in streams.values { relay.end() }
        for relay in datagrams { relay.stop() }
        datagrams = []
    }
}
