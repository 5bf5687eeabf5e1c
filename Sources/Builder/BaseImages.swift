public import Images
public import OCIImageSpec
public import RegistryClient

/// Where images come from that a build needs and the store does not have; the engine's pull.
public protocol BaseImages: Sendable {
    /// Pulls an image into the store; blocks until it is there. `progress` is called on the calling thread. Ends with an error
    /// soon after `cancellation` fires.
    func pull(
        _ reference: ImageReference, platform: Platform?, credentials: RegistryCredentials, cancellation: BuildCancellation,
        progress: (BuildProgress) -> Void
    ) throws -> Image
}
