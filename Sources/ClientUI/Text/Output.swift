internal import CLinux
internal import Glibc

/// Buffered standard output and plain standard error. One thread only.
public final class Output {
    private let descriptor: Int32
    private var buffer: [UInt8] = []

    public init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { flush() }

    public func write(_ text: String) {
        buffer.append(contentsOf: text.utf8)
        if buffer.count > 32768 { flush() }
    }

    public func line(_ text: String) {
        write(text)
        write("\n")
    }

    public func flush() {
        if buffer.isEmpty { return }
        buffer.withUnsafeBytes { Self.writeAll(descriptor, $0) }
        buffer.removeAll(keepingCapacity: true)
    }

    /// Past the buffer, for streams of a container. Waits when the descriptor is non-blocking and full.
    public func write(raw bytes: UnsafeRawBufferPointer) {
        flush()
        Self.writeAll(descriptor, bytes)
    }

    /// Called once before the process ends because nobody reads its output any more (restores a terminal).
    nonisolated(unsafe) public static var beforeBrokenPipe: (() -> Void)?  // set and used by the only thread there is

    private static func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) {
        var offset = 0
        while offset < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
            if count >= 0 { offset += count; continue }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&wanted, 1, -1)
            case EPIPE:
                // The reader went away (`clipper ps | head -1`): end as every Unix tool does, by SIGPIPE.
                beforeBrokenPipe?()
                signal(SIGPIPE, SIG_DFL)
                raise(SIGPIPE)
                exit(141)
            default: return
            }
        }
    }

    public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }
}
