internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIImageSpec

/// What is known of a layer, in `layer.json` beside its directory.
struct LayerRecord: Codable, Sendable, Equatable {
    var diffID: Digest
    var chainID: Digest
    var parent: Digest?
    /// Bytes of regular files.
    var size: Int64
    /// Bytes of the tar stream.
    var tarSize: Int64
    /// The stream as it came, in `blobs`; nil when it is made of the directory on demand.
    var blob: Descriptor?
    /// The same stream, packed in other ways, as other manifests name it.
    var otherBlobs: [Descriptor]?

    /// Bytes of the skeleton beside the directory, of which the plain stream is made again; nil when there is none.
    var skeleton: Int64?
    /// Streams that it came as and that were dropped.
    var dropped: [Descriptor]?

    /// All streams in `blobs`.
    var blobs: [Descriptor] { (blob.map { [$0] } ?? []) + (otherBlobs ?? []) }

    func has(_ blob: Descriptor) -> Bool { blobs.contains { $0.digest == blob.digest } }
}

/// The files of an image store: where each thing is, and how it gets there durably.
struct ContentFiles: Sendable {
    let root: String

    func blob(_ digest: Digest) -> String { "\(root)/blobs/\(digest.algorithm.rawValue)/\(digest.hex)" }
    func layer(_ chainID: Digest) -> String { "\(root)/layers/\(chainID.hex)" }
    func skeleton(_ chainID: Digest) -> String { "\(layer(chainID))/skeleton" }
    func diff(_ chainID: Digest) -> String { "\(layer(chainID))/diff" }

    func makeDirectories() throws {
        for name in ["blobs/sha256", "layers", "tmp", "damaged"] { try Files.makeDirectories("\(root)/\(name)", mode: 0o700) }
        // Containers' mounts are read by other users through it.
        for name in ["", "/layers"] { _ = chmod(root + name, 0o711) }
    }

    /// A path in `tmp` that nobody else uses.
    func temporary() -> String {
        let random = (0..<2).map { _ in String(UInt64.random(in: 0 ... .max), radix: 36) }.joined()
        return "\(root)/tmp/\(random)"
    }

    /// Stores bytes under their digest: temporary name, flush, rename. What lies there and is something else is replaced.
    func put(_ bytes: [UInt8]) throws -> Digest {
        let digest = try ContentHash.digest(of: bytes)
        let path = blob(digest)
        if let found = try? Files.read(path, limit: bytes.count + 1) {
            if found == bytes { return digest }
            _ = try setAside(path)
        }
        let temporary = temporary()
        do {
            let file = try OwnedFD.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            try file.writeAll(bytes)
            try file.sync()
            _ = try retrying("rename", path) { rename(temporary, path) }
        } catch {
            _ = unlink(temporary)
            throw error
        }
        try Files.syncDirectory(Files.parent(of: path))
        return digest
    }

    /// The bytes of a blob, checked against their digest.
    func read(_ digest: Digest, limit: Int = 64 << 20) throws -> [UInt8] {
        let bytes = try Files.read(blob(digest), limit: limit)
        guard try ContentHash.digest(of: bytes) == digest else { throw ImageError(.damaged, "content of \(digest) is not what it was") }
        return bytes
    }

    // MARK: Layers

    /// Writes what is known of a layer beside its unpacked directory, `<work>/diff`.
    func describe(_ record: LayerRecord, in work: String) throws {
        _ = chmod("\(work)/diff", 0o755)
        _ = chmod(work, 0o711)
        try Files.write("\(work)/layer.json", String(decoding: try JSON.encode(record), as: UTF8.self))
    }

    /// Puts everything that was written on the disk: one flush of the file system instead of one for each of a layer's files
    /// (syncfs(2)).
    func flush() throws {
        let directory = try OwnedFD.open(root, O_RDONLY | O_DIRECTORY)
        _ = try retrying("flush", root) { syncfs(directory.raw) }
    }

    /// Gives a layer, described and flushed, its name, and its stream, `<work>/blob`, its own. What lies there without being
    /// whole is set aside. Renames only: called under the store's lock.
    func place(_ record: LayerRecord, workDirectory work: String) throws {
        try placeBlob(record, workDirectory: work)
        let target = layer(record.chainID)
        if Files.exists(target) { _ = try setAside(target) }
        _ = try retrying("rename", target) { rename(work, target) }
    }

    /// The stream alone; true when it was missing.
    @discardableResult
    func placeBlob(_ record: LayerRecord, workDirectory work: String) throws -> Bool {
        guard let blob = record.blob, Files.exists("\(work)/blob") else { return false }
        if hasBlob(blob) {
            _ = unlink("\(work)/blob")
            return false
        }
        let target = self.blob(blob.digest)
        if Files.exists(target) { _ = try setAside(target) }
        _ = try retrying("rename", target) { rename("\(work)/blob", target) }
        return true
    }

    /// Makes the names of layers and blobs durable.
    func settle() throws {
        try Files.syncDirectory("\(root)/layers")
        try Files.syncDirectory("\(root)/blobs/sha256")
    }

    /// Whether a blob is there in its length.
    func hasBlob(_ blob: Descriptor) -> Bool { (try? size(of: blob.digest)) == blob.size }

    /// Bytes of a blob, unread.
    func size(of digest: Digest) throws(SystemError) -> Int64 {
        var status = stat()
        let path = blob(digest)
        try retrying("stat", path) { stat(path, &status) }
        return Int64(status.st_size)
    }

    /// Whether all is there of which a layer's streams are: those that are kept, and its skeleton when it has one.
    func hasStreams(of record: LayerRecord) -> Bool {
        guard record.blobs.allSatisfy(hasBlob) else { return false }
        guard let size = record.skeleton else { return true }
        var status = stat()
        return stat(skeleton(record.chainID), &status) == 0 && Int64(status.st_size) == size
    }

    /// Whether a layer looks like one: its directory and what is known of it.
    func hasLayer(_ chainID: Digest) -> Bool { Files.isDirectory(diff(chainID)) && Files.exists("\(layer(chainID))/layer.json") }

    /// What `layer.json` says.
    func record(of chainID: Digest) throws -> LayerRecord {
        let record = try JSON.decode(LayerRecord.self, from: try Files.read("\(layer(chainID))/layer.json", limit: 1 << 20))
        guard record.chainID == chainID else { throw ImageError(.damaged, "layer.json names another layer") }
        return record
    }

    /// Takes the name of something away at once; what it was is deleted by the caller from the path returned.
    func detach(_ path: String) throws -> String {
        let target = temporary()
        _ = try retrying("rename", path) { rename(path, target) }
        return target
    }

    /// Puts what can't be read out of the way.
    func setAside(_ path: String) throws -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? "x"
        let target = "\(root)/damaged/\(name)-\(Timestamp.now().seconds)-\(UInt16.random(in: 0 ... .max))"
        _ = try retrying("rename", path) { rename(path, target) }
        return target
    }
}

extension Layer {
    init(_ record: LayerRecord, _ files: ContentFiles) {
        self.init(
            diffID: record.diffID, chainID: record.chainID, parent: record.parent, directory: files.diff(record.chainID), size: record.size,
            tarSize: record.tarSize)
    }

    /// OCI image spec, "Layer ChainID".
    static func chainID(_ diffID: Digest, on parent: Digest?) throws -> Digest {
        guard let parent else { return diffID }
        return try ContentHash.digest(of: Array("\(parent) \(diffID)".utf8))
    }
}
