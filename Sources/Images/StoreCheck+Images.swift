internal import Archive
internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIImageSpec
internal import RecordStore
internal import Synchronization

// Images, names, and what lies about.
extension StoreCheck {
    func look(at id: Digest, _ image: ImageStore.StoredImage) throws {
        if let problem = try problem(of: id) {
            var repair: String?
            if repairs {
                repair = try store.state.withLock { state in
                    defer { store.lose(image: id, &state) }
                    return try setAside(files.blob(id)) ?? "nothing there to set aside"
                }
            }
            find(.content, "\(id)", "config of \(named(id)) \(problem)", repair: repair.map { "\($0); pull or load the image again" })
            return
        }
        let manifest = image.record.manifest
        if let problem = try problem(of: manifest) {
            find(
                .content, "\(manifest)", "manifest \(manifest.short) of \(named(id)) \(problem)",
                repair: repairs ? try renewManifest(manifest, of: id, image) : nil)
            return
        }
        // Of an image that has lost a layer just now, the layer was told.
        guard let whole = try? store.image("\(id)") else { return }
        do { _ = try store.streams(of: whole) } catch let error as ImageError {
            if !report.findings.contains(where: { $0.kind == .content && error.message.contains($0.subject) }) {
                find(.image, "\(id)", "\(named(id)) cannot be saved or pushed as it came: \(error)")
            }
        }
    }

    /// A manifest that was made here can be made again; another comes with the image.
    private func renewManifest(_ digest: Digest, of id: Digest, _ image: ImageStore.StoredImage) throws -> String {
        let aside = try setAside(files.blob(digest))
        let layers = image.layers.compactMap { try? store.layer($0) }
        if layers.count == image.layers.count {
            let bytes = try store.makeManifest(id, Int64(try files.read(id).count), layers)
            if try ContentHash.digest(of: bytes) == digest {
                _ = try files.put(bytes)
                return "made again"
            }
        }
        return "\(aside ?? "nothing there to set aside"); pull or load the image again"
    }

    func named(_ id: Digest) -> String {
        let names = store.state.withLock { state in
            (state.references.filter { $0.value == id }.keys.map(\.familiar)
                + state.lostReferences.filter { $0.value == id }.keys.map(\.familiar))
                .sorted()
        }
        return "image \(id.short)" + (names.isEmpty ? "" : " (\(names.joined(separator: ", ")))")
    }

    // MARK: Lost images

    /// Unpacks again the layers of lost images of which the stream is here.
    func bringBack() throws {
        let lost = store.state.withLock { $0.lostImages }
        for (id, record) in lost {
            guard let chain = try? store.chainIDs(ofLost: id), let bytes = try? files.read(record.manifest),
                let manifest = try? JSON.decode(Manifest.self, from: bytes), manifest.layers.count == chain.count
            else { continue }
            for (index, chainID) in chain.enumerated() where (try? store.layer(chainID)) == nil {
                guard try restore(chainID, from: manifest.layers[index], on: index > 0 ? chain[index - 1] : nil) else { break }
                find(
                    .layer, "\(chainID)", "layer \(chainID.short) of \(named(id)) was missing",
                    repair: "unpacked again from its stream")
            }
        }
        try store.state.withLock { try store.findAgain(&$0) }
    }

    private func restore(_ chainID: Digest, from stream: Descriptor, on parent: Digest?) throws -> Bool {
        guard files.hasBlob(stream), try problem(of: stream.digest, size: stream.size) == nil else { return false }
        let file = try OwnedFD.open(files.blob(stream.digest))
        let layer = try LayerIngest.run(FileSource(file.raw), workDirectory: files.temporary(), limits: .none)
        guard try Layer.chainID(layer.diffID, on: parent) == chainID else {
            try Files.removeTree(layer.workDirectory)
            return false
        }
        _ = try store.commit(layer, parent: parent)
        return true
    }

    func lookAtLostImages() throws {
        let (lost, references, images) = store.state.withLock { ($0.lostImages, $0.lostReferences, $0.images) }
        for id in lost.keys.sorted() { find(.image, "\(id)", "\(named(id)) cannot be used: \(reason(id)); pull or load it again") }
        for (name, id) in references.sorted(by: { $0.key < $1.key }) where lost[id] == nil && images[id] == nil {
            find(.name, "\(name)", "name \(name.familiar) belongs to image \(id.short), which is not here; pull or load it again")
        }
    }

    private func reason(_ id: Digest) -> String {
        if let problem = try? problem(of: id) { return "its config \(problem)" }
        do {
            let chain = try store.chainIDs(ofLost: id)
            let missing = chain.filter { (try? store.layer($0)) == nil }
            return missing.isEmpty ? "its record does not fit its config" : "layer \(missing[0].short) is missing"
        } catch { return "\(error)" }
    }

    // MARK: What lies about

    func lookAtRest() throws {
        for name in try Files.list("\(files.root)/layers").sorted() {
            let path = "\(files.root)/layers/\(name)"
            let isKnown = Digest(sha256Hex: name).map { id in store.state.withLock { $0.layers[id] != nil } } ?? false
            guard !isKnown, Files.exists(path) else { continue }
            find(.layer, path, "\(path) is no layer that is known here", repair: try repairs ? setAside(path) : nil)
        }
        try lookAtOrphans()
        if let aside = store.records.setAside {
            find(.aside, aside.path, "the database was damaged (\(aside.reason)) and was set aside as \(aside.path)")
        }
        for name in try Files.list("\(files.root)/damaged").sorted() {
            let path = "\(files.root)/damaged/\(name)"
            find(.aside, path, "\(path) was set aside as damaged; remove it when nothing of it is wanted")
        }
    }

    /// Blobs that nothing names. Young ones are of work in flight.
    private func lookAtOrphans() throws {
        for name in try Files.list("\(files.root)/blobs/sha256").sorted() {
            let path = "\(files.root)/blobs/sha256/\(name)"
            var status = stat()
            guard let digest = Digest(sha256Hex: name), stat(path, &status) == 0,
                Int64(status.st_ctim.tv_sec) < Timestamp.now().seconds - 3600
            else { continue }
            if store.state.withLock({ store.usedBlobs($0).contains(digest) }) { continue }
            find(.content, "\(digest)", "content \(digest.short) belongs to no image; the next start of the daemon removes it")
        }
    }
}
