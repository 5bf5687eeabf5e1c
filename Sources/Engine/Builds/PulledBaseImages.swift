public import Builder
internal import Dispatch
internal import EngineTypes
public import Images
internal import JSON
public import OCIImageSpec
public import RegistryClient

/// Base images of builds, from registries: the builder's thread waits for the pull and hands its progress on.
public struct PulledBaseImages: BaseImages {
    private let service: ImageService

    public init(_ service: ImageService) { self.service = service }

    public func pull(
        _ reference: ImageReference, platform: Platform?, credentials: RegistryCredentials, cancellation: BuildCancellation,
        progress: (BuildProgress) -> Void
    ) throws -> Image {
        let mailbox = Mailbox()
        let task = Task { [service] in
            let result: Result<Image, any Error>
            do {
                result = .success(
                    try await service.pull(reference, platform: platform, credentials: credentials) { mailbox.put(.document($0)) })
            } catch { result = .failure(error) }
            mailbox.put(.end(result))
        }
        return try cancellation.onCancel({ task.cancel() }) {
            while true {
                switch mailbox.take() {
                case .document(let document): progress(.pull(document))
                case .end(.success(let image)): return image
                case .end(.failure(let error)):
                    try cancellation.check()
                    throw BuildError(EngineError.from(error))
                }
            }
        }
    }

    private enum Letter: Sendable {
        case document(JSONValue)
        case end(Result<Image, any Error>)
    }

    /// Letters from a task to a thread that may block.
    private final class Mailbox: Sendable {
        private let letters = Locked<[Letter]>([])
        private let count = DispatchSemaphore(value: 0)

        func put(_ letter: Letter) {
            letters.withLock { $0.append(letter) }
            count.signal()
        }

        func take() -> Letter {
            count.wait()
            return letters.withLock { $0.removeFirst() }
        }
    }
}

extension BuildError {
    fileprivate init(_ error: EngineError) {
        switch error.code {
        case .notFound: self.init(.notFound, error.message)
        case .invalidParameter: self.init(.invalid, error.message)
        case .notImplemented: self.init(.notImplemented, error.message)
        default: self.init(.failed, error.message)
        }
    }
}
