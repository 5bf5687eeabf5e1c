internal import CLinux
internal import Glibc
internal import Linux

/// Output on disk that a peer has yet to take: a file without a name, which goes with its descriptor.
///
/// Its places are used once: it is full when so many bytes have been written, and empty again when all have been taken.
final class SpillFile {
    /// Bytes that one peer may have waiting on disk.
    static let limit = 1 << 30

    private let file: OwnedFD
    private let directory: String
    private var written = 0
    private var read = 0

    init(in directory: String) throws(SystemError) {
        self.directory = directory
        file = try OwnedFD.open(directory, Int32(clp_open_nameless()) | O_RDWR, mode: 0o600)
    }

    /// Bytes that wait.
    var count: Int { written - read }

    var isFull: Bool { written >= SpillFile.limit }

    func append(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = try retrying("write to a file in", directory) { pwrite(file.raw, rest.baseAddress, rest.count, off_t(written)) }
            written += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Hands over the oldest bytes, at most so many.
    func take(_ most: Int, _ use: (UnsafeRawBufferPointer) -> Void) throws(SystemError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(most, count), alignment: 16)
        defer { buffer.deallocate() }
        let got = try retrying("read from a file in", directory) { pread(file.raw, buffer.baseAddress, buffer.count, off_t(read)) }
        read += got
        use(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
    }
}
