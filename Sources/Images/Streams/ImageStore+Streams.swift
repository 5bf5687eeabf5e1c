internal import Archive
internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import Logging
public import OCIImageSpec
internal import Synchronization

/// What becomes of the packed streams that layers came as.
public enum BlobPolicy: String, Sendable, Hashable, CaseIterable {
    /// They stay: an image goes out with the digest with which it came.
    case keep
    /// They go as soon as a layer is in the store, and a skeleton stays.
    case drop
}

/// What dropping streams has done. Sizes in bytes.
public struct DroppedStreams: Sendable, Hashable {
    /// Chain IDs of layers whose streams are gone.
    public var layers: [Digest] = []
    /// Bytes of streams, less those of the skeletons.
    public var reclaimed: Int64 = 0
    /// Layers that keep their streams, each with why.
    public var kept: [Digest: String] = [:]

    public init() {}
}

// The streams of layers: as they came, or made again.
extension ImageStore {
    /// Writes a layer's plain stream, and checks that it is the one that its diff ID says: the plain stream that came, the
    /// skeleton with the directory's files, a packed stream unpacked, or what the directory makes. Throws `ImageError.damaged` for what was changed.
    func writeStream(of layer: Layer, to sink: any ByteSink) throws {
        let hashing = try HashSink(next: sink)
        do { try copyStream(of: layer, to: hashing) } catch let error as ArchiveError where error.code == .malformed {
            throw changed(layer)
        } catch let error as ImageError where error.code == .damaged { throw changed(layer, error.message) }
        guard hashing.hash.count == layer.tarSize, hashing.hash.finish() == layer.diffID else { throw changed(layer) }
    }

    private func copyStream(of layer: Layer, to sink: any ByteSink) throws {
        let record = state.withLock { $0.layers[layer.chainID] }
        if blob(of: layer, layer.diffID) != nil { return try copy(blob: layer.diffID, to: sink) }
        if record?.skeleton != nil {
            do { return try LayerSkeleton.write(files.skeleton(layer.chainID), directory: layer.directory, to: sink) } catch let error
                as SystemError
            {
                throw ImageError(.damaged, "\(error)")
            }
        }
        guard let packed = record?.blobs.first(where: files.hasBlob) else {
            try Self.archive(layer.directory, to: sink)
            return
        }
        let file = try OwnedFD.open(files.blob(packed.digest))
        try copy(try DecompressingSource(FileSource(file.raw), limits: .none), to: sink)
    }

    /// Writes a blob's bytes as they are.
    func copy(blob digest: Digest, to sink: any ByteSink) throws {
        let file = try OwnedFD.open(files.blob(digest))
        try copy(FileSource(file.raw), to: sink)
    }

    private func copy(_ source: any ByteSource, to sink: any ByteSink) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            let count = try source.read(into: buffer)
            if count == 0 { return }
            try sink.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    private func changed(_ layer: Layer, _ what: String? = nil) -> ImageError {
        let reason = what.map { ": \($0)" } ?? ""
        return ImageError(.damaged, "layer \(layer.chainID) is not what it was: something changed \(layer.directory)\(reason)")
    }

    // MARK: Dropping

    /// Drops the streams of an image's layers when the policy says so. What can't be dropped stays; it is no error.
    func applyPolicy(to image: Image) {
        guard blobPolicy == .drop else { return }
        do {
            let dropped = try dropStreams(of: image.layers.map(\.chainID))
            for (layer, reason) in dropped.kept {
                logger.info("layer keeps its stream", metadata: ["layer": "\(layer)", "reason": "\(reason)"])
            }
        } catch { logger.warning("cannot drop streams of layers", metadata: ["image": "\(image.id)", "error": "\(error)"]) }
    }

    /// Drops the streams of all layers of which the plain one can be made again without: an image that came from a registry then
    /// goes out with another manifest. Blocks for as long as it takes to unpack each once and to read its files once.
    public func dropStreams() throws -> DroppedStreams {
        try dropStreams(of: state.withLock { $0.layers.keys.sorted() })
    }

    private func dropStreams(of chain: [Digest]) throws -> DroppedStreams {
        var result = DroppedStreams()
        for chainID in chain {
            let lease = LayerLease(store: self)
            let record = state.withLock { state -> LayerRecord? in
                guard let record = state.layers[chainID], !record.blobs.isEmpty else { return nil }
                lease.add(chainID, &state)
                return record
            }
            guard let record else { continue }
            do {
                result.reclaimed += try dropStream(of: record)
                result.layers.append(chainID)
            } catch let reason as KeepsStream { result.kept[chainID] = reason.why }
            withExtendedLifetime(lease) {}
        }
        return result
    }

    private struct KeepsStream: Error { let why: String }

    /// The skeleton first, tried out; then the record that names it, durable; then the streams go. A crash in between leaves a
    /// skeleton or streams that nothing names, which the next start removes.
    private func dropStream(of record: LayerRecord) throws -> Int64 {
        let layer = Layer(record, files)
        let work = files.temporary()
        defer { unlink(work) }
        let size = try makeSkeleton(of: record, at: work)
        let garbage = try state.withLock { state -> Garbage in
            guard var known = state.layers[record.chainID], known == record else { throw KeepsStream(why: "it has changed meanwhile") }
            guard state.leases[record.chainID] == 1 else { throw KeepsStream(why: "it is being used") }
            _ = try retrying("rename", files.skeleton(layer.chainID)) { rename(work, files.skeleton(layer.chainID)) }
            try Files.syncDirectory(files.layer(layer.chainID))
            known.skeleton = size
            let earlier = known.dropped ?? []
            known.dropped = earlier + record.blobs.filter { blob in !earlier.contains { $0.digest == blob.digest } }
            known.blob = nil
            known.otherBlobs = nil
            try Files.replace("\(files.layer(layer.chainID))/layer.json", with: try JSON.encode(known))
            state.layers[layer.chainID] = known
            return collect(layers: [], blobs: record.blobs.map(\.digest), &state)
        }
        sweep(garbage)
        return record.blobs.reduce(-size) { $0 + $1.size }
    }

    /// Makes a layer's skeleton, and tries whether it makes the layer's stream.
    private func makeSkeleton(of record: LayerRecord, at path: String) throws -> Int64 {
        guard let blob = record.blobs.first(where: files.hasBlob) else { throw KeepsStream(why: "its stream is missing") }
        let (check, directory) = (try HashSink(), files.diff(record.chainID))
        do {
            let file = try OwnedFD.open(files.blob(blob.digest))
            let source = try DecompressingSource(FileSource(file.raw), limits: .none)
            try LayerSkeleton.make(of: source, at: path, limits: UnpackLimits.none.archive)
            try LayerSkeleton.write(path, directory: directory, to: check)
        } catch let error as ArchiveError { throw KeepsStream(why: "its stream is damaged: \(error)") } catch let error as ImageError {
            throw KeepsStream(why: error.message)
        } catch let error as SystemError where error.code == ENOENT || error.code == ELOOP || error.code == ENOTDIR {
            throw KeepsStream(why: "\(error)")
        }
        // Two entries of one name: the later one's data are there, the earlier one's are not.
        guard check.hash.count == record.tarSize, check.hash.finish() == record.diffID else {
            throw KeepsStream(why: "its stream can't be made of its directory")
        }
        var status = stat()
        _ = try retrying("stat", path) { stat(path, &status) }
        guard Int64(status.st_size) < record.blobs.reduce(0, { $0 + $1.size }) else { throw KeepsStream(why: "its skeleton is no smaller") }
        return Int64(status.st_size)
    }
}
