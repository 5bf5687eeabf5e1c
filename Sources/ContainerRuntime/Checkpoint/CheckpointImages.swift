internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIRuntimeSpec

/// The directories of a checkpoint, open: criu's images, and its log and other working files.
struct CheckpointImages: ~Copyable {
    let images: OwnedFD
    let work: OwnedFD

    /// What the images do not tell: what the standard streams were (the name and form are runc's).
    private static let descriptors = "descriptors.json"

    /// `--image-path` and `--work-path`; a checkpoint makes them.
    init(_ arguments: CommandArguments, creating: Bool) throws {
        let path = arguments.value("image-path") ?? "checkpoint"
        let workPath = arguments.value("work-path") ?? path
        if creating {
            try Files.makeDirectories(path, mode: 0o700)
            try Files.makeDirectories(workPath, mode: 0o700)
        }
        let images = try Self.open(path, "open image path")
        let work = try Self.open(workPath, "open work path")
        self.images = images
        self.work = work
    }

    /// The same directories as the mounts that the caller sees now have them.
    init(reopening other: borrowing CheckpointImages) throws {
        let images = try Self.open(try CriuSession.path(of: other.images.raw), "open image path")
        let work = try Self.open(try CriuSession.path(of: other.work.raw), "open work path")
        self.images = images
        self.work = work
    }

    private static func open(_ path: String, _ operation: String) throws -> OwnedFD {
        do { return try OwnedFD.open(path, O_RDONLY | O_DIRECTORY) } catch { throw SystemError(operation, path, code: error.code) }
    }

    /// Writes criu's names of the standard streams, by their numbers.
    func write(_ streams: [String]) throws {
        let file = try images.openAt(Self.descriptors, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        try file.writeAll(JSONValue.array(streams.map { .string($0) }).serialized())
    }

    /// Which of our standard streams, or the null device that is given, stand for those of the container, by criu's names.
    func streams(null: Int32) throws -> [(key: String, descriptor: Int32)] {
        let file: OwnedFD
        do { file = try images.openAt(Self.descriptors) } catch {
            throw RuntimeError(kind: .state, message: "open \(Self.descriptors) in the image path: \(error.reason); is it a checkpoint?")
        }
        let bytes = try file.readAll(limit: 1 << 16)
        guard case .array(let names) = try JSONValue(parsing: bytes) else {
            throw RuntimeError(kind: .state, message: "\(Self.descriptors) in the image path is not a list")
        }
        var result: [(key: String, descriptor: Int32)] = []
        for (number, name) in names.prefix(3).enumerated() {
            guard var name = name.stringValue else { continue }
            let isNull = name.hasPrefix(CheckpointTies.nullPrefix)
            if isNull { name.removeFirst(CheckpointTies.nullPrefix.count) }
            guard name.hasPrefix("pipe:[") || name.hasPrefix("file[") else { continue }
            // Two streams may be one pipe.
            if !result.contains(where: { $0.key == name }) { result.append((name, isNull ? null : Int32(number))) }
        }
        return result
    }
}

/// A container's ties to the outside, which criu has to be told of.
enum CheckpointTies {
    /// Bind mounts when saving: criu takes their content from where the specification says, and does not save it. Each where
    /// it is in the container, and the name by which its source is given again: its destination, which may lead there by links.
    static func externalMounts(_ mounts: [PlannedMount], of pid: Int32) throws -> [(key: String, value: String)] {
        let root = try OwnedFD.open("/proc/\(pid)/root", O_PATH | O_DIRECTORY)
        let above = target(ofLink: root.procPath) ?? "/"
        return mounts.compactMap { mount in
            guard case .bind = mount.kind else { return nil }
            guard let point = try? root.openInRoot(mount.destination, O_PATH), var place = target(ofLink: point.procPath),
                place.hasPrefix(above)
            else { return (mount.destination, mount.destination) }
            // Without a mount namespace the container's root is a place among the host's.
            if above != "/" { place.removeFirst(above.count) }
            return (place, mount.destination)
        }
    }

    /// The same when restoring: by the names that they were saved with, their sources. criu follows no links to these.
    static func mountSources(_ mounts: [PlannedMount]) -> [(key: String, value: String)] {
        mounts.compactMap { mount in
            guard case .bind(let source) = mount.kind else { return nil }
            guard let file = try? OwnedFD.open(source, O_PATH), let path = target(ofLink: file.procPath) else {
                return (mount.destination, source)
            }
            return (mount.destination, path)
        }
    }

    /// What a link of /proc says. It may be a place in another mount namespace.
    private static func target(ofLink path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count)
        return count < 0 ? nil : String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static let nullPrefix = "/dev/null "

    /// criu's names of the standard streams of a process: `pipe:[…]` as the kernel has it; `file[mount:inode]` for a file
    /// that does not lie in the container's mounts, such as the host's /dev/null.
    static func streams(of pid: Int32) throws -> [String] {
        let inside = Set(
            try Files.readText("/proc/\(pid)/mountinfo").split(separator: "\n").compactMap {
                $0.split(separator: " ").first.map(String.init)
            })
        return try (0...2).map { number in
            let link = "/proc/\(pid)/fd/\(number)"
            // A stream that is closed has no name.
            guard let name = target(ofLink: link) else { return "" }
            guard name.hasPrefix("/") else { return name }
            let information = try Files.readText("/proc/\(pid)/fdinfo/\(number)").split(separator: "\n")
            let mount = information.first { $0.hasPrefix("mnt_id:") }.map { String($0.dropFirst(7).filter { $0.isNumber }) } ?? ""
            var status = stat()
            if inside.contains(mount) || stat(link, &status) != 0 { return name }
            guard let mountNumber = UInt64(mount) else { return name }
            let file = "file[\(String(mountNumber, radix: 16)):\(String(status.st_ino, radix: 16))]"
            // Any null device can stand for it again; other files must be the same ones (criu compares mode and size).
            return status.st_mode & S_IFMT == S_IFCHR && status.st_rdev == clp_makedev(1, 3) ? nullPrefix + file : file
        }
    }

    /// A network that somebody else made is not the container's to save: criu's name for it.
    static let networkKey = "extRootNetNS"

    static func externalNetwork(_ spec: Spec) throws -> String? {
        guard let path = spec.linux.namespace(.network)?.path else { return nil }
        let file = try OwnedFD.open(path)
        return "net[\(try file.status().st_ino)]:\(networkKey)"
    }
}

extension CriuOptions {
    /// What `checkpoint` and `restore` have in common.
    init(
        _ arguments: CommandArguments, _ directories: borrowing CheckpointImages, root: String, logFile: String,
        annotations: [String: String]
    ) throws {
        self.init(images: directories.images.raw, work: directories.work.raw, logFile: logFile, root: root)
        configFile = Self.configFile(annotations)
        tcpEstablished = arguments.has("tcp-established")
        externalUnixSockets = arguments.has("ext-unix-sk")
        shellJob = arguments.has("shell-job")
        fileLocks = arguments.has("file-locks")
        autoDedup = arguments.has("auto-dedup")
        lazyPages = arguments.has("lazy-pages")
        if let word = arguments.value("manage-cgroups-mode") {
            guard let mode = CgroupMode(rawValue: word) else {
                throw RuntimeError(kind: .usage, message: "option --manage-cgroups-mode: \"\(word)\" is not soft, full, strict or ignore")
            }
            cgroupMode = mode
        }
        for name in arguments.all("empty-ns") {
            guard name == "network" else { throw RuntimeError(kind: .usage, message: "option --empty-ns: \"\(name)\" is not network") }
            emptyNamespaces |= UInt64(UInt32(bitPattern: NamespaceKind.net.flag))
        }
    }
}
