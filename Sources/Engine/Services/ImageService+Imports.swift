internal import Builder
internal import EngineTypes
internal import Glibc
internal import Images
public import JSON
internal import OCIImageSpec
internal import RegistryClient

/// docker import.
extension ImageService {
    public func importRootfs(
        source: Int32, repository: String?, tag: String?, message: String?, changes: [String], platform: String?,
        emit: @escaping @Sendable (JSONValue) async throws -> Void
    ) async throws {
        defer { _ = close(source) }
        let order = try ImportOrder(repository, tag, changes, platform)
        let image = try await offloading { [images] in
            try images.importRootfs(
                from: source, config: order.config, message: message ?? "", platform: order.platform, reference: order.reference)
        }
        publishImport(of: image, order)
        try await emit(["status": .string(image.id.description)])
    }

    /// `docker import` of an address.
    public func importRootfs(
        url: String, repository: String?, tag: String?, message: String?, changes: [String], platform: String?,
        emit: @escaping @Sendable (JSONValue) async throws -> Void
    ) async throws {
        let order = try ImportOrder(repository, tag, changes, platform)
        try await stream(emit) { [self] report in
            let image = try await transfers.importRootfs(
                at: url, config: order.config, message: message ?? "", platform: order.platform, reference: order.reference, report: report)
            publishImport(of: image, order)
            report(.message(id: nil, image.id.description))
        } refusal: {
            Self.importRefusal($0)
        }
    }

    private func publishImport(of image: Image, _ order: ImportOrder) {
        if let reference = order.reference { events.publish("tag", of: image, name: reference.familiar) }
        events.publish("import", of: image)
    }

    /// What an import is to be.
    private struct ImportOrder: Sendable {
        let reference: ImageReference?
        let config: RunConfig
        let platform: Platform

        init(_ repository: String?, _ tag: String?, _ changes: [String], _ platform: String?) throws {
            reference = try repository.flatMap { $0.isEmpty ? nil : $0 }.map { try ImageService.reference($0, tag: tag) }
            config = try ImageChanges.apply(changes, to: RunConfig())
            self.platform = try ImageService.platform(platform) ?? .host
        }
    }

    /// Of another web server's refusals dockerd says the same.
    static func importRefusal(_ error: any Error) -> any Error {
        guard !(error is CancellationError) else { return error }
        guard let refused = error as? RegistryError else { return EngineError.from(error) }
        switch refused.code {
        case .invalid: return EngineError(.invalidParameter, refused.message, cause: refused)
        case .unauthorized: return EngineError(.unauthorized, refused.message, cause: refused)
        case .denied: return EngineError(.forbidden, refused.message, cause: refused)
        default: return EngineError.from(refused)
        }
    }
}
