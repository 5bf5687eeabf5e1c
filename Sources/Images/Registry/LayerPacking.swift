internal import Archive
internal import Glibc
internal import Linux
internal import OCIImageSpec

/// A layer's stream as a registry gets it: the blob that came, or the layer packed with gzip.
struct LayerPacking: Sendable {
    let store: ImageStore

    /// A packed layer in a file of its own, which goes away with this value.
    final class File: Sendable {
        let path: String
        let descriptor: Descriptor

        fileprivate init(path: String, descriptor: Descriptor) {
            self.path = path
            self.descriptor = descriptor
        }

        deinit { unlink(path) }
    }

    /// Packs a layer. Its stream is made of its directory (or of the plain stream that came) and must have its diff ID: nothing
    /// is passed on, under a digest, that no longer has it.
    func pack(_ layer: Layer) throws -> File {
        let path = store.files.temporary()
        do {
            let file = try OwnedFD.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            let fileSink = FileSink(file.raw)
            let packed = try HashSink(next: fileSink)
            let gzip = try GzipSink(packed)
            let plain = try HashSink(next: gzip)
            if let blob = store.blob(of: layer), blob.digest == layer.diffID {
                try copy(store.files.blob(blob.digest), to: plain)
            } else {
                do { try ImageStore.archive(layer.directory, to: plain) } catch let error as ArchiveError where error.code == .malformed {
                    throw changed(layer)
                }
            }
            guard plain.hash.finish() == layer.diffID else { throw changed(layer) }
            try gzip.finish()
            try fileSink.finish()
            let size = packed.hash.count
            let descriptor = Descriptor(mediaType: MediaType.dockerLayerGzip, digest: packed.hash.finish(), size: size)
            return File(path: path, descriptor: descriptor)
        } catch {
            unlink(path)
            throw error
        }
    }

    private func copy(_ path: String, to sink: HashSink) throws {
        let file = try OwnedFD.open(path)
        let source = FileSource(file.raw)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            let count = try source.read(into: buffer)
            if count == 0 { return }
            try sink.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    private func changed(_ layer: Layer) -> ImageError {
        ImageError(.damaged, "layer \(layer.chainID) is not what it was: something changed \(layer.directory)")
    }
}
