internal import EngineTypes
internal import Glibc
internal import Linux
internal import Volumes

/// Turns `-v`, `--mount`, `--tmpfs` and the image's VOLUMEs into mounts with a source. Makes the volumes it needs.
struct MountResolver {
    let volumes: VolumeStore
    /// The mounts of another container, by its name or id, for `--volumes-from`. Throws `EngineError`.
    let mountsOfContainer: @Sendable (String) throws -> [ResolvedMount]
    /// The digest of an image that is to be mounted. Throws `ImageError`.
    let imageID: @Sendable (String) throws -> String
    /// The driver of volumes that name none (`--volume-driver`).
    var defaultDriver = ""

    /// Blocks. Throws `EngineError` or `VolumeError`.
    func resolve(host: HostConfig, config: ContainerConfig) throws -> [ResolvedMount] {
        var mounts: [String: ResolvedMount] = [:]
        func add(_ mount: ResolvedMount) throws {
            guard mounts[mount.destination] == nil else { throw EngineError.invalid("Duplicate mount point: \(mount.destination)") }
            mounts[mount.destination] = mount
        }
        for text in host.Binds ?? [] { try add(try bind(text)) }
        for request in host.Mounts ?? [] { try add(try mount(request)) }
        for (destination, options) in host.Tmpfs ?? [:] {
            let path = try Self.destination(destination)
            let words = options.split(separator: ",").map(String.init)
            try MountRequest.checkTmpfs(words)
            try add(ResolvedMount(kind: .tmpfs, destination: path, options: words))
        }
        for text in host.VolumesFrom ?? [] {
            for mount in try volumesFrom(text) where mounts[mount.destination] == nil { try add(mount) }
        }
        for destination in (config.Volumes ?? [:]).keys.sorted() {
            let path = try Self.destination(destination)
            guard mounts[path] == nil else { continue }
            try add(try volume("", at: path, mode: "", isReadOnly: false, copies: true))
        }
        return mounts.values.sorted { $0.destination < $1.destination }
    }

    /// `container[:mode]`: volumes and binds of another container, which come after what the request itself mounts.
    private func volumesFrom(_ text: String) throws -> [ResolvedMount] {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard !parts[0].isEmpty else { throw EngineError.invalid("volumes-from specification cannot be an empty string") }
        let words = parts.count > 1 ? parts[1].split(separator: ",").map(String.init) : []
        if let wrong = words.first(where: { !["ro", "rw", "z", "Z"].contains($0) }) {
            throw EngineError.invalid("invalid mode: \(wrong)")
        }
        let found: [ResolvedMount]
        // Not "not found": a client would take that for the image, and pull it.
        do { found = try mountsOfContainer(parts[0]) } catch { throw EngineError.invalid(EngineError.from(error).message) }
        return found.filter { $0.kind != .tmpfs }.map { mount in
            var mount = mount
            if words.contains("ro") { mount.isReadOnly = true }
            if parts.count > 1 { mount.mode = parts[1] }
            // `rm -v` of the new container leaves what belongs to the other.
            mount.isAnonymous = false
            return mount
        }
    }

    /// Absolute and without `.`, `..` or doubled slashes.
    static func destination(_ path: String) throws(EngineError) -> String {
        guard path.hasPrefix("/") else { throw .invalid("invalid mount path: '\(path)' mount path must be absolute") }
        let cleaned = cleaned(path)
        if cleaned == "/" { throw .invalid("invalid specification: destination can't be '/'") }
        return cleaned
    }

    /// An absolute path by its words alone, without `.`, `..` or doubled slashes.
    static func cleaned(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }

    private static let propagations: Set<String> = ["private", "rprivate", "shared", "rshared", "slave", "rslave"]
    /// The words of a mode by what they are about: one of each at most.
    private static let bindWords: [Set<String>] = [
        ["ro", "rw"], ["z", "Z"], propagations, ["nocopy"], ["consistent", "cached", "delegated"],
    ]

    /// `source:destination[:mode]` or `destination`.
    private func bind(_ text: String) throws -> ResolvedMount {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (1...3).contains(parts.count), !parts.contains("") else {
            throw EngineError.invalid("invalid volume specification: '\(text)'")
        }
        if parts.count == 1 { return try volume("", at: try Self.destination(parts[0]), mode: "", isReadOnly: false, copies: true) }
        let destination: String
        do { destination = try Self.destination(parts[1]) } catch {
            let kind = parts[0].hasPrefix("/") ? "bind" : "volume"
            throw EngineError.invalid(
                "invalid volume specification: '\(text)': invalid mount config for type \"\(kind)\": \(error.message)")
        }
        let mode = parts.count == 3 ? parts[2] : ""
        let words = mode.isEmpty ? [] : mode.split(separator: ",").map(String.init)
        let isReadOnly = words.contains("ro")
        // Before a volume is made: a refused request leaves nothing behind.
        let kinds = words.map { word in Self.bindWords.firstIndex { $0.contains(word) } }
        guard !kinds.contains(nil), Set(kinds).count == kinds.count else { throw EngineError.invalid("invalid mode: \(mode)") }
        let propagation = words.first(where: Self.propagations.contains)
        // In Docker's words: the option belongs to the other kind.
        let isBind = parts[0].hasPrefix("/")
        if isBind ? words.contains("nocopy") : propagation != nil {
            throw EngineError.invalid(
                "invalid volume specification: '\(text)': invalid mount config for type \"\(isBind ? "bind" : "volume")\": "
                    + "field \(isBind ? "Volume" : "Bind")Options must not be specified")
        }
        if parts[0].hasPrefix("/") {
            var mount = ResolvedMount(
                kind: .bind, source: parts[0], destination: destination, isReadOnly: isReadOnly, mode: mode,
                propagation: propagation ?? "rprivate")
            mount.createsSource = true
            mount.isRecursivelyReadOnly = isReadOnly
            return mount
        }
        return try volume(
            parts[0], at: destination, mode: mode.isEmpty ? "z" : mode, isReadOnly: isReadOnly, copies: !words.contains("nocopy"))
    }

    private func volume(
        _ name: String, at destination: String, mode: String, isReadOnly: Bool, copies: Bool, driver: String = "",
        options: [String: String] = [:], labels: [String: String] = [:]
    ) throws -> ResolvedMount {
        let volume: Volume
        let driver = driver.isEmpty ? defaultDriver : driver
        do { volume = try volumes.create(name: name, driver: driver, options: options, labels: labels) } catch {
            throw VolumeService.creationFailure(name, error)
        }
        var mount = ResolvedMount(
            kind: .volume, name: volume.name, source: volume.mountpoint, destination: destination, isReadOnly: isReadOnly, mode: mode)
        mount.copiesImageContent = copies
        mount.isAnonymous = name.isEmpty
        return mount
    }

    private func mount(_ request: MountRequest) throws -> ResolvedMount {
        try request.check()
        let kind = request.Type ?? ""
        let source = request.Source ?? ""
        let destination: String
        do { destination = try Self.destination(request.Target ?? "") } catch { throw request.refused(error.message) }
        switch kind {
        case "bind":
            let options = request.BindOptions
            let creates = options?.CreateMountpoint == true
            guard creates || Files.exists(source) else { throw request.refused("bind source path does not exist: \(source)") }
            var mount = ResolvedMount(
                kind: .bind, source: source, destination: destination, isReadOnly: request.ReadOnly == true,
                propagation: options?.Propagation.flatMap { $0.isEmpty ? nil : $0 } ?? "rprivate")
            mount.isRecursive = options?.NonRecursive != true
            mount.isRecursivelyReadOnly = mount.isReadOnly && options?.ReadOnlyNonRecursive != true
            mount.createsSource = creates
            return mount
        case "volume":
            let options = request.VolumeOptions
            var mount = try volume(
                source, at: destination, mode: "z", isReadOnly: request.ReadOnly == true, copies: options?.NoCopy != true,
                driver: options?.DriverConfig?.Name ?? "", options: options?.DriverConfig?.Options ?? [:], labels: options?.Labels ?? [:])
            mount.subpath = options?.Subpath ?? ""
            return mount
        case "image":
            let image = try imageID(source)
            return ResolvedMount(
                kind: .image, name: source, source: image, subpath: request.ImageOptions?.Subpath ?? "", destination: destination,
                isReadOnly: true)
        default:
            var options: [String] = request.ReadOnly == true ? ["ro"] : []
            if let size = request.TmpfsOptions?.SizeBytes, size > 0 { options.append("size=\(size)") }
            if let mode = request.TmpfsOptions?.Mode, mode > 0 { options.append("mode=\(String(mode, radix: 8))") }
            for pair in request.TmpfsOptions?.Options ?? [] { options.append(pair.joined(separator: "=")) }
            return ResolvedMount(kind: .tmpfs, destination: destination, isReadOnly: request.ReadOnly == true, options: options)
        }
    }
}
