public import CLinux
internal import Glibc

/// A file descriptor that is closed when its owner goes away.
public struct OwnedFD: ~Copyable, Sendable {
    /// The number, for system calls while the owner lives.
    public let raw: Int32

    /// Takes ownership of an open descriptor.
    public init(owning raw: Int32) { self.raw = raw }

    deinit { if raw >= 0 { _ = Glibc.close(raw) } }

    /// Gives the descriptor away: the caller closes it from now on.
    public consuming func take() -> Int32 {
        let number = raw
        discard self
        return number
    }

    /// A second descriptor of the same open file, close-on-exec.
    public func duplicate() throws(SystemError) -> OwnedFD {
        OwnedFD(owning: try retrying("duplicate descriptor", "\(raw)") { clp_fcntl(raw, F_DUPFD_CLOEXEC, 3) })
    }
}

extension OwnedFD {
    /// open(2) with O_CLOEXEC.
    public static func open(_ path: String, _ flags: Int32 = 0, mode: mode_t = 0o644) throws(SystemError) -> OwnedFD {
        OwnedFD(owning: try retrying("open", path) { clp_open(path, flags | O_CLOEXEC, mode) })
    }

    /// openat(2) with O_CLOEXEC, relative to this directory.
    public func openAt(_ path: String, _ flags: Int32 = 0, mode: mode_t = 0o644) throws(SystemError) -> OwnedFD {
        OwnedFD(owning: try retrying("open", path) { clp_openat(raw, path, flags | O_CLOEXEC, mode) })
    }

    /// Opens a path inside a root filesystem whose root is this directory: `..` and absolute symbolic links
    /// stay inside it (openat2(2), RESOLVE_IN_ROOT, Linux 5.6). Magic links are refused.
    public func openInRoot(_ path: String, _ flags: Int32 = 0, mode: mode_t = 0) throws(SystemError) -> OwnedFD {
        let resolve = UInt64(RESOLVE_IN_ROOT) | UInt64(RESOLVE_NO_MAGICLINKS)
        while true {
            let fd = clp_openat2(raw, path, UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), UInt64(mode), resolve)
            if fd >= 0 { return OwnedFD(owning: fd) }
            // EAGAIN: a rename raced with the walk; the kernel asks to try again (openat2(2)).
            if errno != EINTR && errno != EAGAIN { throw SystemError("open in root", path) }
        }
    }

    /// The path through which the kernel reaches this open file in the calling process.
    public var procPath: String { "/proc/self/fd/\(raw)" }

    /// A pipe: (reading end, writing end), both close-on-exec.
    public static func pipe(_ flags: Int32 = 0) throws(SystemError) -> PipeEnds {
        var ends: [Int32] = [-1, -1]
        _ = try retrying("pipe") { pipe2(&ends, flags | O_CLOEXEC) }
        return PipeEnds(reading: OwnedFD(owning: ends[0]), writing: OwnedFD(owning: ends[1]))
    }

    /// A connected pair of Unix sockets, both close-on-exec. `type` is SOCK_STREAM or SOCK_SEQPACKET.
    public static func socketPair(type: Int32) throws(SystemError) -> SocketPair {
        var ends: [Int32] = [-1, -1]
        _ = try retrying("socketpair") { socketpair(AF_UNIX, type | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) }
        return SocketPair(first: OwnedFD(owning: ends[0]), second: OwnedFD(owning: ends[1]))
    }

    /// Reads until end of file, at most `limit` bytes.
    public func readAll(limit: Int = .max) throws(SystemError) -> [UInt8] {
        var result: [UInt8] = []
        // Most files here are the kernel's small ones: a page first, more when it is filled.
        var size = 4096
        while result.count < limit {
            let chunk = try readChunk(min(size, limit - result.count))
            if chunk.isEmpty { break }
            if chunk.count == size { size = min(size * 4, 1 << 18) }
            if result.isEmpty { result = chunk } else { result.append(contentsOf: chunk) }
        }
        return result
    }

    /// One read(2) of at most `size` bytes; empty at end of file.
    private func readChunk(_ size: Int) throws(SystemError) -> [UInt8] {
        var code: Int32 = 0
        let fd = raw
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while true {
                let result = Glibc.read(fd, buffer.baseAddress, size)
                if result < 0 && errno == EINTR { continue }
                if result < 0 { code = errno }
                count = max(0, result)
                return
            }
        }
        if code != 0 { throw SystemError("read", code: code) }
        return bytes
    }

    /// One read(2) into `buffer`; 0 at end of file.
    public func read(into buffer: inout [UInt8]) throws(SystemError) -> Int {
        var code: Int32 = 0
        let fd = raw
        let count = buffer.withUnsafeMutableBytes { bytes -> Int in
            while true {
                let count = Glibc.read(fd, bytes.baseAddress, bytes.count)
                if count >= 0 { return count }
                code = errno
                if code != EINTR { return -1 }
            }
        }
        if count < 0 { throw SystemError("read", code: code) }
        return count
    }

    /// Writes all bytes.
    public func writeAll(_ bytes: some Collection<UInt8>) throws(SystemError) { try writeAll(Array(bytes)) }

    /// Writes all bytes.
    public func writeAll(_ bytes: [UInt8]) throws(SystemError) {
        var code: Int32 = 0
        let fd = raw
        bytes.withUnsafeBytes { buffer in
            var offset = 0
            while offset < buffer.count {
                let count = Glibc.write(fd, buffer.baseAddress.map { $0 + offset }, buffer.count - offset)
                if count < 0 {
                    if errno == EINTR { continue }
                    code = errno
                    return
                }
                offset += count
            }
        }
        if code != 0 { throw SystemError("write", code: code) }
    }

    /// fstat(2).
    public func status() throws(SystemError) -> stat {
        var result = stat()
        _ = try retrying("stat", "descriptor \(raw)") { fstat(raw, &result) }
        return result
    }

    /// Flushes data and metadata to the disk (fsync(2)).
    public func sync() throws(SystemError) { _ = try retrying("fsync") { fsync(raw) } }
}

/// The two ends of a pipe.
@frozen
public struct PipeEnds: ~Copyable, Sendable {
    public var reading: OwnedFD
    public var writing: OwnedFD
}

/// The two ends of a socket pair.
@frozen
public struct SocketPair: ~Copyable, Sendable {
    public var first: OwnedFD
    public var second: OwnedFD
}
