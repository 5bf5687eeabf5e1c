internal import JSON
internal import OCIImageSpec
internal import RegistryClient

/// An image as a registry describes it: the manifest that fits this machine, and its config. Nothing of it is trusted: every
/// document has the digest that was asked for, and its shape is checked before a layer is fetched.
struct RemoteImage: Sendable {
    /// What the tag or digest named: an index or the manifest itself.
    let topDigest: Digest
    let manifestBytes: [UInt8]
    let manifest: Manifest
    /// Whether an index was asked which image fits.
    let isChosen: Bool
}

/// Reads `RemoteImage`s.
struct RemoteImageReader: Sendable {
    let repository: any RegistryRepository
    /// As the user named it, for messages.
    let reference: ImageReference
    /// Nil for this machine.
    let platform: Platform?

    private static let manifestLimit = 4 << 20
    private static let configLimit: Int64 = 8 << 20
    /// overlayfs takes no more lower directories (OVL_MAX_STACK in Linux' fs/overlayfs).
    private static let layerLimit = 500

    func read(_ selector: ManifestSelector) async throws -> RemoteImage {
        let fetched = try await repository.manifest(selector)
        return try await read(fetched, top: fetched.digest, depth: 0)
    }

    private func read(_ fetched: FetchedManifest, top: Digest, depth: Int) async throws -> RemoteImage {
        let (kind, document) = try kind(of: fetched)
        if MediaType.indexes.contains(kind) {
            guard depth < 3 else { throw invalid("indexes nested too deep") }
            let index = try decode(Index.self, document)
            let wanted = platform ?? .host
            guard let entry = wanted.choose(from: index.manifests) else {
                throw ImageError(.notFound, "no matching manifest for \(wanted) in the manifest list entries")
            }
            let next = try await repository.manifest(.digest(entry.digest))
            guard next.digest == entry.digest, Int64(next.bytes.count) == entry.size else {
                throw invalid("manifest \(entry.digest) is not what its index says")
            }
            return try await read(next, top: top, depth: depth + 1)
        }
        let manifest = try decode(Manifest.self, document)
        try check(manifest)
        return RemoteImage(topDigest: top, manifestBytes: fetched.bytes, manifest: manifest, isChosen: depth > 0)
    }

    /// The manifest's config, verified.
    func config(of image: RemoteImage, limits: TransferLimits) async throws -> (bytes: [UInt8], config: ImageConfig) {
        let download = BlobDownload(repository: repository, descriptor: image.manifest.config, limits: limits)
        let bytes = try await download.collect(limit: Self.configLimit)
        let config = try ImageStore.parseConfig(bytes)
        guard config.rootfs.type == "layers", config.rootfs.diffIDs.count == image.manifest.layers.count else {
            throw invalid("config names \(config.rootfs.diffIDs.count) layers, manifest \(image.manifest.layers.count)")
        }
        guard config.os.isEmpty || config.os == "linux" else {
            throw ImageError(
                .invalid, "image operating system \"\(config.os)\" cannot be used on this platform: operating system is not supported")
        }
        return (bytes, config)
    }

    // MARK: Shapes

    /// What a document is, by the registry's word and its own, which must agree: one document must not be two things to two
    /// readers (OCI image spec, "mediaType").
    private func kind(of fetched: FetchedManifest) throws -> (String, JSONValue) {
        guard fetched.bytes.count <= Self.manifestLimit else { throw invalid("manifest of \(fetched.bytes.count) bytes is too large") }
        let document: JSONValue
        do { document = try JSONValue(parsing: fetched.bytes) } catch { throw invalid("manifest is no JSON: \(error)") }
        let said = String(fetched.mediaType.prefix { $0 != ";" })
        let own = document["mediaType"]?.stringValue ?? ""
        if said.contains("docker.distribution.manifest.v1") || document["schemaVersion"]?.intValue == 1 {
            throw ImageError(
                .invalid,
                "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the author of "
                    + "\(reference) to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More information at "
                    + "https://docs.docker.com/go/deprecated-image-specs/")
        }
        guard document["schemaVersion"]?.intValue == 2 else { throw invalid("manifest has no schemaVersion 2") }
        let known = MediaType.indexes.union(MediaType.manifests)
        if known.contains(said) && !own.isEmpty && own != said {
            throw invalid("mediaType in manifest should be '\(said)' not '\(own)'")
        }
        let isIndex = document["manifests"] != nil
        if isIndex && (document["layers"] != nil || document["config"] != nil) {
            throw invalid("manifest is an image and an index at once")
        }
        let kind = known.contains(said) ? said : own.isEmpty ? isIndex ? MediaType.ociIndex : MediaType.ociManifest : own
        guard known.contains(kind) else {
            throw ImageError(.invalid, "unsupported manifest media type and no default available: \(kind)")
        }
        guard MediaType.indexes.contains(kind) == isIndex else { throw invalid("manifest is no \(kind)") }
        return (kind, document)
    }

    private func decode<Document: Decodable>(_ type: Document.Type, _ document: JSONValue) throws -> Document {
        do { return try JSON.decode(type, from: document) } catch {
            throw invalid("\((error as? DecodingError)?.summary ?? "\(error)")")
        }
    }

    /// Registries have also given these, of images (docker/distribution issue 1621).
    private static let configs: Set<String> = [
        MediaType.ociConfig, MediaType.dockerConfig, "application/octet-stream", "application/json", "text/html", "",
    ]

    private func check(_ manifest: Manifest) throws {
        guard Self.configs.contains(manifest.config.mediaType) else {
            let kind = manifest.config.mediaType.hasPrefix("application/vnd.docker.plugin") ? "plugin" : "unknown"
            throw ImageError(
                .invalid,
                "Encountered remote \"\(manifest.config.mediaType)\"(\(kind)) when fetching: \(reference.familiar) is an artifact, no image"
            )
        }
        guard manifest.layers.count <= Self.layerLimit else { throw invalid("max depth exceeded: \(manifest.layers.count) layers") }
        for layer in manifest.layers {
            if layer.mediaType.contains("foreign") || layer.mediaType.contains("nondistributable") || !(layer.urls ?? []).isEmpty {
                throw ImageError(
                    .notImplemented,
                    "not implemented: foreign layers: \(layer.digest) (\(layer.mediaType)) may not be distributed by registries")
            }
            guard MediaType.layers.contains(layer.mediaType) else {
                throw ImageError(
                    .invalid, "unsupported media type \(layer.mediaType) of layer \(layer.digest): \(reference.familiar) is no image")
            }
            guard layer.digest.algorithm == .sha256 else {
                throw ImageError(.notImplemented, "not implemented: layers by \(layer.digest.algorithm.rawValue)")
            }
            guard layer.size >= 0 else { throw invalid("layer \(layer.digest) has size \(layer.size)") }
        }
    }

    private func invalid(_ reason: String) -> ImageError { ImageError(.invalid, "invalid manifest of \(reference.familiar): \(reason)") }
}
