internal import CLinux
internal import Glibc
internal import Linux
public import Logging
public import RecordStore
internal import Synchronization

/// All volumes of one daemon. Thread-safe; every call blocks until its work is done.
public final class VolumeStore: Sendable {
    private struct State: Sendable {
        var volumes: [String: VolumeRecord] = [:]
        /// Users of volumes that are mounted on use.
        var users: [String: Set<String>] = [:]
    }

    private let root: String
    private let owner: (uid: UInt32, gid: UInt32)?
    private let table: RecordTable<VolumeRecord>
    private let logger: Logger
    private let onChange: @Sendable (VolumeChange) -> Void
    private let state = Mutex(State())

    /// `root` is the daemon's root; volumes live in `<root>/volumes`. A directory without a record becomes a volume
    /// again: what is in it is somebody's data. `onChange` is told of every volume made and deleted from then on, whoever asked.
    /// `owner` gets the directories of volumes that are made; nil: root.
    public init(
        root: String, records: RecordStore, owner: (uid: UInt32, gid: UInt32)? = nil, logger: Logger,
        onChange: @escaping @Sendable (VolumeChange) -> Void = { _ in }
    ) throws {
        self.owner = owner
        self.root = "\(root)/volumes"
        self.logger = logger
        self.onChange = onChange
        table = try records.table("volumes_volume")
        try Files.makeDirectories(self.root, mode: 0o711)
        var volumes: [String: VolumeRecord] = [:]
        let (found, damaged) = try table.readable()
        for error in damaged { logger.error("volume's record can't be read", metadata: ["error": "\(error)"]) }
        for (name, record) in found { volumes[name] = record }
        for name in try Files.list(self.root) where volumes[name] == nil {
            if name.hasPrefix(Self.removedPrefix) {
                try removeTree("\(self.root)/\(name)")
                continue
            }
            guard Self.isName(name), Files.isDirectory("\(self.root)/\(name)/_data") else { continue }
            let record = VolumeRecord(
                driver: "local", createdAt: Timestamp.now().description, labels: [:], options: [:],
                isAnonymous: name.utf8.count == 64 && name.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) })
            logger.warning("volume without a record found", metadata: ["volume": "\(name)"])
            if damaged.isEmpty { try table.put(name, record) }
            volumes[name] = record
        }
        let all = volumes
        state.withLock { $0.volumes = all }
    }

    private static let removedPrefix = ".removed-"

    private func directory(_ name: String) -> String { "\(root)/\(name)" }
    private func mountpoint(_ name: String) -> String { "\(root)/\(name)/_data" }

    /// `[a-zA-Z0-9][a-zA-Z0-9_.-]+`
    private static func isName(_ name: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool { (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) }
        let bytes = Array(name.utf8)
        guard bytes.count > 1, bytes.count <= 255, let first = bytes.first, isAlphanumeric(first) else { return false }
        return bytes.allSatisfy { isAlphanumeric($0) || "_.-".utf8.contains($0) }
    }

    private func makeVolume(_ name: String, _ record: VolumeRecord) -> Volume {
        Volume(
            name: name, driver: record.driver, mountpoint: mountpoint(name), createdAt: Timestamp(record.createdAt) ?? .never,
            labels: record.labels, options: record.options, isAnonymous: record.isAnonymous)
    }

    // MARK: Making and finding

    /// Makes a volume, or answers the one of that name when it exists with the same driver and options (labels of the
    /// first one stay). An empty name gets 64 random hexadecimal digits and makes it anonymous.
    public func create(name: String = "", driver: String = "local", options: [String: String] = [:], labels: [String: String] = [:]) throws
        -> Volume
    {
        let driver = driver.isEmpty || driver == "default" ? "local" : driver
        guard driver == "local" else {
            throw VolumeError(code: .notFound, message: "error looking up volume plugin \(driver): plugin \"\(driver)\" not found")
        }
        if name.utf8.count == 1 {
            throw VolumeError(code: .invalid, message: "volume name is too short, names should be at least two alphanumeric characters")
        }
        guard name.isEmpty || Self.isName(name) else {
            throw VolumeError(
                code: .invalid,
                message: "\"\(name)\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. "
                    + "If you intended to pass a host directory, use absolute path")
        }
        try MountOptions.check(options)
        let isMounted = try MountOptions(options) != nil
        let size = try Self.size(options)
        if size != nil && isMounted {
            throw VolumeError(code: .invalid, message: "size limits the driver's own directories, not what is mounted")
        }
        let (volume, isNew) = try state.withLock { state in
            if let existing = state.volumes[name] {
                guard existing.options == options || options.isEmpty else {
                    throw VolumeError(code: .conflict, message: "a volume named \"\(name)\" already exists with different options")
                }
                return (makeVolume(name, existing), false)
            }
            let record = VolumeRecord(
                driver: driver, createdAt: Timestamp.now().description, labels: labels, options: options, isAnonymous: name.isEmpty)
            return (try add(name.isEmpty ? Self.randomName() : name, record, size, &state), true)
        }
        if isNew { onChange(.created(volume)) }
        return volume
    }

    /// Bytes that a volume may hold; nil: as many as there is room for.
    private static func size(_ options: [String: String]) throws(VolumeError) -> UInt64? {
        guard let text = options["size"] else { return nil }
        do {
            let size = try GoSize.bytes(text)
            return size == 0 ? nil : UInt64(size)
        } catch { throw VolumeError(code: .invalid, message: error.description) }
    }

    private func limit(_ name: String, to size: UInt64) throws {
        guard let quotas = try ProjectQuotas(of: root) else {
            throw VolumeError(code: .invalid, message: "quota size requested but no quota support")
        }
        try quotas.limit([mountpoint(name)], to: size)
    }

    private func removeTree(_ path: String) throws(SystemError) {
        try ProjectQuotas.removeTree(path, limitedAt: "\(path)/_data", root: root)
    }

    private func add(_ name: String, _ record: VolumeRecord, _ size: UInt64?, _ state: inout State) throws -> Volume {
        do {
            try Files.makeDirectories(directory(name), mode: 0o701)
            try Files.makeDirectories(mountpoint(name), mode: 0o755)
            if let owner { try Files.changeOwner(mountpoint(name), uid: owner.uid, gid: owner.gid) }
            if let size { try limit(name, to: size) }
            try Files.syncDirectory(root)
            try table.put(name, record)
        } catch {
            // Only what was made just now, and only while it is empty.
            _ = rmdir(mountpoint(name))
            _ = rmdir(directory(name))
            throw error
        }
        state.volumes[name] = record
        return makeVolume(name, record)
    }

    private static func randomName() -> String {
        (0..<4).map { _ in
            let digits = String(UInt64.random(in: 0 ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// All volumes, sorted by name.
    public func list() -> [Volume] {
        state.withLock { state in state.volumes.sorted { $0.key < $1.key }.map { makeVolume($0.key, $0.value) } }
    }

    /// Throws `get x: no such volume`.
    public func volume(_ name: String) throws -> Volume {
        try state.withLock { state in makeVolume(name, try record(name, state)) }
    }

    private func record(_ name: String, _ state: State) throws -> VolumeRecord {
        guard let record = state.volumes[name] else { throw VolumeError(code: .notFound, message: "get \(name): no such volume") }
        return record
    }

    // MARK: Removing

    /// Deletes a volume and its content. `users` gives the IDs of the containers that mention it; it is called under the
    /// store's lock and must not call the store. With `force` a missing volume is no error; one in use always is.
    public func remove(_ name: String, force: Bool = false, users: (String) -> [String] = { _ in [] }) throws {
        let removed: String? = try state.withLock { state in
            guard state.volumes[name] != nil else {
                if force { return nil }
                throw VolumeError(code: .notFound, message: "get \(name): no such volume")
            }
            let containers = Set(users(name)).union(state.users[name] ?? []).sorted()
            if !containers.isEmpty {
                throw VolumeError(code: .conflict, message: "remove \(name): volume is in use - [\(containers.joined(separator: ", "))]")
            }
            return try take(name, &state)
        }
        guard let removed else { return }
        onChange(.removed(name: name, driver: "local"))
        try removeTree(removed)
    }

    /// The name goes at once, by a rename; the content, which may be large, outside of the lock.
    private func take(_ name: String, _ state: inout State) throws -> String {
        if try MountOptions.isMounted(mountpoint(name)) {
            throw VolumeError(code: .conflict, message: "remove \(name): something is mounted on \(mountpoint(name))")
        }
        let target = "\(root)/\(Self.removedPrefix)\(Self.randomName().prefix(16))"
        if Files.exists(directory(name)) { _ = try retrying("remove volume", name) { rename(directory(name), target) } }
        try table.delete(name)
        state.volumes[name] = nil
        return target
    }

    /// Deletes what nobody uses: anonymous volumes, with `all` named ones too. Returns names and bytes freed.
    public func prune(all: Bool = false, users: (String) -> [String], matching matches: (Volume) -> Bool = { _ in true }) throws
        -> (deleted: [String], reclaimed: Int64)
    {
        var deleted: [String] = []
        var reclaimed: Int64 = 0
        for volume in list() where (all || volume.isAnonymous) && matches(volume) {
            let size = (try? size(of: volume.name)) ?? 0
            do { try remove(volume.name, users: users) } catch let error as VolumeError
                where error.code == .conflict || error.code == .notFound
            { continue }
            deleted.append(volume.name)
            reclaimed += size
        }
        return (deleted, reclaimed)
    }

    // MARK: Using

    /// Makes the volume's content ready for a container (mounts what its options name) and returns the directory to bind.
    /// Each call needs its `release` with the same user. A mount that an earlier daemon left is taken over.
    public func acquire(_ name: String, user: String) throws -> String {
        try state.withLock { state in
            let options = try MountOptions(try record(name, state).options)
            let path = mountpoint(name)
            if let options, state.users[name, default: []].isEmpty, !(try MountOptions.isMounted(path)) { try options.mount(on: path) }
            state.users[name, default: []].insert(user)
            return path
        }
    }

    /// The container doesn't need the volume any more: the last release unmounts what `acquire` mounted.
    public func release(_ name: String, user: String) throws {
        try state.withLock { state in
            guard state.users[name]?.remove(user) != nil, state.users[name]?.isEmpty == true else { return }
            state.users[name] = nil
            guard let record = state.volumes[name], try MountOptions(record.options) != nil else { return }
            try MountOptions.unmount(mountpoint(name))
        }
    }

    /// Bytes of the volume's files, hard links counted once.
    public func size(of name: String) throws -> Int64 {
        _ = try volume(name)
        return try DirectorySize.bytes(of: mountpoint(name))
    }
}
