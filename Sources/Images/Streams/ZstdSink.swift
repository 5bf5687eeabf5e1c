internal import Archive
internal import CZstd

/// Packs a stream with zstd, level 3, in one frame with a checksum.
final class ZstdSink: ByteSink {
    private let next: any ByteSink
    private let context: OpaquePointer
    private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 64)

    init(_ next: any ByteSink) throws {
        guard let context = ZSTD_createCCtx() else { throw ImageError(.failed, "pack: out of memory") }
        self.next = next
        self.context = context
        _ = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 3)
        _ = ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    }

    deinit {
        ZSTD_freeCCtx(context)
        room.deallocate()
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        while input.pos < input.size { _ = try step(&input, ZSTD_e_continue) }
    }

    func finish() throws {
        var input = ZSTD_inBuffer(src: nil, size: 0, pos: 0)
        while try step(&input, ZSTD_e_end) > 0 {}
        try next.finish()
    }

    /// What is left to be flushed.
    private func step(_ input: inout ZSTD_inBuffer, _ directive: ZSTD_EndDirective) throws -> Int {
        var output = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
        let left = ZSTD_compressStream2(context, &output, &input, directive)
        if ZSTD_isError(left) != 0 { throw ImageError(.failed, "pack: \(String(cString: ZSTD_getErrorName(left)).lowercased())") }
        if output.pos > 0 { try next.write(UnsafeRawBufferPointer(rebasing: room[..<output.pos])) }
        return left
    }
}
