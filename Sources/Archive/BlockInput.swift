/// A window of 1 MiB over a source: blocks for headers, pieces as large as they come for data.
final class BlockInput {
    private let source: any ByteSource
    private let buffer: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0
    private var isAtEnd = false
    /// Bytes of the source that were given out.
    private(set) var position: Int64 = 0

    init(_ source: any ByteSource) {
        self.source = source
        buffer = .allocate(byteCount: 1 << 20, alignment: 4096)
    }

    deinit { buffer.deallocate() }

    /// The next 512 bytes, valid until the next call; nil at the end. Throws for a part of a block.
    func block() throws -> UnsafeRawBufferPointer? {
        if end - start < 512 {
            if start > 0 {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
                end -= start
                start = 0
            }
            while end < 512 { if !(try fill()) { break } }
            if end == 0 { return nil }
            guard end >= 512 else { throw ArchiveError(.truncated, "unexpected end of archive: \(end) bytes are no tar block") }
        }
        defer {
            start += 512
            position += 512
        }
        return UnsafeRawBufferPointer(rebasing: buffer[start..<start + 512])
    }

    /// Up to `limit` bytes, valid until the next call; empty at the end.
    func piece(upTo limit: Int) throws -> UnsafeRawBufferPointer {
        if start == end {
            start = 0
            end = 0
            guard limit > 0, try fill() else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        }
        let count = min(limit, end - start)
        defer {
            start += count
            position += Int64(count)
        }
        return UnsafeRawBufferPointer(rebasing: buffer[start..<start + count])
    }

    /// Reads at least one byte into `target`; 0 at the end. Past the window when nothing is left in it.
    func read(into target: UnsafeMutableRawBufferPointer) throws -> Int {
        if start == end && target.count >= 64 << 10 && !isAtEnd {
            let count = try source.read(into: target)
            isAtEnd = count == 0
            position += Int64(count)
            return count
        }
        let piece = try piece(upTo: target.count)
        target.copyMemory(from: piece)
        return piece.count
    }

    private func fill() throws -> Bool {
        if isAtEnd { return false }
        let count = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[end...]))
        isAtEnd = count == 0
        end += count
        return count > 0
    }
}
