internal import NIOCore
internal import OCIImageSpec
internal import RegistryClient

/// Brings a blob's bytes, in order and each once, however often the connection breaks.
struct BlobDownload: Sendable {
    let repository: any RegistryRepository
    let descriptor: Descriptor
    let limits: TransferLimits
    /// Lets a large blob come over several connections; nil for one alone.
    var parts: BlobParts?

    /// An attempt that moved this much was no vain one: it does not count.
    private static let worthwhile: Int64 = 1 << 20

    /// Hands the bytes to `sink`; not verified but for their number. `onRetry` is told the seconds until the next attempt, each.
    func run(onRetry: @escaping @Sendable (Int) -> Void, sink: @Sendable (ByteBuffer, _ total: Int64) async throws -> Void) async throws {
        if let parts, descriptor.size > parts.sizes.threshold {
            return try await SplitDownload(self, parts, onRetry: onRetry).run(sink: sink)
        }
        _ = try await fetch(0..<descriptor.size, onRetry: onRetry) { piece, end, _ in
            try await sink(piece, end)
            return true
        }
    }

    /// Hands over the bytes of a part, in order and each once, until `sink` wants no more.
    /// - Parameter sink: gets a piece, the offset of its end in the blob, and whether the registry sends parts.
    /// - Returns: the offset of the end of the last piece that was handed over.
    func fetch(
        _ range: Range<Int64>, onRetry: (Int) -> Void, sink: (ByteBuffer, _ end: Int64, _ servesRanges: Bool) async throws -> Bool
    ) async throws -> Int64 {
        var offset = range.lowerBound
        var failures = 0
        while offset < range.upperBound {
            let start = offset
            do {
                let bytes = try await repository.blob(descriptor, in: offset..<range.upperBound)
                for try await piece in bytes.body where piece.readableBytes > 0 {
                    guard offset + Int64(piece.readableBytes) <= descriptor.size else {
                        throw ImageError(.invalid, "blob \(descriptor.digest) is longer than the \(descriptor.size) bytes announced")
                    }
                    offset += Int64(piece.readableBytes)
                    guard try await sink(piece, offset, bytes.servesRanges) else { return offset }
                }
                if offset < range.upperBound { throw RegistryError(.unreachable, "unexpected EOF") }
            } catch {
                guard Retrying.isWorthwhile(error) else { throw error }
                failures = offset - start >= Self.worthwhile ? 1 : failures + 1
                if failures >= limits.attempts { throw error }
                try await Retrying.wait(failures * limits.retrySeconds, onSecond: onRetry)
            }
        }
        return offset
    }

    /// All of a small blob, verified. Throws `ImageError.invalid` when it is too large or another.
    func collect(limit: Int64) async throws -> [UInt8] {
        guard (0...limit).contains(descriptor.size) else {
            throw ImageError(.invalid, "blob \(descriptor.digest) of \(descriptor.size) bytes is too large")
        }
        let collected = Collected()
        try await run(onRetry: { _ in }) { piece, _ in await collected.append(piece) }
        let bytes = await collected.bytes
        guard descriptor.digest.algorithm == .sha256 else {
            throw ImageError(.notImplemented, "not implemented: content by \(descriptor.digest.algorithm.rawValue)")
        }
        guard try ContentHash.digest(of: bytes) == descriptor.digest else {
            throw ImageError(.invalid, "content of \(descriptor.digest) has another digest: the registry sent something else")
        }
        return bytes
    }

    private actor Collected {
        var bytes: [UInt8] = []
        func append(_ piece: ByteBuffer) { bytes.append(contentsOf: piece.readableBytesView) }
    }
}

/// What is tried again, and when.
enum Retrying {
    /// Whether another attempt may fare better: the connection failed, not the request.
    static func isWorthwhile(_ error: any Error) -> Bool {
        switch error {
        case is CancellationError, is ImageError, is BodyPipe.ReaderGone, is BlobParts.Refused: false
        case let error as RegistryError: error.code == .unreachable
        default: true
        }
    }

    /// Waits second by second, and tells how many are left.
    static func wait(_ seconds: Int, onSecond: (Int) -> Void) async throws {
        for left in stride(from: seconds, to: 0, by: -1) {
            onSecond(left)
            try await Task.sleep(for: .seconds(1))
        }
        try Task.checkCancellation()
    }
}
