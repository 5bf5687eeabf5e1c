internal import Archive
internal import CLinux
internal import Glibc
internal import Linux
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
    static func archive(_ directory: String, to sink: any ByteSink) throws -> TreeArchiver.Summary {
        let root = try OwnedFD.open(directory, O_RDONLY | O_DIRECTORY)
        let writer = TarWriter(sink)
        let summary = try TreeArchiver(options: .init(mode: .layer)).archive(root, to: writer)
        try writer.finish()
        return summary
    }

    /// Takes a layer's tar stream, plain, gzip or zstd, from a descriptor until its end, and unpacks it on `parent`.
    public func importLayer(from descriptor: Int32, parent: Digest?) throws -> Layer {
        try commit(try LayerIngest.run(FileSource(descriptor), workDirectory: files.temporary()), parent: parent)
    }

    /// Puts an unpacked layer in its place on `parent`.
    func commit(_ layer: IngestedLayer, parent: Digest?) throws -> Layer {
        let record = LayerRecord(
            diffID: layer.diffID, chainID: try Layer.chainID(layer.diffID, on: parent), parent: parent, size: layer.fileBytes,
            tarSize: layer.tarSize, blob: layer.blob)
        return try commit(record, workDirectory: layer.workDirectory)
    }

    private func commit(_ record: LayerRecord, workDirectory work: String) throws -> Layer {
        do {
            if let parent = record.parent { _ = try layer(parent) }
            // Two threads may bring the same layer: the second finds its name taken (rename(2) of a directory over a full one).
            let isNew = state.withLock { $0.layers[record.chainID] == nil }
            if isNew { try files.commit(record, workDirectory: work) } else { try Files.removeTree(work) }
        } catch {
            try? Files.removeTree(work)
            guard let failure = error as? SystemError, failure.code == ENOTEMPTY || failure.code == EEXIST else { throw error }
        }
        return state.withLock { state in
            let known = state.layers[record.chainID] ?? record
            state.layers[record.chainID] = known
            return Layer(known, files)
        }
    }
}
