internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import ShimProtocol
internal import Synchronization

/// Connections to a shim's socket in a container's run directory.
enum ShimSocket {
    /// Connects, sends the first frame and reads its answer, and not a byte more. The socket blocks and is the caller's.
    /// - Parameter patience: how many seconds to wait; nil waits for ever.
    static func open(directory: String, _ opening: Opening, patience: UInt32?) async throws(ShimFailure) -> (Int32, ControlAnswer) {
        let raw: Int32
        do throws(SystemError) { raw = try unconnected().take() } catch { throw ShimFailure(.lost, "\(error)") }
        let isOver = Mutex(false)
        let alarm = Alarm(seconds: patience) {
            isOver.withLock { $0 = true }
            shutdown(raw, Int32(SHUT_RDWR))
        }
        let result: Result<ControlAnswer, ShimFailure>
        do throws(ShimFailure) {
            try await connect(raw, directory: directory) { isOver.withLock { $0 } }
            result = .success(try await ask(raw, opening))
        } catch { result = .failure(error) }
        // Before the number may be another's.
        let isSilent = await alarm.putOff()
        do throws(ShimFailure) {
            if isSilent { throw silent }
            return (raw, try result.get())
        } catch {
            close(raw)
            throw error
        }
    }

    private static func unconnected() throws(SystemError) -> OwnedFD {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        return OwnedFD(owning: try retrying("socket") { socket(AF_UNIX, kind, 0) })
    }

    /// The directory's path may be longer than a socket's address. Never blocks a thread: a supervisor that takes nobody in has a
    /// queue that fills up, and the kernel tells nobody when there is room in it again (connect(2), EAGAIN): hence the asking anew.
    private static func connect(_ raw: Int32, directory path: String, until isOver: () -> Bool) async throws(ShimFailure) {
        do throws(SystemError) {
            let directory = try OwnedFD.open(path, O_PATH | O_DIRECTORY)
            let name = "\(directory.procPath)/\(ShimWire.socketName)"
            try setBlocking(raw, false)
            while clp_unix_connect(raw, name) < 0 {
                guard errno == EAGAIN || errno == EINTR else { throw SystemError("connect to", "\(path)/\(ShimWire.socketName)") }
                if isOver() { return }
                try? await Task.sleep(for: .milliseconds(20))
            }
            try setBlocking(raw, true)
        } catch { throw ShimFailure(.lost, "\(error)") }
    }

    private static func setBlocking(_ socket: Int32, _ blocks: Bool) throws(SystemError) {
        let flags = try retrying("read flags of socket") { clp_fcntl(socket, F_GETFL, 0) }
        let wanted = blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK
        try retrying("set flags of socket") { clp_fcntl(socket, F_SETFL, Int(wanted)) }
    }

    private static func ask(_ socket: Int32, _ opening: Opening) async throws(ShimFailure) -> ControlAnswer {
        let frame = ShimWire.frame(opening.json)
        // A new socket has room for it.
        guard send(socket, frame, frame.count, Int32(MSG_NOSIGNAL)) == frame.count else { throw gone }
        guard case .answer(_, let answer) = try ShimMessage(try await readFrame(socket)) else {
            throw ShimFailure(.lost, "the container's supervisor answered something else")
        }
        if case .failure(let failure) = answer { throw failure }
        return answer
    }

    static var silent: ShimFailure {
        ShimFailure(.silent, "the container's supervisor does not answer: it is stopped or frozen, or the host is very busy")
    }

    private static var gone: ShimFailure { ShimFailure(.lost, "the container's supervisor is gone") }

    /// One frame from a blocking or non-blocking socket; never blocks a thread.
    static func readFrame(_ socket: Int32) async throws(ShimFailure) -> JSONValue {
        let head = try await readBytes(socket, 4)
        let length = head.reduce(0) { $0 << 8 | Int($1) }
        guard length <= ShimWire.longestFrame else { throw ShimFailure(.lost, "frame of \(length) bytes is too long") }
        let body = try await readBytes(socket, length)
        do throws(JSONError) { return try JSONValue(parsing: body) } catch { throw ShimFailure(.lost, "\(error)") }
    }

    private static func readBytes(_ socket: Int32, _ count: Int) async throws(ShimFailure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var have = 0
        while have < count {
            let got = bytes.withUnsafeMutableBytes { recv(socket, $0.baseAddress.map { $0 + have }, count - have, Int32(MSG_DONTWAIT)) }
            if got > 0 {
                have += got
            } else if got < 0 && errno == EAGAIN {
                do { try await ControlLoop.shared.readable(socket) } catch { throw ShimFailure(.lost, "\(error)") }
            } else if got == 0 || errno != EINTR {
                throw gone
            }
        }
        return bytes
    }
}
