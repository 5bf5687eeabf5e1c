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
    /// Always look for a newer base image. Without a registry: refused only when the image isn't here either.
    public var pull = false
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
}
