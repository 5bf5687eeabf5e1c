// Builder: executes a Dockerfile and makes an image.
//
// `ImageBuilder.build` takes a `BuildRequest` and a context (a tar stream, by descriptor), streams `BuildProgress` and returns the
// image. Inside: `BuildContext` is the unpacked context; `StageGraph` says which stages are needed; `StageBuilder` executes one
// stage, instruction by instruction, over a `StageState` (image configuration, layers, arguments); file steps (`FileTransfer`) work in
// a detached overlay, RUN goes through `BuildExecutor`, which the engine implements; `BuildCache` remembers what
// each instruction made on which parent, so that it need not be done again.
// Synchronous, blocking and thread-safe. Used by Engine.
public import Images
internal import Linux
public import Logging
public import RecordStore

/// Builds images. One for a daemon; several builds may run in it at once.
public final class ImageBuilder: Sendable {
    let images: ImageStore
    let executor: any BuildExecutor
    let bases: (any BaseImages)?
    let cache: BuildCache
    let mounts: CacheMounts
    let scratchDirectory: String
    let logger: Logger

    /// `scratchDirectory` is the builder's own: contexts and cache mounts live there. What an earlier process left in it is removed,
    /// except cache mounts. Throws when the directory or the cache's table can't be made. Without `bases` only images that are
    /// here can be built on.
    public init(
        images: ImageStore, records: RecordStore, executor: any BuildExecutor, bases: (any BaseImages)? = nil, scratchDirectory: String,
        logger: Logger
    ) throws {
        self.images = images
        self.executor = executor
        self.bases = bases
        self.scratchDirectory = scratchDirectory
        self.logger = logger
        cache = try BuildCache(records: records, images: images)
        try Files.makeDirectories(scratchDirectory, mode: 0o700)
        mounts = try CacheMounts(root: scratchDirectory + "/cache", records: records)
        for name in try Files.list(scratchDirectory) where name.hasPrefix("build-") {
            logger.info("removing what an interrupted build left", metadata: ["directory": "\(name)"])
            try Files.removeTree(scratchDirectory + "/" + name)
        }
    }

    /// Builds one image and gives it its tags.
    ///
    /// `context` is a tar stream, plain or compressed, read to its end. `progress` is called on the calling thread. Throws `BuildError`;
    /// what went wrong before the first `progress` is the request's fault and may be answered with a status, everything
    /// after it belongs into the stream (`BuildProgress(error:)`). Nothing of a failed build remains but its cached steps.
    public func build(
        _ request: BuildRequest, context: Int32, cancellation: BuildCancellation = BuildCancellation(), progress: (BuildProgress) -> Void
    ) throws -> Image {
        do {
            return try withoutActuallyEscaping(progress) { report in
                let session = try BuildSession(
                    builder: self, request: request, archive: context, cancellation: cancellation, report: report)
                return try session.run()
            }
        } catch let error as BuildError {
            throw error
        } catch let error as ImageError {
            throw BuildError(error.code == .notFound ? .notFound : .failed, error.message)
        } catch {
            throw BuildError(.failed, "\(error)")
        }
    }
}
