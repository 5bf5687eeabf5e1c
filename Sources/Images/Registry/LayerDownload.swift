internal import Archive
internal import Linux
internal import OCIImageSpec
internal import RegistryClient

/// Downloads one layer and unpacks it as it comes: download, hash, inflate, hash, unpack in one pass. What comes out counts
/// only when both digests are right.
struct LayerDownload: Sendable {
    let store: ImageStore
    let repository: any RegistryRepository
    let descriptor: Descriptor
    let diffID: Digest
    let limits: TransferLimits
    let parts: BlobParts

    /// The unpacked layer, in a working directory that the caller takes or removes.
    func run(_ report: @escaping @Sendable (LayerStatus) -> Void) async throws -> IngestedLayer {
        let pipe = BodyPipe()
        async let unpacking = onThread { [store] in
            defer { pipe.closeReading() }
            return try store.ingest(pipe)
        }
        var failure: (any Error)?
        do { try await download(into: pipe, report) } catch { failure = error }
        pipe.end(failure)
        let layer: IngestedLayer
        do { layer = try await unpacking } catch {
            if let failure, !(failure is BodyPipe.ReaderGone) { throw failure }
            throw Self.refusal(error, descriptor)
        }
        do {
            if let failure { throw failure }
            report(.verifying)
            try verify(layer)
            report(.downloaded)
            return layer
        } catch {
            try? await onThread { try Files.removeTree(layer.workDirectory) }
            throw error
        }
    }

    private func download(into pipe: BodyPipe, _ report: @escaping @Sendable (LayerStatus) -> Void) async throws {
        let size = descriptor.size
        let download = BlobDownload(repository: repository, descriptor: descriptor, limits: limits, parts: parts)
        try await download.run(onRetry: { report(.retrying(seconds: $0)) }) { piece, total in
            report(.downloading(total, of: size))
            try await pipe.send(piece)
        }
    }

    private func verify(_ layer: IngestedLayer) throws {
        guard layer.blob.digest == descriptor.digest else {
            throw ImageError(.invalid, "filesystem layer verification failed for digest \(descriptor.digest)")
        }
        guard layer.diffID == diffID else {
            throw ImageError(
                .invalid, "layer \(descriptor.digest) unpacks to \(layer.diffID), but the image's config says \(diffID)")
        }
    }

    private static func refusal(_ error: any Error, _ descriptor: Descriptor) -> any Error {
        switch error {
        case let error as ArchiveError:
            ImageError(error.code == .unsupported ? .notImplemented : .invalid, "failed to register layer \(descriptor.digest): \(error)")
        default: error
        }
    }
}
