internal import CLinux
internal import Glibc
internal import Linux

/// Where bytes come from.
public protocol ByteSource: AnyObject {
    /// Reads at least one byte, unless at the end: then 0. `buffer` is never empty.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}

/// Where bytes go.
public protocol ByteSink: AnyObject {
    /// Takes all bytes. A sink may keep them back until `finish`.
    func write(_ bytes: UnsafeRawBufferPointer) throws
    /// Nothing comes any more: hands on what was kept back.
    func finish() throws
}

/// Reads from a descriptor, which stays the caller's.
public final class FileSource: ByteSource {
    private let descriptor: Int32

    public init(_ descriptor: Int32) { self.descriptor = descriptor }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try retrying("read archive") { Glibc.read(descriptor, buffer.baseAddress, buffer.count) }
    }
}

/// Reads from memory.
public final class MemorySource: ByteSource {
    private let bytes: [UInt8]
    private var position = 0

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = min(buffer.count, bytes.count - position)
        bytes[position..<position + count].withUnsafeBytes { buffer.copyMemory(from: $0) }
        position += count
        return count
    }
}

/// Writes to a descriptor, which stays the caller's, in pieces of 256 KiB.
public final class FileSink: ByteSink {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private static let pieceSize = 256 * 1024
    /// With early writeback: bytes written, and those of them that the kernel was told to write out.
    private let writesBackEarly: Bool
    private var written = 0
    private var begun = 0
    private static let writebackSize = 8 << 20

    /// - Parameter writesBackEarly: has the disk begin while more comes, for a file at its start that is flushed at the end anyway.
    public init(_ descriptor: Int32, writesBackEarly: Bool = false) {
        self.descriptor = descriptor
        self.writesBackEarly = writesBackEarly
        buffer.reserveCapacity(Self.pieceSize)
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        if buffer.count + bytes.count > Self.pieceSize { try flush() }
        if bytes.count >= Self.pieceSize { return try writeAll(bytes) }
        buffer.append(contentsOf: bytes)
    }

    public func finish() throws { try flush() }

    private func flush() throws {
        try buffer.withUnsafeBytes { try writeAll($0) }
        buffer.removeAll(keepingCapacity: true)
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: rest)
            let count = try retrying("write archive") { Glibc.write(descriptor, piece.baseAddress, piece.count) }
            rest = rest.dropFirst(count)
        }
        written += bytes.count
        guard writesBackEarly, written - begun >= Self.writebackSize else { return }
        // A hint: where it isn't taken, the flush at the end has more to do.
        _ = clp_start_writeback(descriptor, begun, written - begun)
        begun = written
    }
}

/// Keeps everything in memory.
public final class MemorySink: ByteSink {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public func write(_ bytes: UnsafeRawBufferPointer) throws { self.bytes.append(contentsOf: bytes) }

    public func finish() throws {}
}
