internal import NIOCore
internal import OCIImageSpec
internal import RegistryClient
internal import Synchronization

/// What large blobs share that come in parts over several connections: places for connections that no layer wants, and for
/// parts that wait for their turn in memory.
final class BlobParts: Sendable {
    struct Sizes: Sendable {
        /// Blobs up to this size, in bytes, come over one connection.
        var threshold: Int64 = 32 << 20
        /// Bytes of a part.
        var part: Int64 = 4 << 20
        /// Parts of all blobs that are in memory at once.
        var held = 4
    }

    /// The registry sent the whole blob when it was asked for a part, in spite of what it had said.
    struct Refused: Error {}

    let sizes: Sizes
    let connections: Places
    let held: Places

    init(_ sizes: Sizes, connections: Places) {
        self.sizes = sizes
        self.connections = connections
        held = Places(sizes.held)
    }
}

/// One large blob in parts. One connection brings it from its beginning; as soon as places for downloads are to spare (fewer
/// layers are under way than may be at once), others fetch the parts behind, and hold them until it is their turn. So there are
/// never more connections than downloads may be, and what comes out is in order for a reader that reads once.
///
///     first connection ──────▶|part|part|part|      each part is begun when a place is left,
///                        next ▲                     and read from memory, or as it arrives
///
/// When the registry turns out not to send parts, or one fails for good, the rest comes over one connection again.
///
/// Used by one task.
final class SplitDownload {
    private let download: BlobDownload
    private let parts: BlobParts
    private let onRetry: @Sendable (Int) -> Void
    /// Everything before was handed over.
    private var offset: Int64 = 0
    /// Follow one another without gaps; the first one begins at `offset` when no connection of its own is there to reach it.
    private var ahead: [BlobPart] = []
    private var mayAsk = true
    /// Whether the connection from the beginning is there: it has the blob's own place.
    private var hasMain = false

    private var size: Int64 { download.descriptor.size }

    init(_ download: BlobDownload, _ parts: BlobParts, onRetry: @escaping @Sendable (Int) -> Void) {
        self.download = download
        self.parts = parts
        self.onRetry = onRetry
    }

    func run(sink: @Sendable (ByteBuffer, Int64) async throws -> Void) async throws {
        // What parts hold goes back, whatever ends this.
        defer { for part in ahead { part.drop() } }
        try await withThrowingDiscardingTaskGroup { group in
            while offset < size {
                if ahead.isEmpty { try await readMain(&group, sink) } else { try await readPart(&group, sink) }
            }
            group.cancelAll()
        }
    }

    /// Reads from `offset` on until what other connections have begun with.
    private func readMain(
        _ group: inout ThrowingDiscardingTaskGroup<any Error>, _ sink: @Sendable (ByteBuffer, Int64) async throws -> Void
    ) async throws {
        hasMain = true
        defer { hasMain = false }
        _ = try await download.fetch(offset..<size, onRetry: onRetry) { piece, end, servesRanges in
            let limit = ahead.first?.range.lowerBound ?? size
            var piece = piece
            if end > limit { piece.moveWriterIndex(to: piece.writerIndex - Int(end - limit)) }
            offset = min(end, limit)
            try await sink(piece, offset)
            if servesRanges { begin(&group) }
            return offset < (ahead.first?.range.lowerBound ?? size)
        }
    }

    /// Reads the part whose turn it is.
    private func readPart(
        _ group: inout ThrowingDiscardingTaskGroup<any Error>, _ sink: @Sendable (ByteBuffer, Int64) async throws -> Void
    ) async throws {
        let part = ahead[0]
        do {
            for try await piece in part.pieces {
                offset += Int64(piece.readableBytes)
                try await sink(piece, offset)
                begin(&group)
            }
            try Task.checkCancellation()
            ahead.removeFirst().drop()
        } catch {
            // What has arrived of it counts; from here on one connection brings everything.
            guard Self.isRefusal(error) else { throw error }
            mayAsk = false
            group.cancelAll()
            for part in ahead {
                part.drop()
                await part.end()
            }
            ahead = []
        }
    }

    /// Whether the registry answered, and does not send this part. A broken connection is another matter: that was tried again.
    private static func isRefusal(_ error: any Error) -> Bool {
        error is BlobParts.Refused || (error as? RegistryError).map { $0.code != .unreachable } ?? false
    }

    /// Begins as many parts as there are places for.
    private func begin(_ group: inout ThrowingDiscardingTaskGroup<any Error>) {
        while mayAsk && !ahead.contains(where: \.hasFailed) {
            // Behind the main connection by a part: what that is about to bring need not be asked for again.
            let start = ahead.last?.range.upperBound ?? offset + parts.sizes.part
            // Not for a little rest: the main connection is closed where another one takes over.
            guard start < size, !ahead.isEmpty || size - start >= parts.sizes.part else { return }
            guard parts.held.takeSpare() else { return }
            // The blob's own place, unless something uses it.
            let isOwn = !hasMain && ahead.allSatisfy { !$0.isOwn || $0.isOver }
            guard isOwn || parts.connections.takeSpare() else { return parts.held.giveBack() }
            let part = BlobPart(start..<min(size, start + parts.sizes.part), parts, isOwn: isOwn)
            ahead.append(part)
            group.addTask { [download, onRetry] in await part.fetch(download, onRetry: onRetry) }
        }
    }
}

/// One part on its way, or waiting in memory.
private final class BlobPart: Sendable {
    private struct State {
        var isOver = false
        var hasFailed = false
        var isDropped = false
    }

    /// Pieces are put together to so many bytes: small ones as they arrive may each hold a large buffer.
    private static let pieceSize = 256 << 10

    let range: Range<Int64>
    /// Uses the blob's own place among the downloads.
    let isOwn: Bool
    let pieces: AsyncThrowingStream<ByteBuffer, any Error>
    private let arrived: AsyncThrowingStream<ByteBuffer, any Error>.Continuation
    private let parts: BlobParts
    private let state = Mutex(State())

    init(_ range: Range<Int64>, _ parts: BlobParts, isOwn: Bool) {
        self.range = range
        self.parts = parts
        self.isOwn = isOwn
        (pieces, arrived) = AsyncThrowingStream.makeStream()
    }

    /// Has no connection any more.
    var isOver: Bool { state.withLock { $0.isOver } }

    /// Ended before it was whole.
    var hasFailed: Bool { state.withLock { $0.hasFailed } }

    /// Brings the part; ends with all of it in `pieces`, or with the error there.
    func fetch(_ download: BlobDownload, onRetry: @Sendable (Int) -> Void) async {
        var failure: (any Error)?
        var gathered = ByteBuffer()
        do {
            _ = try await download.fetch(range, onRetry: onRetry) { piece, end, servesRanges in
                guard servesRanges, end <= range.upperBound else { throw BlobParts.Refused() }
                if state.withLock({ $0.isDropped }) { throw CancellationError() }
                gathered.writeImmutableBuffer(piece)
                if gathered.readableBytes >= Self.pieceSize {
                    arrived.yield(gathered)
                    gathered = ByteBuffer()
                }
                return end < range.upperBound
            }
        } catch { failure = error }
        state.withLock { state in
            state.isOver = true
            state.hasFailed = failure != nil
        }
        if !isOwn { parts.connections.giveBack() }
        if gathered.readableBytes > 0 { arrived.yield(gathered) }
        arrived.finish(throwing: failure)
    }

    /// Waits until it has no connection any more.
    func end() async {
        var rest = pieces.makeAsyncIterator()
        while (try? await rest.next()) ?? nil != nil {}
    }

    /// Nobody wants it, or nobody any more.
    func drop() {
        let isFirst = state.withLock { state in
            defer { state.isDropped = true }
            return !state.isDropped
        }
        if isFirst { parts.held.giveBack() }
    }
}
