internal import EngineTypes
internal import Images
internal import JSON
internal import OCIImageSpec

/// What the store keeps of an image's content.
struct ImageContent: Sendable {
    let manifest: OCIImageSpec.Descriptor
    /// Of manifest, config and packed layers.
    let bytes: Int64

    init(_ images: ImageStore, _ image: Image) throws { (manifest, bytes) = try images.content(of: image) }

    /// The one manifest that an image here has.
    func summary(_ image: Image, _ users: [ImageUser]) throws -> ImageManifestSummary {
        let platform = try JSON.value(image.config.platform)
        var descriptor = manifest
        descriptor.platform = image.config.platform
        return ImageManifestSummary(
            ID: manifest.digest.description, Descriptor: try JSON.value(descriptor),
            Size: .init(Total: bytes + image.size, Content: bytes),
            ImageData: .init(Platform: platform, Containers: users.map(\.containerID), Size: .init(Unpacked: image.size)))
    }
}

extension ImageConfig {
    /// Throws dockerd's `notFound` when the image is for another platform than the one that was asked for.
    func check(_ wanted: Platform, name: String) throws(EngineError) {
        if platform.satisfies(wanted) { return }
        throw .notFound("image with reference \(name) was found but does not provide the specified platform (\(wanted))")
    }
}
