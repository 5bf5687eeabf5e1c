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
            try store.writeStream(of: layer, to: gzip)
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
}
