internal import CZlib
internal import Glibc
internal import Linux

/// Packs bytes with deflate in the form of gzip (RFC 1952) or zlib (RFC 1950).
final class Deflate {
    enum Form { case gzip, zlib }

    /// At an address of its own: the library keeps it.
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)

    /// Throws ENOMEM.
    init(_ form: Form) throws(SystemError) {
        stream.initialize(to: z_stream())
        // A window of 32 KiB; 16 more stand for the form of gzip.
        let code = deflateInit2_(
            stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, form == .gzip ? 31 : 15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        if code != Z_OK { throw SystemError("start compression", code: ENOMEM) }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// All at once.
    static func packed(_ bytes: [UInt8], _ form: Form) throws(SystemError) -> [UInt8] {
        let deflate = try Deflate(form)
        return bytes.withUnsafeBytes { deflate.compress($0) } + deflate.finish()
    }

    /// The next piece; answers what is ready.
    func compress(_ piece: UnsafeRawBufferPointer) -> [UInt8] { run(piece, Z_NO_FLUSH) }

    /// The end, with the check values.
    func finish() -> [UInt8] { run(UnsafeRawBufferPointer(start: nil, count: 0), Z_FINISH) }

    private func run(_ piece: UnsafeRawBufferPointer, _ flush: Int32) -> [UInt8] {
        var output: [UInt8] = []
        stream.pointee.next_in = UnsafeMutablePointer(mutating: piece.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(piece.count)
        repeat {
            output += [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
                stream.pointee.next_out = buffer.baseAddress
                stream.pointee.avail_out = UInt32(buffer.count)
                _ = deflate(stream, flush)
                count = buffer.count - Int(stream.pointee.avail_out)
            }
        } while stream.pointee.avail_out == 0
        return output
    }
}
