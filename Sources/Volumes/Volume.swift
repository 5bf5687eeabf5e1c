public import Linux

/// A volume as the API shows it.
public struct Volume: Sendable, Hashable {
    public let name: String
    /// Always `local`.
    public let driver: String
    /// The directory on the host.
    public let mountpoint: String
    public let createdAt: Timestamp
    public let labels: [String: String]
    /// The driver's options: `type`, `o`, `device`.
    public let options: [String: String]
    /// Made with a generated name for one container; `docker rm -v` and prune treat it so.
    public let isAnonymous: Bool
}

/// A volume came, or went.
public enum VolumeChange: Sendable {
    case created(Volume)
    case removed(name: String, driver: String)
}

/// What the store keeps of a volume.
struct VolumeRecord: Codable, Sendable {
    var driver: String
    /// RFC 3339.
    var createdAt: String
    var labels: [String: String]
    var options: [String: String]
    var isAnonymous: Bool
}
