public import Archive
internal import CISAL
internal import CZstd

/// How a stream is packed, as its first bytes tell.
public enum Compression: Sendable, Hashable {
    case none, gzip, zstd

    /// Throws for forms that are known but not built in.
    public static func sniff(_ head: some Collection<UInt8>) throws -> Compression {
        if head.starts(with: [0x1f, 0x8b]) { return .gzip }
        if head.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) { return .zstd }
        if head.count > 3, head.dropFirst().starts(with: [0x2a, 0x4d, 0x18]), head.first.map({ $0 & 0xf0 == 0x50 }) == true {
            return .zstd
        }
        if head.starts(with: Array("BZh".utf8)) { throw ArchiveError(.unsupported, "not implemented: archives packed with bzip2") }
        if head.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a]) {
            throw ArchiveError(.unsupported, "not implemented: archives packed with xz")
        }
        return .none
    }
}

/// Unpacks gzip (with ISA-L) or zstd, or hands a plain stream through: which, its first bytes tell.
public final class DecompressingSource: ByteSource {
    public let compression: Compression
    private let source: any ByteSource
    private let limits: UnpackLimits
    /// Bytes read from the source, and bytes given out.
    private var packed: Int64 = 0
    private var unpacked: Int64 = 0
    private let input: UnsafeMutableRawBufferPointer
    /// The unread part of `input`.
    private var start = 0
    private var end = 0
    private var isAtEnd = false
    private let gzip: UnsafeMutablePointer<inflate_state>?
    private let zstd: OpaquePointer?
    private var isInsideFrame = false

    /// Reads the first bytes.
    public init(_ source: any ByteSource, limits: UnpackLimits = .standard) throws {
        self.source = source
        self.limits = limits
        let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        self.input = input
        var filled = 0
        var compression = Compression.none
        var gzip: UnsafeMutablePointer<inflate_state>?
        var zstd: OpaquePointer?
        do {
            while filled < 6 {
                let count = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: input[filled...]))
                if count == 0 { break }
                filled += count
            }
            compression = try Compression.sniff(input[..<filled])
            if compression == .gzip {
                gzip = clp_inflate_new()
                guard let gzip else { throw ImageError(.failed, "unpack: out of memory") }
                clp_inflate_begin(gzip)
            }
            if compression == .zstd {
                zstd = ZSTD_createDStream()
                if zstd == nil { throw ImageError(.failed, "unpack: out of memory") }
            }
        } catch {
            input.deallocate()
            free(gzip)
            throw error
        }
        self.end = filled
        packed = Int64(filled)
        self.compression = compression
        self.gzip = gzip
        self.zstd = zstd
    }

    deinit {
        input.deallocate()
        free(gzip)
        if let zstd { ZSTD_freeDStream(zstd) }
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if compression != .none {
            var count = 0
            if let gzip { count = try inflate(gzip, into: buffer) }
            if let zstd { count = try decompress(zstd, into: buffer) }
            unpacked += Int64(count)
            try limits.check(packed: packed - Int64(end - start), unpacked: unpacked)
            return count
        }
        if start == end { return isAtEnd ? 0 : try source.read(into: buffer) }
        let count = min(buffer.count, end - start)
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[start..<start + count]))
        start += count
        return count
    }

    /// Reads what stands after the packed data, for a hash of all of it.
    func drain() throws { while !isAtEnd { try refill() } }

    private func refill() throws {
        start = 0
        end = try source.read(into: input)
        packed += Int64(end)
        isAtEnd = end == 0
    }

    // MARK: gzip

    private func inflate(_ state: UnsafeMutablePointer<inflate_state>, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let size = UInt32(min(buffer.count, 1 << 30))
        clp_inflate_output(state, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), size)
        while true {
            if start == end && !isAtEnd { try refill() }
            if clp_inflate_is_finished(state) != 0 {
                // Members may follow one another; zeros or anything else after the last is no data.
                guard try nextIsMember() else { return 0 }
                clp_inflate_begin(state)
            }
            let available = UInt32(end - start)
            clp_inflate_input(state, input.baseAddress.map { ($0 + start).assumingMemoryBound(to: UInt8.self) }, available)
            let code = isal_inflate(state)
            guard code == ISAL_DECOMP_OK || code == ISAL_END_INPUT else { throw Self.damaged("gzip", code) }
            start = end - Int(clp_inflate_avail_in(state))
            let produced = size - clp_inflate_avail_out(state)
            if produced > 0 { return Int(produced) }
            if isAtEnd && available == 0 && clp_inflate_is_finished(state) == 0 {
                throw ArchiveError(.truncated, "unexpected end of gzip data")
            }
        }
    }

    private func nextIsMember() throws -> Bool {
        while end - start < 2 && !isAtEnd {
            // A member's two magic bytes may lie in two reads.
            let kept = start < end ? [input[start]] : []
            try refill()
            if let byte = kept.first, end < input.count {
                input.baseAddress.map { ($0 + 1).copyMemory(from: $0, byteCount: end) }
                input[0] = byte
                end += 1
            }
        }
        return end - start >= 2 && input[start] == 0x1f && input[start + 1] == 0x8b
    }

    // MARK: zstd

    private func decompress(_ stream: OpaquePointer, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        while output.pos == 0 {
            if start == end && !isAtEnd { try refill() }
            if start == end && isAtEnd && !isInsideFrame { return 0 }
            var piece = ZSTD_inBuffer(src: input.baseAddress.map { $0 + start }, size: end - start, pos: 0)
            let code = ZSTD_decompressStream(stream, &output, &piece)
            if ZSTD_isError(code) != 0 {
                throw ArchiveError(.malformed, "damaged zstd data: \(String(cString: ZSTD_getErrorName(code)).lowercased())")
            }
            if isAtEnd && piece.size == 0 && output.pos == 0 { throw ArchiveError(.truncated, "unexpected end of zstd data") }
            start += piece.pos
            isInsideFrame = code != 0
        }
        return output.pos
    }

    private static func damaged(_ kind: String, _ code: Int32) -> ArchiveError {
        let reason =
            switch code {
            case ISAL_INCORRECT_CHECKSUM: "incorrect checksum"
            case ISAL_INVALID_WRAPPER: "invalid header"
            default: "invalid block"
            }
        return ArchiveError(.malformed, "damaged \(kind) data: \(reason)")
    }
}
