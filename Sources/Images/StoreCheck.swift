internal import Archive
internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIImageSpec
internal import RecordStore
internal import Synchronization

extension ImageStore {
    /// Looks at everything that the store has, while it goes on working: directories and records of layers, digests of all
    /// blobs, images and names; with `isDeep` also every layer's tree, against its stream or its digest.
    ///
    /// With `repairs`, what can be made anew from what is here is, and what can't is set aside, so that the next pull or load
    /// of the image fetches just that. Nothing is deleted.
    public func check(isDeep: Bool = false, repairs: Bool = false) throws -> StoreReport {
        let check = StoreCheck(store: self, isDeep: isDeep, repairs: repairs)
        // Images that were lost before come first: what brings them back needs no second look.
        if repairs { try check.bringBack() }
        let lease = try check.lookAtImages()
        defer { withExtendedLifetime(lease) {} }
        if repairs { try check.bringBack() }
        try check.lookAtLostImages()
        try check.lookAtRest()
        return check.report
    }
}

/// One run of a check.
final class StoreCheck {
    let store: ImageStore
    let isDeep: Bool
    let repairs: Bool
    var report = StoreReport()
    var files: ContentFiles { store.files }
    /// What was wrong with each blob, so that one which several manifests name is read once.
    private var seenBlobs: [Digest: String?] = [:]

    init(store: ImageStore, isDeep: Bool, repairs: Bool) {
        self.store = store
        self.isDeep = isDeep
        self.repairs = repairs
    }

    func find(_ kind: StoreFinding.Kind, _ subject: String, _ message: String, repair: String? = nil) {
        report.findings.append(StoreFinding(kind, subject, message, repair: repair))
    }

    /// Images that can be used, their documents and layers. All of it is held until the lease goes.
    func lookAtImages() throws -> LayerLease {
        let lease = LayerLease(store: store)
        let (images, layers) = store.state.withLock { state in
            let used = Set(state.images.values.flatMap(\.layers))
            let documents = state.images.flatMap { [$0.key, $0.value.record.manifest] }
            for digest in used.union(documents) { lease.add(digest, &state) }
            return (state.images, used.compactMap { state.layers[$0] })
        }
        report.images = images.count
        report.layers = layers.count
        for record in try sorted(layers) { try look(at: record) }
        for (id, image) in images.sorted(by: { $0.key.hex < $1.key.hex }) { try look(at: id, image) }
        return lease
    }

    /// Parents before their children: one that is made anew may be needed by the next.
    private func sorted(_ layers: [LayerRecord]) throws -> [LayerRecord] {
        let byID = Dictionary(layers.map { ($0.chainID, $0) }, uniquingKeysWith: { $1 })
        func depth(_ record: LayerRecord) -> Int {
            var count = 0
            var next = record.parent
            while let current = next, count < layers.count {
                count += 1
                next = byID[current]?.parent
            }
            return count
        }
        return layers.sorted { (depth($0), $0.chainID.hex) < (depth($1), $1.chainID.hex) }
    }

    // MARK: Layers

    private func look(at record: LayerRecord) throws {
        let name = "\(record.chainID)"
        var streams: [Descriptor] = []
        for blob in record.blobs {
            guard let problem = try problem(of: blob.digest, size: blob.size) else {
                streams.append(blob)
                continue
            }
            let repair = try repairs ? setAside(files.blob(blob.digest)) : nil
            find(
                .content, "\(blob.digest)", "stream \(blob.digest.short) of layer \(record.chainID.short) \(problem)",
                repair: repairs ? "\(repair ?? "nothing there to set aside"); \(remedy(record.chainID))" : nil)
        }
        if record.skeleton != nil, record.blobs.isEmpty, !files.hasStreams(of: record) {
            find(
                .content, name, "layer \(record.chainID.short) has lost its skeleton, and can neither be saved nor pushed",
                repair: repairs ? remedy(record.chainID) : nil)
        }
        guard let problem = try problem(ofTree: record, streams.first) else { return }
        let message = "layer \(record.chainID.short) \(problem)"
        guard repairs else { return find(.layer, name, message) }
        if let stream = streams.first {
            try unpackAgain(record, stream)
            find(.layer, name, message, repair: "unpacked again from its stream")
        } else {
            let aside = try store.state.withLock { state in
                defer { store.lose(layer: record.chainID, &state) }
                return try setAside(files.layer(record.chainID))
            }
            find(.layer, name, message, repair: "\(aside ?? "nothing there to set aside"); \(remedy(record.chainID))")
        }
    }

    private func problem(ofTree record: LayerRecord, _ stream: Descriptor?) throws -> String? {
        guard Files.isDirectory(files.diff(record.chainID)) else { return "has no directory" }
        do {
            guard try files.record(of: record.chainID) == record else { return "has a layer.json that tells of something else" }
        } catch { return "has a layer.json that cannot be read: \(error)" }
        guard isDeep else { return nil }
        if record.skeleton != nil {
            guard files.hasStreams(of: record) else { return nil }
            let sink = try HashSink()
            do { try LayerSkeleton.write(files.skeleton(record.chainID), directory: files.diff(record.chainID), to: sink) } catch {
                return "has a directory or skeleton that was changed: \(error)"
            }
            report.bytes += sink.hash.count
            return sink.hash.finish() == record.diffID ? nil : "has a directory that was changed"
        }
        if record.blob == nil {
            // Made here: its digest is that of the stream which the directory makes.
            let found = try digest(ofTree: files.diff(record.chainID), hasDirectoryTimes: true)
            return found == record.diffID ? nil : "has a directory that was changed"
        }
        guard let stream else { return nil }
        let work = files.temporary()
        defer { try? Files.removeTree(work) }
        let file = try OwnedFD.open(files.blob(stream.digest))
        let unpacked = try LayerIngest.run(FileSource(file.raw), workDirectory: work, limits: .none)
        report.bytes += unpacked.tarSize
        guard unpacked.diffID == record.diffID else { return "has a stream that makes another layer" }
        let wanted = try digest(ofTree: "\(work)/diff", hasDirectoryTimes: false)
        let found = try digest(ofTree: files.diff(record.chainID), hasDirectoryTimes: false)
        return found == wanted ? nil : "has a directory that was changed"
    }

    /// Two trees that make one stream are the same. nil for one that makes none, which only a changed one does.
    private func digest(ofTree directory: String, hasDirectoryTimes: Bool) throws -> Digest? {
        let sink = try HashSink()
        do { _ = try ImageStore.archive(directory, to: sink, hasDirectoryTimes: hasDirectoryTimes) } catch is ArchiveError { return nil }
        report.bytes += sink.hash.count
        return sink.hash.finish()
    }

    private func unpackAgain(_ known: LayerRecord, _ stream: Descriptor) throws {
        // What a skeleton belongs to is being replaced.
        var record = known
        record.skeleton = nil
        let file = try OwnedFD.open(files.blob(stream.digest))
        let unpacked = try LayerIngest.run(FileSource(file.raw), workDirectory: files.temporary(), limits: .none)
        defer { try? Files.removeTree(unpacked.workDirectory) }
        guard unpacked.diffID == record.diffID else {
            throw ImageError(.damaged, "stream \(stream.digest) makes layer \(unpacked.diffID), not \(record.diffID)")
        }
        _ = unlink("\(unpacked.workDirectory)/blob")
        try files.describe(record, in: unpacked.workDirectory)
        try files.flush()
        try store.state.withLock { state in
            try files.place(record, workDirectory: unpacked.workDirectory)
            state.layers[record.chainID] = record
        }
        try files.settle()
    }

    // MARK: Contents

    /// What is wrong with a blob, read and hashed once; nil when it is as it should be.
    func problem(of digest: Digest, size: Int64? = nil) throws -> String? {
        if let known = seenBlobs[digest] { return known }
        report.contents += 1
        let result = try examine(digest, size)
        seenBlobs[digest] = .some(result)
        return result
    }

    private func examine(_ digest: Digest, _ size: Int64?) throws -> String? {
        let path = files.blob(digest)
        guard Files.exists(path) else { return "is missing" }
        let hash = try ContentHash()
        do {
            let file = try OwnedFD.open(path)
            let source = FileSource(file.raw)
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
            defer { buffer.deallocate() }
            while true {
                let count = try source.read(into: buffer)
                if count == 0 { break }
                hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
        } catch { return "cannot be read: \(error)" }
        report.bytes += hash.count
        if let size, hash.count != size { return "has \(hash.count) bytes instead of \(size)" }
        return hash.finish() == digest ? nil : "is not what it was: its bytes have another digest"
    }

    /// Where something was put; nil when there is nothing.
    func setAside(_ path: String) throws -> String? {
        guard Files.exists(path) else { return nil }
        return "set aside as \(try files.setAside(path))"
    }

    /// What a user can do about what is gone.
    func remedy(_ layer: Digest) -> String {
        let names = store.state.withLock { state in
            let images = Set(state.images.filter { $0.value.layers.contains(layer) }.keys)
            let lost = Set(state.lostImages.keys.filter { id in (try? store.chainIDs(ofLost: id))?.contains(layer) ?? false })
            return state.references.filter { images.contains($0.value) }.keys.map(\.familiar)
                + state.lostReferences.filter { lost.contains($0.value) }.keys.map(\.familiar)
        }
        let image = names.isEmpty ? "its image" : names.sorted().prefix(3).joined(separator: " or ")
        return "pull or load \(image) again, which brings just this"
    }
}
