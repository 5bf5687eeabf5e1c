internal import CCrypto
internal import CLinux
internal import Glibc
internal import Linux
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec
internal import Synchronization

/// Blob uploads under way. Each has a file of its own, and its SHA-256 is made while it arrives.
final class Uploads: Sendable {
    private struct Upload {
        let repository: String
        let hasher: ContentHasher
        var size: Int64 = 0
        /// A request works on it: another one is refused.
        var busy = false
    }

    private let directory: String
    private let uploads = Mutex<[String: Upload]>([:])

    init(directory: String) throws {
        self.directory = directory
        try Files.removeTree(directory)
        try Files.makeDirectories(directory, mode: 0o700)
    }

    private func path(_ id: String) -> String { "\(directory)/\(id)" }

    /// Begins an upload; its name can't be guessed.
    func start(in repository: String) throws -> String {
        var random = [UInt8](repeating: 0, count: 16)
        guard RAND_bytes(&random, 16) == 1 else { throw SystemError("make upload name", code: EIO) }
        let id = random.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        _ = try OwnedFD.open(path(id), O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        uploads.withLock { $0[id] = Upload(repository: repository, hasher: ContentHasher()) }
        return id
    }

    /// Bytes received so far.
    func size(_ id: String, of repository: String) throws -> Int64 {
        guard let upload = uploads.withLock({ $0[id] }), upload.repository == repository else { throw RegistryError.unknownUpload }
        return upload.size
    }

    private func occupy(_ id: String, of repository: String, at start: Int64?) throws -> Upload {
        try uploads.withLock { uploads in
            guard var upload = uploads[id], upload.repository == repository else { throw RegistryError.unknownUpload }
            if upload.busy || (start != nil && start != upload.size) {
                throw RegistryError(.rangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "upload is at byte \(upload.size)")
            }
            upload.busy = true
            uploads[id] = upload
            return upload
        }
    }

    /// Appends what a request carries; `start` must be where the upload stands. A body that breaks off ends the whole
    /// upload: its digest has seen bytes that the client will send again. Returns the new size.
    func append(_ id: String, of repository: String, at start: Int64?, _ body: some AsyncSequence<ByteBuffer, any Error>) async throws
        -> Int64
    {
        let upload = try occupy(id, of: repository, at: start)
        var size = upload.size
        do {
            let file = try OwnedFD.open(path(id), O_WRONLY | O_APPEND)
            for try await chunk in body {
                upload.hasher.update(chunk)
                try file.writeAll(Array(chunk.readableBytesView))
                size += Int64(chunk.readableBytes)
            }
        } catch {
            drop(id)
            throw error
        }
        uploads.withLock {
            $0[id]?.size = size
            $0[id]?.busy = false
        }
        return size
    }

    /// Checks the whole against its digest and hands the durable file to `keep`. A wrong digest ends the upload.
    func finish(_ id: String, of repository: String, _ digest: Digest, keep: (String) throws -> Void) throws {
        let upload = try occupy(id, of: repository, at: nil)
        defer { drop(id) }
        let file = try OwnedFD.open(path(id), O_RDONLY)
        let found = digest.algorithm == .sha256 ? upload.hasher.finish() : try Self.digest(of: file, digest.algorithm)
        guard found == digest else { throw RegistryError.badDigest("content has digest \(found), not \(digest)") }
        try file.sync()
        try keep(path(id))
    }

    func remove(_ id: String, of repository: String) throws {
        _ = try occupy(id, of: repository, at: nil)
        drop(id)
    }

    private func drop(_ id: String) {
        uploads.withLock { $0[id] = nil }
        _ = unlink(path(id))
    }

    private static func digest(of file: borrowing OwnedFD, _ algorithm: Digest.Algorithm) throws -> Digest {
        let hasher = ContentHasher(algorithm)
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = try file.read(into: &buffer)
            if count == 0 { return hasher.finish() }
            buffer.withUnsafeBytes { hasher.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }
}

extension ContentHasher {
    func update(_ buffer: ByteBuffer) { buffer.withUnsafeReadableBytes { update($0) } }
}
