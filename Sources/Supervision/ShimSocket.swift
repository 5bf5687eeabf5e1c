internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import ShimProtocol

/// Connections to a shim's socket in a container's run directory.
enum ShimSocket {
    /// Connects; the directory's path may be longer than a socket's address.
    static func connect(directory path: String) throws(SystemError) -> OwnedFD {
        let directory = try OwnedFD.open(path, O_PATH | O_DIRECTORY)
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let connection = OwnedFD(owning: try retrying("socket") { socket(AF_UNIX, kind, 0) })
        let name = "\(directory.procPath)/\(ShimWire.socketName)"
        try retrying("connect to", "\(path)/\(ShimWire.socketName)") { clp_unix_connect(connection.raw, name) }
        return connection
    }

    /// Sends the first frame and reads its answer, and not a byte more.
    static func open(_ connection: borrowing OwnedFD, _ opening: Opening) async throws(ShimFailure) -> ControlAnswer {
        let raw = connection.raw
        do { try connection.writeAll(ShimWire.frame(opening.json)) } catch { throw gone }
        guard case .answer(_, let answer) = try ShimMessage(try await readFrame(raw)) else {
            throw ShimFailure(.lost, "the container's supervisor answered something else")
        }
        if case .failure(let failure) = answer { throw failure }
        return answer
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
