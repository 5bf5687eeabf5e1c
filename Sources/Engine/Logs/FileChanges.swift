internal import CLinux
@preconcurrency internal import Dispatch
internal import Glibc
internal import Linux

/// Tells when files of a directory change, by inotify(7): no polling.
final class FileChanges: Sendable {
    let changes: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let source: any DispatchSourceRead

    init(directory: String) throws(SystemError) {
        let descriptor = try retrying("inotify_init1") { inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC)) }
        let mask = UInt32(IN_MODIFY) | UInt32(IN_CREATE) | UInt32(IN_MOVED_TO)
        if inotify_add_watch(descriptor, directory, mask) < 0 {
            let error = SystemError("watch", directory)
            _ = close(descriptor)
            throw error
        }
        (changes, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .global())
        source.setEventHandler { [continuation] in
            var buffer = [UInt8](repeating: 0, count: 4096)
            while read(descriptor, &buffer, buffer.count) > 0 {}
            continuation.yield()
        }
        source.setCancelHandler { _ = close(descriptor) }
        source.resume()
    }

    /// Wakes the listener as a change would.
    func poke() { continuation.yield() }

    deinit { source.cancel() }
}
