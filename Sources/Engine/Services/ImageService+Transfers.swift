internal import EngineTypes
internal import Images
public import JSON
public import OCIImageSpec
public import RegistryClient

/// docker pull and docker push.
extension ImageService {
    /// `POST /images/create?fromImage=`.
    /// - Parameters:
    ///   - name: of the repository, with or without a tag or digest.
    ///   - tag: a tag or a digest, which goes before the name's own; without any, all tags are pulled.
    public func pull(
        name: String, tag: String?, platform: String?, credentials: RegistryCredentials,
        emit: @escaping @Sendable (JSONValue) async throws -> Void
    ) async throws {
        let reference = try Self.remoteReference(name, tag)
        let wanted = try Self.platform(platform)
        try await stream(emit) { [self] report in
            let pulled: [PulledImage]
            if reference.tag == nil && reference.digest == nil {
                pulled = try await transfers.pullAllTags(of: reference, platform: wanted, credentials: credentials, report: report)
                // As dockerd: one event for all, without the labels of any.
                events.publish("image", "pull", id: reference.familiar, attributes: ["name": reference.familiarName])
            } else {
                pulled = [try await transfers.pull(reference, platform: wanted, credentials: credentials, report: report)]
                for one in pulled { publishPull(of: one) }
            }
            for one in pulled { warn(one, wanted, report) }
        } refusal: {
            Self.pullRefusal($0, reference)
        }
    }

    /// Pulls one image for a build; `emit` is called on any thread.
    func pull(
        _ reference: ImageReference, platform: Platform?, credentials: RegistryCredentials, emit: @escaping @Sendable (JSONValue) -> Void
    ) async throws -> Image {
        do {
            let pulled = try await transfers.pull(reference, platform: platform, credentials: credentials) { progress in
                for document in TransferDocuments.documents(progress) { emit(document) }
            }
            publishPull(of: pulled)
            return pulled.image
        } catch { throw Self.pullRefusal(error, reference) }
    }

    /// `POST /images/{name}/push`. Without a tag all tags of the repository are pushed.
    /// - Parameter platform: each image must be for it, before the first is pushed.
    public func push(
        name: String, tag: String?, platform: Platform?, credentials: RegistryCredentials,
        emit: @escaping @Sendable (JSONValue) async throws -> Void
    ) async throws {
        let reference = try Self.remoteReference(name, tag)
        // A digest the push itself refuses.
        if let platform, reference.digest == nil {
            let pushed = try await offloading { [transfers] in try transfers.pushed(reference) }
            for one in pushed { try one.image.config.check(platform, name: one.reference.familiar) }
        }
        try await stream(emit) { [self] report in
            try await transfers.push(reference, credentials: credentials, report: report)
            events.publish(
                "image", "push", id: reference.familiar,
                attributes: ((try? images.image(reference.familiar))?.config.config?.labels ?? [:]).merging(
                    ["name": reference.familiarName]) { $1 })
        } refusal: {
            Self.pushRefusal($0)
        }
    }

    /// Docker's event names the image as it was asked for.
    private func publishPull(of pulled: PulledImage) {
        events.publish(
            "image", "pull", id: pulled.reference.familiar,
            attributes: (pulled.image.config.config?.labels ?? [:]).merging(["name": pulled.reference.familiarName]) { $1 })
    }

    /// A registry that has one image only gives that, whatever was asked for.
    private func warn(_ pulled: PulledImage, _ wanted: Platform?, _ report: TransferReport) {
        guard let wanted, !pulled.image.config.platform.satisfies(wanted) else { return }
        report(
            .message(
                id: nil,
                "WARNING: image with reference \(pulled.reference.familiar) was found but does not match the specified platform: wanted "
                    + "\(wanted), actual: \(pulled.image.config.platform)"))
    }

    // MARK: Streams

    /// Runs a transfer and hands its progress to the client; a client that goes ends it.
    func stream(
        _ emit: @escaping @Sendable (JSONValue) async throws -> Void,
        _ work: @escaping @Sendable (@escaping TransferReport) async throws -> Void,
        refusal: (any Error) -> any Error
    ) async throws {
        let outbox = TransferOutbox()
        let transfer = Task {
            defer { outbox.end() }
            try await work { outbox.put($0) }
        }
        try await withTaskCancellationHandler {
            do {
                while let events = await outbox.take() {
                    for event in events { for document in TransferDocuments.documents(event) { try await emit(document) } }
                }
            } catch {
                transfer.cancel()
                _ = try? await transfer.value
                throw error
            }
            do { try await transfer.value } catch { throw refusal(error) }
        } onCancel: {
            transfer.cancel()
        }
    }

    // MARK: Names

    static func remoteReference(_ name: String, _ tag: String?) throws(EngineError) -> ImageReference {
        let reference: ImageReference
        // `docker pull -a` of old clients leaves a colon behind the name.
        do throws(ReferenceError) { reference = try ImageReference(name.hasSuffix(":") ? String(name.dropLast()) : name) } catch {
            throw .invalid(error.description, cause: error)
        }
        if reference.name == "docker.io/library/scratch" { throw .invalid("'scratch' is a reserved name") }
        guard let tag, !tag.isEmpty else { return reference }
        if let digest = try? Digest(tag) { return reference.with(digest: digest) }
        guard ImageReference.isValidTag(tag) else { throw .invalid("invalid tag format") }
        return reference.with(tag: tag)
    }

    static func platform(_ text: String?) throws(EngineError) -> Platform? {
        guard let text, !text.isEmpty else { return nil }
        do throws(PlatformError) { return try Platform(parsing: text) } catch { throw .invalid(error.description) }
    }

    // MARK: Refusals

    static func pullRefusal(_ error: any Error, _ reference: ImageReference) -> any Error {
        error is CancellationError ? error : EngineError.from(error)
    }

    static func pushRefusal(_ error: any Error) -> any Error { error is CancellationError ? error : EngineError.from(error) }
}
