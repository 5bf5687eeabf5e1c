internal import EngineTypes
internal import Glibc
internal import Linux
internal import Volumes

/// Turns `-v`, `--mount`, `--tmpfs` and the image's VOLUMEs into mounts with a source. Makes the volumes it needs.
struct MountResolver {
    let volumes: VolumeStore
    /// The mounts of another container, by its name or id, for `--volumes-from`. Throws `EngineError`.
    let mountsOfContainer: @Sendable (String) throws -> [ResolvedMount]

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
            try add(ResolvedMount(kind: .tmpfs, destination: path, options: options.split(separator: ",").map(String.init)))
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
        guard !parts[0].isEmpty else { throw EngineError.invalid("invalid volumes-from specification: '\(text)'") }
        let words = parts.count > 1 ? parts[1].split(separator: ",").map(String.init) : []
        if let wrong = words.first(where: { !["ro", "rw", "z", "Z"].contains($0) }) {
            throw EngineError.invalid("invalid mode for volumes-from: \(wrong)")
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
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        if parts.isEmpty { throw .invalid("invalid specification: destination can't be '/'") }
        return "/" + parts.joined(separator: "/")
    }

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
        var propagation = ""
        for word in words {
            switch word {
            case "ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated": continue
            case "private", "rprivate", "shared", "rshared", "slave", "rslave":
                guard parts[0].hasPrefix("/") else { throw EngineError.invalid("invalid mode: \(mode)") }
                propagation = word
            default: throw EngineError.invalid("invalid mode: \(mode)")
            }
        }
        if parts[0].hasPrefix("/") {
            var mount = ResolvedMount(
                kind: .bind, source: parts[0], destination: destination, isReadOnly: isReadOnly, mode: mode,
                propagation: propagation.isEmpty ? "rprivate" : propagation)
            mount.createsSource = true
            return mount
        }
        return try volume(
            parts[0], at: destination, mode: mode.isEmpty ? "z" : mode, isReadOnly: isReadOnly, copies: !words.contains("nocopy"))
    }

    private func volume(
        _ name: String, at destination: String, mode: String, isReadOnly: Bool, copies: Bool, options: [String: String] = [:],
        labels: [String: String] = [:]
    )
        throws -> ResolvedMount
    {
        let volume: Volume
        do { volume = try volumes.create(name: name, options: options, labels: labels) } catch {
            throw VolumeService.creationFailure(name, error)
        }
        var mount = ResolvedMount(
            kind: .volume, name: volume.name, source: volume.mountpoint, destination: destination, isReadOnly: isReadOnly, mode: mode)
        mount.copiesImageContent = copies
        mount.isAnonymous = name.isEmpty
        return mount
    }

    private func mount(_ request: MountRequest) throws -> ResolvedMount {
        let kind = request.Type ?? ""
        let source = request.Source ?? ""
        let destination = try Self.destination(request.Target ?? "")
        func refuse(_ reason: String) -> EngineError { .invalid("invalid mount config for type \"\(kind)\": \(reason)") }
        switch kind {
        case "bind":
            guard source.hasPrefix("/") else { throw refuse("invalid mount path: '\(source)' mount path must be absolute") }
            let creates = request.BindOptions?.CreateMountpoint == true
            guard creates || Files.exists(source) else { throw refuse("bind source path does not exist: \(source)") }
            var mount = ResolvedMount(
                kind: .bind, source: source, destination: destination, isReadOnly: request.ReadOnly == true,
                propagation: request.BindOptions?.Propagation.flatMap { $0.isEmpty ? nil : $0 } ?? "rprivate")
            mount.isRecursive = request.BindOptions?.NonRecursive != true
            mount.createsSource = creates
            return mount
        case "volume":
            let driver = request.VolumeOptions?.DriverConfig
            if let name = driver?.Name, !["", "local"].contains(name) { throw EngineError.notImplemented("volume driver \(name)") }
            return try volume(
                source, at: destination, mode: "z", isReadOnly: request.ReadOnly == true, copies: request.VolumeOptions?.NoCopy != true,
                options: driver?.Options ?? [:], labels: request.VolumeOptions?.Labels ?? [:])
        case "tmpfs":
            guard source.isEmpty else { throw refuse("field Source must not be specified") }
            var options: [String] = request.ReadOnly == true ? ["ro"] : []
            if let size = request.TmpfsOptions?.SizeBytes, size > 0 { options.append("size=\(size)") }
            if let mode = request.TmpfsOptions?.Mode, mode > 0 { options.append("mode=\(String(mode, radix: 8))") }
            for pair in request.TmpfsOptions?.Options ?? [] { options.append(pair.joined(separator: "=")) }
            return ResolvedMount(kind: .tmpfs, destination: destination, isReadOnly: request.ReadOnly == true, options: options)
        default: throw refuse("mount type unknown")
        }
    }
}
