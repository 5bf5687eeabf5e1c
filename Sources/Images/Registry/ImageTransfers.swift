public import OCIImageSpec
internal import RecordStore
public import RegistryClient
internal import Synchronization

/// Images from registries and to them. One for a daemon: what several pulls want is fetched once, and the limits hold for all.
///
/// Every call may be cancelled with its task. What fails or is cancelled leaves the store as it was, but for layers that another
/// pull still wants.
public final class ImageTransfers: Sendable {
    let store: ImageStore
    let access: any RegistryAccess
    let history: TransferHistory
    let running = LayerTransfers()
    let downloadPlaces: Places
    /// Places that no layer wants are lent to parts of large ones.
    let parts: BlobParts
    let uploadPlaces: Places
    /// Packing uses all processors by itself.
    let packingPlaces = Places(1)
    private let currentLimits: Mutex<TransferLimits>

    /// Throws when the records of earlier transfers can't be opened.
    public convenience init(store: ImageStore, access: any RegistryAccess, limits: TransferLimits = TransferLimits()) throws {
        try self.init(store: store, access: access, limits: limits, parts: BlobParts.Sizes())
    }

    init(store: ImageStore, access: any RegistryAccess, limits: TransferLimits, parts sizes: BlobParts.Sizes) throws {
        self.store = store
        self.access = access
        history = try TransferHistory(store.records)
        downloadPlaces = Places(limits.downloads)
        parts = BlobParts(sizes, connections: downloadPlaces)
        uploadPlaces = Places(limits.uploads)
        currentLimits = Mutex(limits)
    }

    /// The limits; new ones hold for what begins or waits.
    public var limits: TransferLimits {
        get { currentLimits.withLock { $0 } }
        set {
            currentLimits.withLock { $0 = newValue }
            downloadPlaces.setLimit(newValue.downloads)
            uploadPlaces.setLimit(newValue.uploads)
        }
    }

    /// Pulls one image by tag or digest (`latest` when the name has neither).
    ///
    /// `platform` is what to choose from an index; nil for this machine. Throws `RegistryError`, `ImageError` or
    /// `CancellationError`; what is wrong with the name or the registry before anything was reported.
    public func pull(
        _ reference: ImageReference, platform: Platform?, credentials: RegistryCredentials, report: @escaping TransferReport
    ) async throws -> PulledImage {
        let reference = reference.withDefaultTag
        let repository = try access.repository(reference, credentials: credentials)
        let pulled = try await ImagePull(transfers: self, repository: repository, reference: reference, platform: platform, report: report)
            .run()
        try await onThread { [store] in store.applyPolicy(to: pulled.image) }
        let state = pulled.isNew ? "Downloaded newer image" : "Image is up to date"
        report(.message(id: nil, "Status: \(state) for \(reference.familiar)"))
        return pulled
    }

    /// Pulls all tags of a repository, one after the other.
    public func pullAllTags(
        of name: ImageReference, platform: Platform?, credentials: RegistryCredentials, report: @escaping TransferReport
    ) async throws -> [PulledImage] {
        let repository = try access.repository(name, credentials: credentials)
        var pulled: [PulledImage] = []
        for tag in try await repository.tags() where ImageReference.isValidTag(tag) {
            let one = try await ImagePull(
                transfers: self, repository: repository, reference: name.with(tag: tag), platform: platform, report: report
            ).run()
            try await onThread { [store] in store.applyPolicy(to: one.image) }
            pulled.append(one)
        }
        let state = pulled.contains(where: \.isNew) ? "Downloaded newer image" : "Image is up to date"
        report(.message(id: nil, "Status: \(state) for \(name.familiarName)"))
        return pulled
    }
}

/// What a pull brought.
public struct PulledImage: Sendable, Hashable {
    public let image: Image
    /// By tag or digest, as it was asked for.
    public let reference: ImageReference
    /// Whether the name means another image now than before the pull.
    public let isNew: Bool
}
