public import EngineTypes
internal import Linux
public import Networking

/// What is written down about a container: enough to show it, start it and, after a crash of the daemon, find it again.
public struct ContainerRecord: Codable, Sendable {
    public let id: String
    /// Without the leading slash.
    public var name: String
    public let created: String
    /// Digest of the image configuration, `sha256:…`.
    public let imageID: String
    /// The reference the user gave.
    public let imageName: String
    /// The request merged with the image's configuration.
    public var config: ContainerConfig
    public var hostConfig: HostConfig
    /// Networks asked for, by name or id; the first is the one of NetworkMode.
    public var networks: [String: EndpointSettings]
    /// The program and its arguments.
    public var path: String
    public var arguments: [String]
    public var mounts: [ResolvedMount]
    public var outcome: Outcome
    public var restartCount = 0
    /// The user stopped it: `unless-stopped` and `always` leave it alone.
    public var wasStoppedByUser = false
    /// Set while the container runs: the endpoints and ports to give back when it ends.
    public var attachments: [NetworkAttachment] = []

    /// How the container stands, as far as it survives the daemon.
    public struct Outcome: Codable, Sendable, Equatable {
        public enum Phase: String, Codable, Sendable { case created, running, paused, restarting, exited, dead }
        public var phase: Phase = .created
        public var pid: Int32 = 0
        public var exitCode = 0
        public var error = ""
        public var wasOutOfMemory = false
        public var startedAt = Timestamp.never.description
        public var finishedAt = Timestamp.never.description
    }
}

/// One mount of a container with its source found: a volume, a path of the host or a tmpfs.
public struct ResolvedMount: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable { case bind, volume, tmpfs }
    public var kind: Kind
    /// Volume name; empty for the others.
    public var name = ""
    /// Path on the host; empty for a tmpfs.
    public var source = ""
    public var destination: String
    public var isReadOnly = false
    /// The mode text the user gave (`ro`, `z`…).
    public var mode = ""
    public var propagation = ""
    public var isRecursive = true
    /// tmpfs options or driver.
    public var options: [String] = []
    /// Image content is copied into an empty volume at first use.
    public var copiesImageContent = false
    /// The volume was made for this container alone and goes with `rm -v`.
    public var isAnonymous = false
    /// A missing host directory is created (`-v` does, `--mount` does not).
    public var createsSource = false
}

/// A container's place on one network while it runs.
public struct NetworkAttachment: Codable, Sendable {
    public var networkName: String
    public var endpoint: Endpoint
    /// As the API shows it.
    public var settings: EndpointSettings
    public var published: [PublishedPort]
}
