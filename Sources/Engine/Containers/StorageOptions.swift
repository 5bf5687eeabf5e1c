internal import EngineTypes
internal import Linux

/// `--storage-opt` of a container, in overlay2's words.
struct StorageOptions {
    /// Bytes that the container's writable layer may hold; nil: as many as there is room for.
    let size: UInt64?

    /// - Parameter standard: the size of containers that name none (`overlay2.size`).
    init(_ options: [String: String]?, standard: UInt64? = nil) throws(EngineError) {
        var size = standard
        for (key, value) in (options ?? [:]).sorted(by: { $0.key < $1.key }) {
            guard key.lowercased() == "size" else { throw EngineError(.system, "Unknown option \(key.lowercased())") }
            do { size = UInt64(try GoSize.bytes(value)) } catch { throw .invalid(error.description) }
        }
        self.size = size == 0 ? nil : size
    }

    /// Refuses what cannot be, before anything is made: that comes first, whatever else is wrong.
    static func check(_ options: [String: String]?, _ configuration: EngineConfiguration) throws(EngineError) {
        let asks = (options ?? [:]).keys.contains { $0.lowercased() == "size" } || configuration.defaultLayerSize != nil
        if asks { _ = try quotas(configuration) }
        _ = try StorageOptions(options)
    }

    /// Limits the empty writable layer of a container that is made now.
    func apply(to paths: EngineConfiguration.ContainerPaths, _ configuration: EngineConfiguration) throws {
        guard let size else { return }
        try Self.quotas(configuration).limit([paths.upper, paths.work], to: size)
    }

    private static func quotas(_ configuration: EngineConfiguration) throws(EngineError) -> ProjectQuotas {
        do throws(SystemError) {
            try Files.makeDirectories(configuration.containersDirectory)
            if let quotas = try ProjectQuotas(of: configuration.containersDirectory) { return quotas }
        } catch { throw EngineError(.system, "\(error)", cause: error) }
        throw EngineError(.system, "--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
    }
}

extension EngineConfiguration {
    /// Throws where the data root's filesystem cannot keep `defaultLayerSize`.
    public func checkDefaultLayerSize() throws {
        do { try StorageOptions.check(nil, self) } catch {
            throw EngineError(
                .system,
                "Storage option overlay2.size not supported. Filesystem does not support Project Quota: "
                    + "Filesystem does not support, or has not enabled quotas", cause: error)
        }
    }
}
