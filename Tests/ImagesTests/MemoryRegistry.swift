import Images
import JSON
import NIOCore
import OCIImageSpec
import RegistryClient
import Synchronization

/// A registry in memory that fails as it is told to, and remembers what it was asked.
final class MemoryRegistry: RegistryAccess {
    struct Contents: Sendable {
        var manifests: [Digest: (bytes: [UInt8], mediaType: String)] = [:]
        var tags: [String: Digest] = [:]
        var blobs: [Digest: [UInt8]] = [:]
    }

    struct State: Sendable {
        var repositories: [String: Contents] = [:]
        /// Offsets at which a blob's connection breaks, one after the other.
        var breaks: [Digest: [Int]] = [:]
        /// What is sent in place of a blob.
        var lies: [Digest: [UInt8]] = [:]
        /// How many uploads fail before one succeeds.
        var failingUploads = 0
        /// Every request, as text.
        var requests: [String] = []
        /// Whether it says that it sends parts of blobs.
        var saysRanges = false
        /// Whether it sends them.
        var servesRanges = true
        /// Blobs of which asking for a part that begins behind an offset fails.
        var refusedParts: [Digest: Int64] = [:]
        var downloads = 0
        var mostDownloads = 0
        /// Blobs that are not sent until they are released.
        var gates: [Digest: [CheckedContinuation<Void, Never>]] = [:]
        var mountsWork = true
        /// What web servers have; one byte alone breaks off.
        var web: [String: [UInt8]] = [:]
    }

    let state = Mutex(State())

    func repository(_ reference: ImageReference, credentials: RegistryCredentials) throws -> any RegistryRepository {
        MemoryRepository(registry: self, name: try ImageReference(reference.name))
    }

    func download(_ address: String) async throws -> WebDownload {
        guard let bytes = state.withLock({ $0.web[address] }) else { throw RegistryError(.notFound, "no such page: \(address)") }
        let body = AsyncThrowingStream<ByteBuffer, any Error> { continuation in
            for start in stride(from: 0, to: bytes.count, by: 10_000) {
                continuation.yield(ByteBuffer(bytes: bytes[start..<min(start + 10_000, bytes.count)]))
            }
            continuation.finish(throwing: bytes.count == 1 ? RegistryError(.unreachable, "unexpected EOF") : nil)
        }
        return WebDownload(address: "http://\(address)", size: Int64(bytes.count), body: body)
    }

    func note(_ request: String) { state.withLock { $0.requests.append(request) } }
    var requests: [String] { state.withLock { $0.requests } }
    func forgetRequests() { state.withLock { $0.requests = [] } }

    /// Holds back a blob after its first byte.
    func close(_ digest: Digest) { state.withLock { $0.gates[digest] = [] } }

    func open(_ digest: Digest) {
        let waiting = state.withLock { $0.gates.removeValue(forKey: digest) ?? [] }
        for continuation in waiting { continuation.resume() }
    }

    func isWaiting(at digest: Digest) -> Bool { state.withLock { !($0.gates[digest] ?? []).isEmpty } }

    func passGate(_ digest: Digest) async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                guard state.gates[digest] != nil else { return true }
                state.gates[digest]?.append(continuation)
                return false
            }
            if isOpen { continuation.resume() }
        }
    }

    @discardableResult
    func put(blob bytes: [UInt8], in repository: String) throws -> Digest {
        let digest = try ContentHash.digest(of: bytes)
        state.withLock { $0.repositories[repository, default: Contents()].blobs[digest] = bytes }
        return digest
    }

    @discardableResult
    func put(manifest bytes: [UInt8], mediaType: String, in repository: String, tag: String?) throws -> Digest {
        let digest = try ContentHash.digest(of: bytes)
        state.withLock { state in
            state.repositories[repository, default: Contents()].manifests[digest] = (bytes, mediaType)
            if let tag { state.repositories[repository]?.tags[tag] = digest }
        }
        return digest
    }

    func contents(of repository: String) -> Contents { state.withLock { $0.repositories[repository] ?? Contents() } }
}

private struct MemoryRepository: RegistryRepository {
    let registry: MemoryRegistry
    let name: ImageReference

    private var contents: MemoryRegistry.Contents { registry.contents(of: name.name) }

    func manifest(_ selector: ManifestSelector) async throws -> FetchedManifest {
        registry.note("GET manifest \(selector)")
        let found: Digest?
        switch selector {
        case .tag(let tag): found = contents.tags[tag]
        case .digest(let digest): found = digest
        }
        guard let found, let manifest = contents.manifests[found] else {
            throw RegistryError(.notFound, "manifest unknown: manifest unknown")
        }
        return FetchedManifest(bytes: manifest.bytes, mediaType: manifest.mediaType, digest: try ContentHash.digest(of: manifest.bytes))
    }

    func resolve(_ selector: ManifestSelector) async throws -> Descriptor? { nil }

    func tags() async throws -> [String] { contents.tags.keys.sorted() }

    func blob(_ descriptor: Descriptor, in range: Range<Int64>) async throws -> BlobBytes {
        let digest = descriptor.digest
        let isPart = range.lowerBound > 0 || range.upperBound < descriptor.size
        registry.note("GET blob \(digest.short) from \(range.lowerBound)")
        guard let stored = contents.blobs[digest] else { throw RegistryError(.notFound, "blob unknown to registry") }
        let (bytes, cut, serves, says) = try registry.state.withLock { state in
            if let limit = state.refusedParts[digest], range.lowerBound > limit { throw RegistryError(.limited, "toomanyrequests") }
            let bytes = state.lies[digest] ?? stored
            // A break is for the request that it lies in; where parts are sent, for a part.
            let cut = !isPart && state.saysRanges ? nil : state.breaks[digest]?.firstIndex { range.contains(Int64($0)) }
            return (bytes, cut.flatMap { state.breaks[digest]?.remove(at: $0) }, state.servesRanges, state.saysRanges)
        }
        let end = cut ?? (serves && isPart ? min(Int(range.upperBound), bytes.count) : bytes.count)
        let sent = Array(bytes[min(Int(range.lowerBound), end)..<end])
        let body = AsyncThrowingStream<ByteBuffer, any Error> { continuation in
            registry.state.withLock { state in
                state.downloads += 1
                state.mostDownloads = max(state.mostDownloads, state.downloads)
            }
            let task = Task {
                await Self.send(sent, digest, registry, to: continuation)
                continuation.finish(throwing: cut == nil ? nil : RegistryError(.unreachable, "connection reset by peer"))
            }
            continuation.onTermination = { _ in
                task.cancel()
                registry.state.withLock { $0.downloads -= 1 }
                registry.note("end of \(digest.short)")
            }
        }
        return BlobBytes(body: body, servesRanges: isPart ? serves : says)
    }

    /// A byte, what is behind the gate, in pieces.
    private static func send(
        _ bytes: [UInt8], _ digest: Digest, _ registry: MemoryRegistry,
        to continuation: AsyncThrowingStream<ByteBuffer, any Error>.Continuation
    ) async {
        continuation.yield(ByteBuffer(bytes: bytes.prefix(1)))
        await registry.passGate(digest)
        var rest = bytes.dropFirst()
        while !rest.isEmpty {
            continuation.yield(ByteBuffer(bytes: rest.prefix(30_000)))
            rest = rest.dropFirst(30_000)
            await Task.yield()
        }
    }

    func hasBlob(_ digest: Digest) async throws -> Bool {
        registry.note("HEAD blob \(digest.short)")
        return contents.blobs[digest] != nil
    }

    func mountBlob(_ digest: Digest, from repository: String) async throws -> Bool {
        registry.note("mount \(digest.short) from \(repository)")
        let other = registry.contents(of: "\(name.domain)/\(repository)")
        guard registry.state.withLock({ $0.mountsWork }), let bytes = other.blobs[digest] else { return false }
        try registry.put(blob: bytes, in: name.name)
        return true
    }

    func uploadBlob(
        _ digest: Digest, size: Int64, body: @escaping @Sendable () -> any AsyncSequence<ByteBuffer, any Error> & Sendable
    ) async throws {
        registry.note("upload \(digest.short)")
        let fails = registry.state.withLock { state in
            state.failingUploads -= 1
            return state.failingUploads >= 0
        }
        var bytes: [UInt8] = []
        for try await piece in body() {
            bytes += piece.readableBytesView
            if fails { throw RegistryError(.unreachable, "broken pipe") }
        }
        guard try bytes.count == Int(size) && ContentHash.digest(of: bytes) == digest else {
            throw RegistryError(.invalid, "digest invalid")
        }
        try registry.put(blob: bytes, in: name.name)
    }

    func putManifest(_ bytes: [UInt8], mediaType: String, as selector: ManifestSelector) async throws -> Digest {
        registry.note("PUT manifest \(selector)")
        let manifest = try JSON.decode(Manifest.self, from: bytes)
        for digest in manifest.layers.map(\.digest) + [manifest.config.digest] where contents.blobs[digest] == nil {
            throw RegistryError(.failed, "manifest blob unknown: \(digest)")
        }
        guard case .tag(let tag) = selector else { return try registry.put(manifest: bytes, mediaType: mediaType, in: name.name, tag: nil) }
        return try registry.put(manifest: bytes, mediaType: mediaType, in: name.name, tag: tag)
    }
}
