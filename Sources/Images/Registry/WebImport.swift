internal import NIOCore
public import OCIImageSpec
internal import RegistryClient

extension ImageTransfers {
    /// Makes an image of a root filesystem that a web server has as a tar archive, which is unpacked while it comes.
    ///
    /// - Parameter address: http or https; without a scheme http.
    /// Throws `RegistryError`, `ImageError` or `CancellationError`; nothing is left of what fails.
    public func importRootfs(
        at address: String, config: RunConfig, message: String, platform: Platform, reference: ImageReference?,
        report: @escaping TransferReport
    ) async throws -> Image {
        let download = try await access.download(address)
        report(.message(id: nil, "Downloading from \(download.address)"))
        let pipe = BodyPipe()
        async let importing = onThread { [store] in
            defer { pipe.closeReading() }
            return try store.importRootfs(
                pipe, config: config, message: message.isEmpty ? "Imported from \(address)" : message, platform: platform,
                reference: reference)
        }
        var failure: (any Error)?
        do {
            let meter = StepMeter { report(.importing($0, of: download.size)) }
            var count: Int64 = 0
            for try await piece in download.body {
                count += Int64(piece.readableBytes)
                meter.reached(count)
                try await pipe.send(piece)
            }
            try Task.checkCancellation()
            report(.importing(count, of: download.size))
        } catch { failure = error }
        pipe.end(failure)
        do { return try await importing } catch {
            if let failure, !(failure is BodyPipe.ReaderGone) { throw failure }
            throw error
        }
    }
}
