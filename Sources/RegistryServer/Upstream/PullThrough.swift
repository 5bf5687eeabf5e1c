internal import CLinux
internal import Glibc
internal import HTTPServer
internal import JSON
internal import Linux
internal import Logging
internal import NIOCore
internal import OCIImageSpec
internal import Synchronization

/// A cache of another registry: what isn't here is fetched from there, verified, stored and served on the way. A tag is asked for
/// again (HEAD) when `revalidate` seconds have passed. While the other registry can't be reached, what is here is served.
final class PullThrough: Sendable {
    private let upstream: any Upstream
    private let storage: any RegistryStorage
    private let gate: RegistryGate
    private let scratch: String
    private let revalidate: Int64
    private let logger: Logger
    /// When each tag was asked for last (seconds of the monotonic clock).
    private let checked = Mutex<[String: Int64]>([:])
    private let downloads = Mutex<[String: Task<BlobDownload?, any Error>]>([:])

    init(_ upstream: any Upstream, storage: any RegistryStorage, gate: RegistryGate, scratch: String, revalidate: Int, logger: Logger)
        throws
    {
        self.upstream = upstream
        self.storage = storage
        self.gate = gate
        self.scratch = scratch
        self.revalidate = Int64(revalidate)
        self.logger = logger
        // Fetches that broke off with an earlier server begin again.
        try Files.removeTree(scratch)
        try Files.makeDirectories(scratch, mode: 0o700)
    }

    private static func clock() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec)
    }

    // MARK: Manifests

    /// Sees to it that the store has what the other registry has. Returns a warning when that could not be asked.
    func refresh(_ reference: RegistryPath.Reference, in name: String) async throws -> String? {
        let local = try await storage.manifest(reference, in: name)
        do {
            switch reference {
            case .digest:
                if local == nil { try await fetch(reference, in: name) }
            case .tag(let tag):
                let key = "\(name):\(tag)"
                if local != nil, let last = checked.withLock({ $0[key] }), last + revalidate > Self.clock() { return nil }
                let current = try await upstream.resolve(reference, in: name)
                if let current {
                    if current != local?.digest { try await fetch(reference, in: name) }
                    checked.withLock {
                        // Bounded: forgetting means asking once more.
                        if $0.count >= 100_000 { $0.removeAll() }
                        $0[key] = Self.clock()
                    }
                } else if local != nil {
                    _ = try await storage.removeTag(tag, from: name)
                }
            }
            return nil
        } catch let error as UpstreamError {
            guard local != nil else { throw error.registryError }
            logger.warning("remote registry gave no answer", metadata: ["repository": "\(name)", "error": "\(error)"])
            return "remote registry gave no answer, served from cache"
        }
    }

    private func fetch(_ reference: RegistryPath.Reference, in name: String) async throws {
        guard let found = try await upstream.manifest(reference, in: name) else { return }
        var algorithm = Digest.Algorithm.sha256
        var tags: [String] = []
        switch reference {
        case .digest(let digest): algorithm = digest.algorithm
        case .tag(let tag): tags = [tag]
        }
        let digest = ContentHasher.digest(of: found.bytes, algorithm)
        if case .digest(let wanted) = reference, wanted != digest {
            throw UpstreamError(status: 200, description: "manifest \(wanted) has digest \(digest)")
        }
        let manifest = try PushedManifest(found.bytes, contentType: found.mediaType)
        let entry = manifest.entry(digest, size: found.bytes.count)
        let all = tags
        try await gate.pass { try await storage.put(entry, found.bytes, tags: all, in: name) }
    }

    /// Nothing is stored of the other registry's list; the names here and there are one list for the client.
    func remoteTags(of name: String) async throws -> [String]? {
        do { return try await upstream.tags(in: name) } catch let error as UpstreamError {
            logger.warning("remote registry gave no answer", metadata: ["repository": "\(name)", "error": "\(error)"])
            return nil
        }
    }

    // MARK: Blobs

    func blobSize(_ digest: Digest, in name: String) async throws -> Int? {
        do { return try await upstream.blobSize(digest, in: name) } catch let error as UpstreamError { throw error.registryError }
    }

    /// A blob that isn't here; nil when it isn't there either. Clients that want the same one share one fetch.
    func blob(_ digest: Digest, in name: String) async throws -> StoredBlob? {
        let key = "\(name)@\(digest)"
        let task = downloads.withLock { downloads in
            if let running = downloads[key] { return running }
            let task = Task { try await self.begin(digest, in: name, key) }
            downloads[key] = task
            return task
        }
        do {
            guard let download = try await task.value else { return nil }
            return StoredBlob(size: download.size) { range in .stream { try await download.send(range, to: $0) } }
        } catch let error as UpstreamError { throw error.registryError }
    }

    private func forget(_ key: String) { downloads.withLock { $0[key] = nil } }

    private func begin(_ digest: Digest, in name: String, _ key: String) async throws -> BlobDownload? {
        do {
            guard let blob = try await upstream.blob(digest, in: name) else {
                forget(key)
                return nil
            }
            let path = "\(scratch)/\(try Uploads.randomName())"
            let download = try await offloaded { try BlobDownload(path: path, size: blob.size) }
            Task {
                do {
                    try await download.receive(blob.chunks, digest)
                    try await gate.pass { try await storage.adopt(path, as: digest, in: name) }
                    download.end(nil)
                } catch {
                    logger.warning("fetch of blob failed", metadata: ["digest": "\(digest)", "error": "\(error)"])
                    download.end(error)
                }
                try? await offloaded { _ = unlink(path) }
                forget(key)
            }
            return download
        } catch {
            forget(key)
            throw error
        }
    }
}

/// A blob that is being fetched, and served as far as it has come. The last byte is held back until the digest has been
/// verified, so that nobody ever gets a wrong blob whole.
final class BlobDownload: Sendable {
    private struct State {
        var written: Int64 = 0
        var isEnded = false
        var failure: (any Error)?
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    let size: Int
    private let file: SharedFile
    private let state = Mutex(State())

    init(path: String, size: Int) throws {
        self.size = size
        file = SharedFile(try OwnedFD.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o644).take())
    }

    /// Writes what arrives, and checks it. Synced when it returns.
    func receive(_ chunks: any AsyncSequence<ByteBuffer, any Error> & Sendable, _ digest: Digest) async throws {
        let hasher = ContentHasher(digest.algorithm)
        var count = 0
        let file = file
        for try await chunk in chunks {
            count += chunk.readableBytes
            guard count <= size else { throw UpstreamError(status: 200, description: "blob \(digest) is longer than \(size) bytes") }
            try await offloaded {
                hasher.update(chunk)
                try file.write(chunk)
            }
            advance(by: chunk.readableBytes)
        }
        let found = try await offloaded {
            try file.sync()
            return hasher.finish()
        }
        guard found == digest else { throw UpstreamError(status: 200, description: "blob \(digest) has digest \(found)") }
    }

    private func advance(by count: Int) {
        let waiters = state.withLock { state in
            state.written += Int64(count)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func end(_ failure: (any Error)?) {
        let waiters = state.withLock { state in
            state.isEnded = true
            state.failure = failure
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func send(_ range: Range<Int>, to writer: ResponseWriter) async throws {
        var position = Int64(range.lowerBound)
        let file = file
        while position < range.upperBound {
            let ready = try await available(beyond: position)
            let from = position
            let count = Int(min(Int64(range.upperBound), ready, from + 256 * 1024) - from)
            let buffer = try await offloaded { try file.read(at: from, count: count) }
            try await writer.write(buffer)
            position += Int64(buffer.readableBytes)
        }
    }

    /// Waits until more than `position` bytes may be served.
    private func available(beyond position: Int64) async throws -> Int64 {
        while true {
            let (ready, isEnded, failure) = state.withLock {
                ($0.isEnded ? Int64(size) : min($0.written, Int64(size) - 1), $0.isEnded, $0.failure)
            }
            if let failure { throw failure }
            if isEnded || ready > position { return ready }
            await withCheckedContinuation { waiter in
                let isLate = state.withLock { state in
                    let now = state.isEnded ? Int64(size) : min(state.written, Int64(size) - 1)
                    if state.isEnded || now > position { return true }
                    state.waiters.append(waiter)
                    return false
                }
                if isLate { waiter.resume() }
            }
        }
    }
}
