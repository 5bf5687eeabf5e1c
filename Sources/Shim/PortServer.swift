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
    /// How long no connection is taken after one could not be, for want of descriptors or memory.
    private static let pause: Int64 = 100

    let loop: EventLoop
    let target: String
    private var tokens: [UInt64] = []
    private var streams: [ObjectIdentifier: StreamRelay] = [:]
    private var datagrams: [DatagramRelay] = []

    init(_ relay: PortRelay, loop: EventLoop) {
        self.loop = loop
        target = relay.target
        for listener in relay.listeners {
            do throws(SystemError) { try serve(listener) } catch { ShimLog.write("\(error)") }
        }
    }

    private func serve(_ listener: PortRelay.Listener) throws(SystemError) {
        try makeNonBlocking(listener.descriptor)
        if listener.isUDP {
            return datagrams.append(try DatagramRelay(listener, target: target, loop: loop))
        }
        tokens.append(
            try loop.watch(listener.descriptor, Readiness.input) { [unowned self] _ in accept(listener) })
    }

    /// One connection per call: the loop comes back while there are more, and everything else has its turn in between.
    private func accept(_ listener: PortRelay.Listener) {
        let number = clp_relay_accept(listener.descriptor)
        guard number >= 0 else {
            if errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM { rest() }
            return
        }
        do throws(SystemError) {
            let relay = try StreamRelay(OwnedFD(owning: number), to: target, port: listener.port, loop: loop)
            let key = ObjectIdentifier(relay)
            streams[key] = relay
            relay.onEnd = { [unowned self] in streams[key] = nil }
            try relay.start()
        } catch { ShimLog.write("\(error)") }
    }

    /// The listening sockets stay ready: without this the loop would turn round and round.
    private func rest() {
        for token in tokens { loop.change(token, 0) }
        _ = loop.after(milliseconds: PortServer.pause) { [weak self] in
            guard let self else { return }
            for token in tokens { loop.change(token, Readiness.input) }
        }
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
