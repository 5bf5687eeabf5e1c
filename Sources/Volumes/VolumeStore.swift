public import Linux
public import Logging
public import RecordStore

/// A volume as the API shows it.
public struct Volume: Sendable, Hashable {
    public let name: String
    /// Always `local`.
    public let driver: String
    /// The directory on the host.
    public let mountpoint: String
    public let createdAt: Timestamp
    public let labels: [String: String]
    public let options: [String: String]
    /// Made with a generated name for one container; `docker rm -v` and prune treat it so.
    public let isAnonymous: Bool
}

/// Why the store refused, in Docker's words.
public struct VolumeError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable {
        /// 404
        case notFound
        /// 400
        case invalid
        /// 409
        case conflict
        /// 501
        case notImplemented
        /// 500
        case failed
    }

    public let code: Code
    public let message: String
    public var description: String { message }
}

/// All volumes of one daemon. Thread-safe; every call blocks until its work is done.
public final class VolumeStore: Sendable {
    /// `root` is the daemon's root; volumes live in `<root>/volumes`.
    public init(root: String, records: RecordStore, logger: Logger) throws {}

    /// Makes a volume, or answers the one of that name when it exists with the same driver and options.
    /// An empty name gets 64 random hexadecimal digits and makes it anonymous.
    public func create(name: String = "", driver: String = "local", options: [String: String] = [:], labels: [String: String] = [:]) throws -> Volume {
        throw VolumeError(code: .notImplemented, message: "not implemented: volume create")
    }

    /// All volumes, sorted by name.
    public func list() -> [Volume] { [] }

    /// Throws `get x: no such volume`.
    public func volume(_ name: String) throws -> Volume { throw VolumeError(code: .notImplemented, message: "not implemented: volume") }

    /// Deletes a volume and its content. `users` gives the IDs of the containers that mention it. With `force` a missing
    /// volume is no error; one in use always is.
    public func remove(_ name: String, force: Bool = false, users: (String) -> [String] = { _ in [] }) throws {
        throw VolumeError(code: .notImplemented, message: "not implemented: volume remove")
    }

    /// Deletes what nobody uses: anonymous volumes, with `all` named ones too. Returns names and bytes freed.
    public func prune(all: Bool = false, users: (String) -> [String], matching matches: (Volume) -> Bool = { _ in true }) throws
        -> (deleted: [String], reclaimed: Int64)
    { throw VolumeError(code: .notImplemented, message: "not implemented: volume prune") }

    /// Makes the volume's content ready for a container (mounts what its options name) and returns the directory to bind.
    /// Each call needs its `release` with the same user.
    public func acquire(_ name: String, user: String) throws -> String {
        throw VolumeError(code: .notImplemented, message: "not implemented: volume mount")
    }

    /// The container doesn't need the volume any more: the last release unmounts what `acquire` mounted.
    public func release(_ name: String, user: String) throws {}

    /// Bytes of the volume's files.
    public func size(of name: String) throws -> Int64 { throw VolumeError(code: .notImplemented, message: "not implemented: volume size") }
}
