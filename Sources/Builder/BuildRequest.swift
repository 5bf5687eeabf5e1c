internal import OCIImageSpec
public import RegistryClient

/// What `POST /build` asks for, without the context itself.
public struct BuildRequest: Sendable, Equatable {
    /// Path of the Dockerfile in the context; empty means `Dockerfile`.
    public var dockerfile = ""
    /// References to give the finished image, `name[:tag]`.
    public var tags: [String] = []
    /// Stage to build: a name or a number; empty for the last.
    public var target = ""
    /// `--build-arg`; a nil value means "declared without a value" and leaves the Dockerfile's default alone.
    public var buildArguments: [String: String?] = [:]
    /// Added to the finished image.
    public var labels: [String: String] = [:]
    public var noCache = false
    /// Always look for a newer base image.
    public var pull = false
    /// Who pulls base images, by registry as clients know them (`https://index.docker.io/v1/`, `localhost:5000`).
    public var credentials: [String: RegistryCredentials] = [:]
    /// Refused.
    public var squash = false
    /// `os/arch[/variant]`; empty for the daemon's own.
    public var platform = ""
    /// Images whose layers may serve as cache, beside the cache's own records.
    public var cacheFrom: [String] = []
    /// For RUN.
    public var networkMode = "default"
    public var extraHosts: [String] = []
    public var resources = BuildResources()

    public init() {}

    /// Those for an image's registry; clients also write URLs for its host.
    func credentials(for reference: ImageReference) -> RegistryCredentials {
        let name = reference.domain == "docker.io" ? "https://index.docker.io/v1/" : reference.domain
        if let own = credentials[name] { return own }
        let host = reference.domain == "docker.io" ? "index.docker.io" : reference.domain
        return credentials.sorted { $0.key < $1.key }.first { Self.host($0.key) == host }?.value ?? .anonymous
    }

    private static func host(_ address: String) -> Substring {
        let scheme = ["https://", "http://"].first(where: address.hasPrefix) ?? ""
        return address.dropFirst(scheme.count).prefix { $0 != "/" }
    }
}
