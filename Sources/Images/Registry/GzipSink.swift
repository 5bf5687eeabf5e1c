internal import Archive
internal import CISAL
internal import Dispatch
internal import Glibc

/// Packs a stream as gzip (RFC 1952) with ISA-L, blocks of 1 MiB side by side on all processors. The same bytes always give the
/// same bytes, whatever the machine does meanwhile: blocks do not depend on one another, and the header tells no time.
///
/// One member: a reader needs no knowledge of how it was made.
final class GzipSink: ByteSink {
    private static let blockSize = 1 << 20
    /// Stored blocks, at the worst, and the flush.
    private static let roomSize = blockSize + blockSize / 8 + 4096
    private static let header: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]

    private let next: any ByteSink
    private let blocks: [Block]
    /// Bytes in the blocks that are filled; the last one may be filled in part.
    private var filled = 0
    private var checksum: UInt32 = 0
    private var length: UInt32 = 0

    init(_ next: any ByteSink, parallel: Int = sysconf(Int32(_SC_NPROCESSORS_ONLN))) throws {
        self.next = next
        blocks = (0..<min(max(1, parallel), 8)).map { _ in Block() }
        try Self.header.withUnsafeBytes { try next.write($0) }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let block = blocks[filled / Self.blockSize]
            let offset = filled % Self.blockSize
            let count = min(rest.count, Self.blockSize - offset)
            let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(count))
            UnsafeMutableRawBufferPointer(rebasing: block.bytes[offset..<offset + count]).copyMemory(from: piece)
            checksum = crc32_gzip_refl(checksum, piece.bindMemory(to: UInt8.self).baseAddress, UInt64(count))
            length &+= UInt32(truncatingIfNeeded: count)
            filled += count
            rest = rest.dropFirst(count)
            if filled == blocks.count * Self.blockSize { try pack() }
        }
    }

    /// Packs what is there and hands it on in order.
    private func pack() throws {
        let count = (filled + Self.blockSize - 1) / Self.blockSize
        let (blocks, filled) = (blocks, filled)
        DispatchQueue.concurrentPerform(iterations: count) { index in
            blocks[index].pack(min(Self.blockSize, filled - index * Self.blockSize))
        }
        self.filled = 0
        for block in blocks.prefix(count) {
            guard block.made >= 0 else { throw ImageError(.failed, "pack layer: deflate failed") }
            try next.write(UnsafeRawBufferPointer(rebasing: block.room[..<Int(block.made)]))
        }
    }

    func finish() throws {
        if filled > 0 { try pack() }
        // An empty last block (RFC 1951: final, fixed codes, end of block), then checksum and length.
        var trailer: [UInt8] = [3, 0]
        for value in [checksum, length] { for shift in stride(from: 0, to: 32, by: 8) { trailer.append(UInt8(value >> shift & 0xff)) } }
        try trailer.withUnsafeBytes { try next.write($0) }
        try next.finish()
    }

    /// Unchecked: one thread at a time has it, the sink's or, during `pack`, one of the pool's.
    private final class Block: @unchecked Sendable {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: GzipSink.blockSize, alignment: 64)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: GzipSink.roomSize, alignment: 64)
        private let work = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(clp_deflate_work_size()), alignment: 64)
        private(set) var made: Int64 = 0

        deinit {
            bytes.deallocate()
            room.deallocate()
            work.deallocate()
        }

        func pack(_ count: Int) {
            func pointer(_ buffer: UnsafeMutableRawBufferPointer) -> UnsafeMutablePointer<UInt8>? {
                buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
            }
            made = clp_deflate_block(pointer(bytes), UInt32(count), pointer(room), UInt32(room.count), pointer(work))
        }
    }
}
