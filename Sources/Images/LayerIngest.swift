internal import Archive
internal import CLinux
internal import Glibc
internal import Linux
internal import OCIImageSpec

/// A layer that was unpacked into a working directory and is not in the store yet.
struct IngestedLayer: Sendable {
    /// Holds `diff` and `blob`; removed or moved by whoever has this value.
    let workDirectory: String
    let diffID: Digest
    let fileBytes: Int64
    let tarSize: Int64
    /// The stream as it came.
    let blob: Descriptor
}

/// Takes a layer's tar stream in one pass: this thread reads, hashes, keeps and inflates it, another unpacks it.
enum LayerIngest {
    /// Reads `source` to its end. Nothing is left in `workDirectory`'s place when it throws.
    static func run(_ source: any ByteSource, workDirectory: String, limits: UnpackLimits = .standard) throws -> IngestedLayer {
        do {
            try Files.makeDirectories("\(workDirectory)/diff")
            return try ingest(source, workDirectory, limits)
        } catch {
            try? Files.removeTree(workDirectory)
            throw error
        }
    }

    private static func ingest(_ source: any ByteSource, _ workDirectory: String, _ limits: UnpackLimits) throws -> IngestedLayer {
        let blobFile = try OwnedFD.open("\(workDirectory)/blob", O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        let blobSink = FileSink(blobFile.raw, writesBackEarly: true)
        let packed = try HashingSource(source, copy: blobSink)
        let plain = try DecompressingSource(packed, limits: limits)
        // Of a plain stream one hash says both.
        let plainHash = plain.compression == .none ? nil : try ContentHash()
        let pipe = RingPipe()
        let worker = try Worker { try unpack(pipe, "\(workDirectory)/diff", limits) }
        var failure: (any Error)?
        do { try pump(plain, plainHash, into: pipe) } catch { failure = error }
        pipe.end(failure)
        let summary: TreeExtractor.Summary
        do { summary = try worker.join() } catch { throw failure ?? error }
        if let failure { throw failure }
        try plain.drain()
        try blobSink.finish()
        let size = packed.hash.count
        let digest = packed.hash.finish()
        let tarSize = plainHash?.count ?? size
        return IngestedLayer(
            workDirectory: workDirectory, diffID: plainHash?.finish() ?? digest, fileBytes: summary.fileBytes, tarSize: tarSize,
            blob: Descriptor(mediaType: plain.compression.layerMediaType, digest: digest, size: size))
    }

    private static func pump(_ source: DecompressingSource, _ hash: ContentHash?, into pipe: RingPipe) throws {
        var isAtEnd = false
        while !isAtEnd {
            let goesOn = try pipe.write { space in
                let count = try source.read(into: space)
                hash?.update(UnsafeRawBufferPointer(rebasing: space[..<count]))
                isAtEnd = count == 0
                return count
            }
            // The unpacking thread gave up; joining it tells why.
            if !goesOn { return }
        }
    }

    private static func unpack(_ pipe: RingPipe, _ directory: String, _ limits: UnpackLimits) throws -> TreeExtractor.Summary {
        defer { pipe.closeReading() }
        let root = try OwnedFD.open(directory, O_RDONLY | O_DIRECTORY)
        let reader = TarReader(pipe, limits: limits.archive)
        let extractor = try TreeExtractor(root: root, options: .init(mode: .layer))
        let summary = try extractor.extract(reader)
        try reader.drain()
        return summary
    }
}

extension Compression {
    var layerMediaType: String {
        switch self {
        case .none: MediaType.ociLayer
        case .gzip: MediaType.ociLayerGzip
        case .zstd: MediaType.ociLayerZstd
        }
    }
}
