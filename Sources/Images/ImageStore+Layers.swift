internal import Archive
internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import Logging
public import OCIImageSpec
internal import Synchronization

// New layers.
extension ImageStore {
    /// A new empty directory on the store's file system for a writable layer that `adoptLayer` may take. The caller
    /// removes it when it is not adopted; what is left over goes at the next start.
    public func makeScratchDirectory() throws -> String {
        let path = files.temporary()
        try Files.makeDirectories(path, mode: 0o755)
        return path
    }

    /// Makes an overlayfs upper directory the next layer on `parent` (a chain ID). The directory is moved into the store
    /// (it must be on the same file system and is gone afterwards, also when the store has the same layer already).
    ///
    /// Its diff ID is the digest of the tar stream that `TreeArchiver` makes of it; the stream itself is not kept, it is
    /// made again, and checked, when the layer is saved.
    public func adoptLayer(directory: String, parent: Digest?) throws -> Layer {
        let sink = try HashSink()
        let summary = try Self.archive(directory, to: sink)
        let tarSize = sink.hash.count
        let diffID = sink.hash.finish()
        let record = LayerRecord(
            diffID: diffID, chainID: try Layer.chainID(diffID, on: parent), parent: parent, size: summary.fileBytes, tarSize: tarSize,
            blob: nil)
        let work = files.temporary()
        try Files.makeDirectories(work)
        do { _ = try retrying("move layer", directory) { rename(directory, "\(work)/diff") } } catch {
            try? Files.removeTree(work)
            throw error
        }
        return try commit(record, workDirectory: work)
    }

    @discardableResult
    static func archive(_ directory: String, to sink: any ByteSink, hasDirectoryTimes: Bool = true) throws -> TreeArchiver.Summary {
        let root = try OwnedFD.open(directory, O_RDONLY | O_DIRECTORY)
        let writer = TarWriter(sink)
        var options = TreeArchiver.Options(mode: .layer)
        options.hasDirectoryTimes = hasDirectoryTimes
        let summary = try TreeArchiver(options: options).archive(root, to: writer)
        try writer.finish()
        return summary
    }

    /// Takes a layer's tar stream, plain, gzip or zstd, from a descriptor until its end, and unpacks it on `parent`.
    public func importLayer(from descriptor: Int32, parent: Digest?) throws -> Layer {
        try commit(try ingest(FileSource(descriptor)), parent: parent)
    }

    /// Unpacks a layer's stream in a directory of its own, within this store's limits.
    func ingest(_ source: any ByteSource) throws -> IngestedLayer {
        try LayerIngest.run(source, workDirectory: files.temporary(), limits: limits)
    }

    /// Puts an unpacked layer in its place on `parent`, and holds it there by a lease, when there is one.
    func commit(_ layer: IngestedLayer, parent: Digest?, under lease: LayerLease? = nil) throws -> Layer {
        try commit(try record(layer, parent: parent), workDirectory: layer.workDirectory, under: lease)
    }

    func record(_ layer: IngestedLayer, parent: Digest?) throws -> LayerRecord {
        LayerRecord(
            diffID: layer.diffID, chainID: try Layer.chainID(layer.diffID, on: parent), parent: parent, size: layer.fileBytes,
            tarSize: layer.tarSize, blob: layer.blob)
    }

    private func commit(_ record: LayerRecord, workDirectory work: String, under lease: LayerLease? = nil) throws -> Layer {
        defer { try? Files.removeTree(work) }
        if let layer = try takeKnown(record, under: lease) { return layer }
        try files.describe(record, in: work)
        try files.flush()
        let layer = try place(record, workDirectory: work, under: lease)
        try files.settle()
        return layer
    }

    /// The same for one that `describe` and `flush` have seen, several of which are settled at once by the caller.
    func takeFlushed(_ layer: IngestedLayer, parent: Digest?, under lease: LayerLease) throws -> Layer {
        defer { try? Files.removeTree(layer.workDirectory) }
        let record = try record(layer, parent: parent)
        return try takeKnown(record, under: lease) ?? place(record, workDirectory: layer.workDirectory, under: lease)
    }

    /// The layer when the store has it, with its directory and its stream as far as a look can tell.
    func takeKnown(_ record: LayerRecord, under lease: LayerLease?) throws -> Layer? {
        try state.withLock { state in
            guard let known = state.layers[record.chainID], files.hasLayer(record.chainID), record.blob.map({ known.has($0) }) ?? true,
                files.hasStreams(of: known)
            else { return nil }
            lease?.add(record.chainID, &state)
            return try layer(record.chainID, state)
        }
    }

    /// Puts a layer that is described and flushed in its place. Where the store has it already it stays as it is, and gets
    /// what is missing of it: its stream, or the same stream packed in another way, which another manifest names.
    func place(_ record: LayerRecord, workDirectory work: String, under lease: LayerLease?) throws -> Layer {
        try state.withLock { state in
            if let parent = record.parent { _ = try layer(parent, state) }
            if var known = state.layers[record.chainID], files.hasLayer(record.chainID) {
                let isNew = try files.placeBlob(record, workDirectory: work)
                if let blob = record.blob, known.has(blob) {
                    if isNew { noteRestored(record.chainID) }
                } else if let blob = record.blob {
                    if known.skeleton == nil {
                        known.otherBlobs = (known.otherBlobs ?? []) + [blob]
                    } else {
                        // A stream comes back: of that the layer can be made again, and the skeleton is for nothing.
                        (known.blob, known.skeleton) = (blob, nil)
                        known.dropped?.removeAll { $0.digest == blob.digest }
                    }
                    try Files.replace("\(files.layer(record.chainID))/layer.json", with: try JSON.encode(known))
                    state.layers[record.chainID] = known
                }
            } else {
                if state.layers[record.chainID] != nil { noteRestored(record.chainID) }
                try files.place(record, workDirectory: work)
                state.layers[record.chainID] = record
            }
            lease?.add(record.chainID, &state)
            return try layer(record.chainID, state)
        }
    }

    private func noteRestored(_ chainID: Digest) {
        logger.notice("layer restored", metadata: ["layer": "\(chainID)"])
    }
}
