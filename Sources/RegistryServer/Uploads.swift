internal import CCrypto
internal import CLinux
internal import Glibc
internal import HTTPServer
internal import JSON
internal import Linux
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec
internal import Synchronization

/// Blob uploads under way: `uploads/ID/data` and `uploads/ID/info` (the repository), so that a client goes
/// on where it stood after a restart of the server. The digest is made while the bytes arrive; after a restart, or when it
/// turns out to be another algorithm's, the file is read once at the end.
final class Uploads: Sendable {
    private struct Upload {
        let repository: String
        /// Has seen exactly the first `size` bytes of the file; nil when that can't be said.
        var hasher: ContentHasher?
        var size: Int64
        /// A request works on it: another one is refused.
        var isBusy = false
    }

    private let directory: String
    private let uploads = Mutex<[String: Upload]>([:])

    /// Uploads of an earlier server are kept.
    init(directory: String) throws {
        self.directory = directory
        try Files.makeDirectories(directory, mode: 0o700)
    }

    private func path(_ id: String) -> String { "\(directory)/\(id)/data" }

    /// Begins an upload; its name can't be guessed.
    func start(in repository: String, _ algorithm: Digest.Algorithm) async throws -> String {
        let id = try Self.randomName()
        let directory = directory
        try await offloaded {
            try Files.makeDirectories("\(directory)/\(id)", mode: 0o700)
            _ = try OwnedFD.open("\(directory)/\(id)/data", O_WRONLY | O_CREAT | O_EXCL, mode: 0o644)
            let info: JSONValue = ["repository": .string(repository)]
            try Files.replace("\(directory)/\(id)/info", with: info.serialized(), durable: false)
        }
        uploads.withLock { $0[id] = Upload(repository: repository, hasher: ContentHasher(algorithm), size: 0) }
        return id
    }

    static func randomName() throws -> String {
        var random = [UInt8](repeating: 0, count: 16)
        guard RAND_bytes(&random, 16) == 1 else { throw SystemError("make upload name", code: EIO) }
        return Digest(bytes: random).hex
    }

    /// Bytes received so far.
    func size(_ id: String, of repository: String) async throws -> Int64 { try await find(id, of: repository).size }

    /// An upload that is known, or that an earlier server has left.
    private func find(_ id: String, of repository: String) async throws -> Upload {
        if let upload = uploads.withLock({ $0[id] }) {
            guard upload.repository == repository else { throw RegistryError.unknownUpload }
            return upload
        }
        guard id.utf8.count == 32, id.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) else {
            throw RegistryError.unknownUpload
        }
        let directory = "\(directory)/\(id)"
        let found = try await offloaded { () -> Upload? in
            guard let bytes = try? Files.read("\(directory)/info", limit: 4096), let info = try? JSONValue(parsing: bytes),
                info["repository"]?.stringValue == repository, let file = try? OwnedFD.open("\(directory)/data")
            else { return nil }
            return Upload(repository: repository, hasher: nil, size: Int64(try file.status().st_size))
        }
        guard let found else { throw RegistryError.unknownUpload }
        return uploads.withLock { uploads in
            if let known = uploads[id] { return known }
            uploads[id] = found
            return found
        }
    }

    /// Takes an upload for one request. The caller must `release` or `drop` it.
    private func occupy(_ id: String, of repository: String, at start: Int64?) async throws -> Upload {
        _ = try await find(id, of: repository)
        return try uploads.withLock { uploads in
            guard var upload = uploads[id], upload.repository == repository else { throw RegistryError.unknownUpload }
            if upload.isBusy { throw RegistryError(.conflict, "BLOB_UPLOAD_INVALID", "another request works on this upload") }
            if let start, start != upload.size {
                throw RegistryError(.rangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "upload is at byte \(upload.size), not \(start)")
            }
            upload.isBusy = true
            uploads[id] = upload
            return upload
        }
    }

    private func release(_ id: String, _ upload: Upload) {
        uploads.withLock {
            $0[id] = upload
            $0[id]?.isBusy = false
        }
    }

    /// Where a chunk says it stands in the upload.
    struct ChunkRange {
        var start: Int64
        /// Bytes.
        var count: Int64?
    }

    /// Appends what a request carries; it must begin where the upload stands, and be as long as its range says. What arrived of a
    /// body that broke off is kept: the client asks where the upload stands, and goes on there. Returns the new size.
    func append(_ id: String, of repository: String, at range: ChunkRange?, _ body: some AsyncSequence<ByteBuffer, any Error>) async throws
        -> Int64
    {
        var upload = try await occupy(id, of: repository, at: range?.start)
        defer { release(id, upload) }
        let before = upload.size
        try await receive(body, into: path(id), &upload)
        if let count = range?.count, upload.size - before != count {
            let received = upload.size - before
            try await cut(id, to: before, &upload)
            throw RegistryError(.badRequest, "SIZE_INVALID", "Content-Range says \(count) bytes, the body has \(received)")
        }
        return upload.size
    }

    private func cut(_ id: String, to size: Int64, _ upload: inout Upload) async throws {
        let path = path(id)
        try await offloaded { _ = try retrying("truncate", path) { truncate(path, off_t(size)) } }
        upload.size = size
        upload.hasher = size == 0 ? ContentHasher(upload.hasher?.algorithm ?? .sha256) : nil
    }

    /// Hashes and writes on a thread of its own, in batches, while the next batch arrives.
    private func receive(_ body: some AsyncSequence<ByteBuffer, any Error>, into path: String, _ upload: inout Upload) async throws {
        let file = SharedFile(try await offloaded { try OwnedFD.open(path, O_WRONLY | O_APPEND).take() })
        let hasher = upload.hasher
        var batch: [ByteBuffer] = []
        var waiting = 0
        var unwritten = 0
        func write() async throws {
            let (chunks, count) = (batch, waiting)
            batch = []
            waiting = 0
            unwritten += count
            // The disk is at work while the rest comes, so that the end waits for little.
            let isMuch = unwritten >= 4 << 20
            if isMuch { unwritten = 0 }
            do {
                try await offloaded {
                    for chunk in chunks {
                        if let hasher { hasher.update(chunk) }
                        try file.write(chunk)
                    }
                    if isMuch { file.startWriteback() }
                }
            } catch {
                // The hash has seen what the file hasn't, or has in part.
                upload.hasher = nil
                upload.size = (try? file.size()) ?? upload.size
                throw error
            }
            upload.size += Int64(count)
        }
        do {
            for try await chunk in body {
                batch.append(chunk)
                waiting += chunk.readableBytes
                if waiting >= 256 * 1024 { try await write() }
            }
        } catch {
            if !batch.isEmpty { try? await write() }
            throw error
        }
        if !batch.isEmpty { try await write() }
    }

    /// Checks the whole against its digest and hands the durable file to `keep`. A wrong digest ends the upload.
    func finish(_ id: String, of repository: String, _ digest: Digest, keep: (String) async throws -> Void) async throws -> Int64 {
        let upload = try await occupy(id, of: repository, at: nil)
        let path = path(id)
        do {
            let hasher = upload.hasher?.algorithm == digest.algorithm ? upload.hasher : nil
            let found = try await offloaded {
                let file = try OwnedFD.open(path, O_RDONLY)
                let found = try hasher?.finish() ?? Self.digest(of: file, digest.algorithm)
                if found == digest { try file.sync() }
                return found
            }
            guard found == digest else { throw RegistryError.badDigest("content has digest \(found), not \(digest)") }
            try await keep(path)
        } catch let error as RegistryError {
            await drop(id)
            throw error
        } catch {
            // The store failed, not the client: it may try again.
            var again = upload
            again.hasher = nil
            release(id, again)
            throw error
        }
        await drop(id)
        return upload.size
    }

    func remove(_ id: String, of repository: String) async throws {
        _ = try await occupy(id, of: repository, at: nil)
        await drop(id)
    }

    private func drop(_ id: String) async {
        uploads.withLock { $0[id] = nil }
        let directory = "\(directory)/\(id)"
        // What can't be removed now is removed when it has expired.
        try? await offloaded { try Files.removeTree(directory) }
    }

    /// Removes uploads that nobody has added to since `deadline` (seconds since 1970). Returns how many.
    func expire(olderThan deadline: Int64) async throws -> Int {
        let directory = directory
        let old = try await offloaded {
            try Files.list(directory).filter { id in
                var status = stat()
                // Without data it is just being begun, or being removed.
                guard stat("\(directory)/\(id)/data", &status) == 0 || stat("\(directory)/\(id)", &status) == 0 else { return false }
                return Int64(status.st_mtim.tv_sec) < deadline
            }
        }
        var count = 0
        for id in old where uploads.withLock({ $0[id]?.isBusy ?? false }) == false {
            await drop(id)
            count += 1
        }
        return count
    }

    static func digest(of file: borrowing OwnedFD, _ algorithm: Digest.Algorithm) throws -> Digest {
        let hasher = ContentHasher(algorithm)
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = try file.read(into: &buffer)
            if count == 0 { return hasher.finish() }
            buffer.withUnsafeBytes { hasher.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }
}

/// A file that several closures use, one after the other.
final class SharedFile: Sendable {
    private let descriptor: OwnedFD

    init(_ raw: Int32) { descriptor = OwnedFD(owning: raw) }

    func size() throws -> Int64 { Int64(try descriptor.status().st_size) }

    func sync() throws { try descriptor.sync() }

    /// Has the kernel begin to write out what there is, without waiting.
    func startWriteback() { _ = clp_start_writeback(descriptor.raw, 0, 0) }

    /// Writes all bytes where the file stands.
    func write(_ buffer: ByteBuffer) throws {
        var code: Int32 = 0
        let raw = descriptor.raw
        buffer.withUnsafeReadableBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                let count = Glibc.write(raw, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
                if count < 0 {
                    if errno == EINTR { continue }
                    code = errno
                    return
                }
                offset += count
            }
        }
        if code != 0 { throw SystemError("write", code: code) }
    }

    /// At most `count` bytes at `offset`; empty at the end.
    func read(at offset: Int64, count: Int) throws -> ByteBuffer {
        var buffer = ByteBuffer()
        let raw = descriptor.raw
        var code: Int32 = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
            let result = pread(raw, bytes.baseAddress, count, off_t(offset))
            if result < 0 { code = errno }
            return max(0, result)
        }
        if code != 0 { throw SystemError("read", code: code) }
        return buffer
    }
}

extension ContentHasher {
    func update(_ buffer: ByteBuffer) { buffer.withUnsafeReadableBytes { update($0) } }
}
