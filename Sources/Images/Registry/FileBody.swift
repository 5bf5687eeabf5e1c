internal import Glibc
internal import Linux
internal import NIOCore
internal import NIOPosix

/// A file's bytes as a request's body, read on a pool's threads.
struct FileBody: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    let path: String
    /// Told how far it has been read.
    let onProgress: @Sendable (Int64) -> Void

    private static let pieceSize = 512 * 1024

    func makeAsyncIterator() -> Iterator { Iterator(body: self) }

    struct Iterator: AsyncIteratorProtocol {
        let body: FileBody
        private var file: OpenFile?
        private var offset: Int64 = 0

        init(body: FileBody) { self.body = body }

        mutating func next() async throws -> ByteBuffer? {
            try Task.checkCancellation()
            let (known, offset, path) = (file, offset, body.path)
            let (file, piece) = try await NIOThreadPool.singleton.runIfActive {
                let file = try known ?? OpenFile(path)
                return (file, try file.read(at: offset, count: FileBody.pieceSize))
            }
            self.file = file
            guard piece.readableBytes > 0 else { return nil }
            self.offset += Int64(piece.readableBytes)
            body.onProgress(self.offset)
            return piece
        }
    }

    /// A descriptor that several threads may read, one after the other.
    private final class OpenFile: Sendable {
        private let descriptor: Int32

        init(_ path: String) throws {
            let file = try OwnedFD.open(path)
            descriptor = file.take()
        }

        deinit { close(descriptor) }

        func read(at offset: Int64, count: Int) throws -> ByteBuffer {
            var buffer = ByteBufferAllocator().buffer(capacity: count)
            try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { space in
                try retrying("read blob") { pread(descriptor, space.baseAddress, count, off_t(offset)) }
            }
            return buffer
        }
    }
}
