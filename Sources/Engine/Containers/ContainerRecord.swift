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
    /// Networks asked for, by name or id.
    public var networks: [String: EndpointSettings]
    /// The program and its arguments.
    public var path: String
    public var arguments: [String]
    public var mounts: [ResolvedMount]
    /// Containers that it knows under names of its own, on the default network.
    public var links: [ContainerLink] = []
    public var outcome: Outcome
    public var restartCount = 0
    /// What the health checks found; while it runs its `HealthJournal` is newer.
    public var health: HealthState?
    /// The user stopped it: `unless-stopped` and `always` leave it alone.
    public var wasStoppedByUser = false
    /// Set while the container runs: the endpoints and ports to give back when it ends.
    public var attachments: [NetworkAttachment] = []
    /// A change of the networks of a container that runs was begun, and its end is not written down: routes, ports and files may
    /// be those of before, of after, or neither.
    public var isRewiring = false

    /// How the container stands, as far as it survives the daemon.
    public struct Outcome: Codable, Sendable, Equatable {
        public enum Phase: String, Codable, Sendable { case created, running, paused, restarting, exited, dead }
        public var phase: Phase = .created
        public var pid: Int32 = 0
        public var exitCode = 0
        public var error = ""
        /// Why it stopped, in one sentence, when it did not just exit (`EndReason`).
        public var reason = ""
        public var wasOutOfMemory = false
        /// The pause is a commit's and ends with it, also when the daemon does.
        public var isPausedByCommit = false
        public var startedAt = Timestamp.never.description
        public var finishedAt = Timestamp.never.description
    }
}

/// One mount of a container with its source found: a volume, a path of the host, an image or a tmpfs.
public struct ResolvedMount: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable { case bind, volume, tmpfs, image }
    public var kind: Kind
    /// Volume name, or the image as the user named it; empty for the others.
    public var name = ""
    /// Path on the host; the digest of an image's configuration; empty for a tmpfs.
    public var source = ""
    /// What of the volume or image is mounted; empty for all.
    public var subpath = ""
    public var destination: String
    public var isReadOnly = false
    /// The mode text the user gave (`ro`, `z`…).
    public var mode = ""
    public var propagation = ""
    public var isRecursive = true
    /// Read-only down to the mounts below it.
    public var isRecursivelyReadOnly = false
    /// tmpfs options or driver.
    public var options: [String] = []
    /// Image content is copied into an empty volume at first use.
    public var copiesImageContent = false
    /// The volume was made for this container alone and goes with `rm -v`.
    public var isAnonymous = false
    /// A missing host directory is created (`-v` does, `--mount` does not).
    public var createsSource = false
    /// Its files have the containers' ids, as layers have: they are mapped where the container's are.
    public var mapsOwners = false
}

extension ResolvedMount {
    /// Whether no path of the host has what is mounted: the shim puts it together.
    var isMadeByShim: Bool { kind == .image || !subpath.isEmpty }
}

/// A link on the default network: another container under a name of this one's own (`--link container:alias`).
public struct ContainerLink: Codable, Sendable, Equatable {
    public var containerID: String
    public var alias: String
}

extension ContainerRecord {
    /// It has no place on any network any more. Which networks they were stays to be read, as in Docker.
    mutating func leaveNetworks() {
        for attachment in attachments { networks[attachment.networkName]?.NetworkID = attachment.endpoint.networkID }
        attachments = []
    }
}

/// A container's place on one network while it runs.
public struct NetworkAttachment: Codable, Sendable {
    public var networkName: String
    public var endpoint: Endpoint
    /// As the API shows it.
    public var settings: EndpointSettings
    public var published: [PublishedPort]
}

extension [NetworkAttachment] {
    /// In Docker's order of who gives a container its default routes, and with them its published ports: by priority, by having
    /// gateways of both families, by name.
    var byPreference: [NetworkAttachment] {
        func rank(_ attachment: NetworkAttachment) -> (Int, Int, String) {
            let endpoint = attachment.endpoint
            let isDual = endpoint.ipv4Gateway != nil && endpoint.ipv6Gateway != nil
            return (-(attachment.settings.GwPriority ?? 0), isDual ? 0 : 1, attachment.networkName)
        }
        return sorted { rank($0) < rank($1) }
    }

    /// The place at which the container's ports are published: none on an internal network, which has no way in.
    var publishing: NetworkAttachment? {
        byPreference.first { $0.endpoint.ipv4Gateway != nil || $0.endpoint.ipv6Gateway != nil }
    }
}

// What an older daemon wrote lacks the fields that came later: whatever has a default may be missing.

extension ContainerRecord {
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        id = try fields.decode(String.self, forKey: .id)
        name = try fields.decode(String.self, forKey: .name)
        created = try fields.decode(String.self, forKey: .created)
        imageID = try fields.decode(String.self, forKey: .imageID)
        imageName = try fields.decode(String.self, forKey: .imageName)
        config = try fields.decode(ContainerConfig.self, forKey: .config)
        hostConfig = try fields.decode(HostConfig.self, forKey: .hostConfig)
        networks = try fields.decodeIfPresent([String: EndpointSettings].self, forKey: .networks) ?? [:]
        path = try fields.decode(String.self, forKey: .path)
        arguments = try fields.decode([String].self, forKey: .arguments)
        mounts = try fields.decodeIfPresent([ResolvedMount].self, forKey: .mounts) ?? []
        links = try fields.decodeIfPresent([ContainerLink].self, forKey: .links) ?? []
        outcome = try fields.decodeIfPresent(Outcome.self, forKey: .outcome) ?? Outcome()
        restartCount = try fields.decodeIfPresent(Int.self, forKey: .restartCount) ?? 0
        health = try fields.decodeIfPresent(HealthState.self, forKey: .health)
        wasStoppedByUser = try fields.decodeIfPresent(Bool.self, forKey: .wasStoppedByUser) ?? false
        attachments = try fields.decodeIfPresent([NetworkAttachment].self, forKey: .attachments) ?? []
        isRewiring = try fields.decodeIfPresent(Bool.self, forKey: .isRewiring) ?? false
    }
}

extension ContainerRecord.Outcome {
    public init(from decoder: any Decoder) throws {
        self.init()
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        phase = try fields.decodeIfPresent(Phase.self, forKey: .phase) ?? phase
        pid = try fields.decodeIfPresent(Int32.self, forKey: .pid) ?? pid
        exitCode = try fields.decodeIfPresent(Int.self, forKey: .exitCode) ?? exitCode
        error = try fields.decodeIfPresent(String.self, forKey: .error) ?? error
        reason = try fields.decodeIfPresent(String.self, forKey: .reason) ?? reason
        wasOutOfMemory = try fields.decodeIfPresent(Bool.self, forKey: .wasOutOfMemory) ?? wasOutOfMemory
        isPausedByCommit = try fields.decodeIfPresent(Bool.self, forKey: .isPausedByCommit) ?? isPausedByCommit
        startedAt = try fields.decodeIfPresent(String.self, forKey: .startedAt) ?? startedAt
        finishedAt = try fields.decodeIfPresent(String.self, forKey: .finishedAt) ?? finishedAt
    }
}

extension ResolvedMount {
    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        self.init(kind: try fields.decode(Kind.self, forKey: .kind), destination: try fields.decode(String.self, forKey: .destination))
        name = try fields.decodeIfPresent(String.self, forKey: .name) ?? name
        source = try fields.decodeIfPresent(String.self, forKey: .source) ?? source
        isReadOnly = try fields.decodeIfPresent(Bool.self, forKey: .isReadOnly) ?? isReadOnly
        subpath = try fields.decodeIfPresent(String.self, forKey: .subpath) ?? subpath
        isRecursivelyReadOnly = try fields.decodeIfPresent(Bool.self, forKey: .isRecursivelyReadOnly) ?? isRecursivelyReadOnly
        mode = try fields.decodeIfPresent(String.self, forKey: .mode) ?? mode
        propagation = try fields.decodeIfPresent(String.self, forKey: .propagation) ?? propagation
        isRecursive = try fields.decodeIfPresent(Bool.self, forKey: .isRecursive) ?? isRecursive
        options = try fields.decodeIfPresent([String].self, forKey: .options) ?? options
        copiesImageContent = try fields.decodeIfPresent(Bool.self, forKey: .copiesImageContent) ?? copiesImageContent
        isAnonymous = try fields.decodeIfPresent(Bool.self, forKey: .isAnonymous) ?? isAnonymous
        mapsOwners = try fields.decodeIfPresent(Bool.self, forKey: .mapsOwners) ?? mapsOwners
        createsSource = try fields.decodeIfPresent(Bool.self, forKey: .createsSource) ?? createsSource
    }
}
