internal import CLinux
internal import Glibc
internal import Linux

/// One TCP connection, passed on: two sockets, and a pipe for each direction through which the kernel moves the bytes
/// (splice(2)). What one side does not take stays in its pipe, at most 64 KiB, and the other side is not read until it has.
final class StreamRelay {
    private enum Phase {
        case connecting
        case relaying
        case ended
    }

    /// Bytes on their way from one socket to the other.
    private final class Direction {
        let pipe: PipeEnds
        /// Bytes in the pipe.
        var waiting = 0
        /// The source has sent its last byte.
        var isAtEnd = false
        /// The destination has been told so.
        var isOver = false

        init() throws(SystemError) { pipe = try OwnedFD.pipe(O_NONBLOCK) }
    }

    /// A socket, and what the loop waits for on it.
    private final class Side {
        let socket: OwnedFD
        var token: UInt64?

        init(_ socket: consuming OwnedFD) { self.socket = socket }
    }

    /// Descriptors of one relay: two sockets and two pipes.
    static let descriptors = 6

    private static let chunk = 1 << 16
    /// Chunks moved in one turn of the loop, which serves the container's output too.
    private static let turns = 4

    private let loop: EventLoop
    private let client: Side
    private let server: Side
    private let up: Direction
    private let down: Direction
    private var phase = Phase.connecting
    /// Called once, when both sockets are about to be closed.
    var onEnd: () -> Void = {}

    /// Begins to connect to the container.
    init(_ client: consuming OwnedFD, to target: String, port: UInt16, loop: EventLoop) throws(SystemError) {
        self.loop = loop
        self.client = Side(client)
        let name = "\(target) port \(port)"
        server = Side(OwnedFD(owning: try retrying("open socket for", name) { clp_relay_socket(clp_inet_family(target), 0) }))
        up = try Direction()
        down = try Direction()
        for side in [self.client, server] {
            _ = clp_relay_undelayed(side.socket.raw)
            _ = clp_relay_kept_alive(side.socket.raw)
        }
        // A refusal is seen when the loop asks.
        _ = clp_inet_connect(server.socket.raw, target, port)
    }

    /// Waits for the container's answer. The loop keeps this object until its end.
    func start() throws(SystemError) {
        do throws(SystemError) {
            server.token = try loop.watch(server.socket.raw, Readiness.output) { [self] events in ready(server, events) }
            client.token = try loop.watch(client.socket.raw, 0) { [self] events in ready(client, events) }
        } catch {
            close()
            throw error
        }
    }

    /// Passes on what the container has sent up to now and closes.
    func end() {
        if case .relaying = phase { _ = move(down, from: server, to: client) }
        close()
    }

    private func ready(_ side: Side, _ events: UInt32) {
        switch phase {
        case .ended: return
        case .connecting:
            // Either nobody listens in the container, which ends the connection as a proxy of dockerd's does, or the client is gone.
            if side === client || clp_relay_error(server.socket.raw) != 0 { return close() }
            phase = .relaying
        case .relaying: break
        }
        guard move(up, from: client, to: server), move(down, from: server, to: client) else { return close() }
        if up.isOver && down.isOver { return close() }
        // Gone with nothing to be done about it: both directions of this socket are over, or the other side has yet to take what came.
        if events & Readiness.gone != 0, interest(of: side) == 0, clp_relay_error(side.socket.raw) != 0 { return close() }
        do throws(SystemError) {
            try watch(client, mayPause: side === client && events & Readiness.gone != 0)
            try watch(server, mayPause: side === server && events & Readiness.gone != 0)
        } catch { close() }
    }

    /// What is to be waited for: input while its pipe is empty, room for output while the other's is not.
    private func interest(of side: Side) -> UInt32 {
        let (outgoing, incoming) = side === client ? (up, down) : (down, up)
        var events: UInt32 = 0
        if !outgoing.isAtEnd && outgoing.waiting == 0 { events |= Readiness.input }
        if incoming.waiting > 0 { events |= Readiness.output }
        return events
    }

    /// The loop always tells that a socket is gone: one of which nothing is wanted is left out of it, or it would not rest.
    private func watch(_ side: Side, mayPause: Bool) throws(SystemError) {
        let events = interest(of: side)
        if let token = side.token {
            if events == 0 && mayPause {
                loop.unwatch(token)
                side.token = nil
            } else {
                loop.change(token, events)
            }
        } else if events != 0 {
            side.token = try loop.watch(side.socket.raw, events) { [self] events in ready(side, events) }
        }
    }

    /// Moves what can be moved now. False when the connection is broken.
    private func move(_ direction: Direction, from source: Side, to destination: Side) -> Bool {
        for _ in 0..<StreamRelay.turns {
            if direction.waiting == 0 && !direction.isAtEnd {
                let count = splice(source.socket.raw, direction.pipe.writing.raw, StreamRelay.chunk)
                if count < 0 { return errno == EAGAIN }
                direction.waiting = count
                direction.isAtEnd = count == 0
            }
            if direction.waiting > 0 {
                let count = splice(direction.pipe.reading.raw, destination.socket.raw, direction.waiting)
                if count < 0 { return errno == EAGAIN }
                direction.waiting -= count
            }
            if direction.isAtEnd && direction.waiting == 0 {
                if !direction.isOver { _ = shutdown(destination.socket.raw, Int32(SHUT_WR)) }
                direction.isOver = true
                return true
            }
        }
        return true
    }

    private func splice(_ from: Int32, _ to: Int32, _ count: Int) -> Int {
        while true {
            let moved = clp_relay_splice(from, to, count)
            if moved >= 0 || errno != EINTR { return moved }
        }
    }

    private func close() {
        if case .ended = phase { return }
        phase = .ended
        for side in [client, server] {
            if let token = side.token { loop.unwatch(token) }
            side.token = nil
        }
        onEnd()
    }
}
