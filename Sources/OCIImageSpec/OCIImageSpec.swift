// OCIImageSpec: the nouns of images, as the OCI image specification 1.1 and Docker's image format 1.2 have them.
//
// `Digest` names content, `ImageReference` names an image for people, `Platform` a kind of machine. `Descriptor`,
// `Manifest` and `Index` are the documents of a registry and of an OCI layout; `ImageConfig` is the document whose
// digest is an image's ID, with Docker's additions. Used by RegistryClient, Images, Builder, Engine and the registry.
// Nothing here touches files or the network.

/// The media types that this project reads or writes.
public enum MediaType {
    public static let ociIndex = "application/vnd.oci.image.index.v1+json"
    public static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
    public static let ociConfig = "application/vnd.oci.image.config.v1+json"
    public static let ociLayer = "application/vnd.oci.image.layer.v1.tar"
    public static let ociLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip"
    public static let ociLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd"
    public static let dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
    public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    public static let dockerConfig = "application/vnd.docker.container.image.v1+json"
    public static let dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"
    public static let dockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"

    /// Documents that list manifests.
    public static let indexes: Set<String> = [ociIndex, dockerManifestList]
    /// Documents that list an image's config and layers.
    public static let manifests: Set<String> = [ociManifest, dockerManifest]
    /// A layer's tar stream. docker's zstd form is containerd's invention, and in use.
    public static let layers: Set<String> = [
        ociLayer, ociLayerGzip, ociLayerZstd, dockerLayer, dockerLayerGzip, "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ]
}
