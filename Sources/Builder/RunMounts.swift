internal import CLinux
internal import Dockerfile
internal import Glibc
internal import Images
internal import Linux
internal import OCIImageSpec

/// `RUN --mount`: what to put into a command's container, and what of it the cache must know.
struct RunMounts {
    /// Where a heredoc that is a script of its own stands in the container.
    static let scriptDirectory = "/dev/pipes"

    private let stage: StageBuilder
    private let flags: [MountFlag]

    init(stage: StageBuilder, flags: [MountFlag]) {
        self.stage = stage
        self.flags = flags
    }

    /// What the result depends on beside the command: what is mounted where, and the content of what is bound.
    func dependencies() throws -> [String] {
        var dependencies: [String] = []
        for flag in flags {
            if flag.kind == .secret || flag.kind == .ssh {
                throw BuildError(.notImplemented, "not implemented: RUN --mount=type=\(flag.kind.rawValue)")
            }
            dependencies.append("\(flag.kind.rawValue) \(try target(flag)) \(flag.isReadOnly)")
            guard flag.kind == .bind else { continue }
            if let from = flag.from {
                let image = try stage.session.source(from, from: stage.node.stage.index)
                dependencies.append("\(image?.id.description ?? "scratch") \(try expand(flag.source))")
            } else {
                let tree = try stage.session.context.sources()
                guard let source = try tree.resolve("/" + (try expand(flag.source)), keepsParents: false, instruction: "RUN --mount").first
                else {
                    throw BuildError(.failed, "RUN --mount failed: no source for \(flag.target)")
                }
                dependencies.append(try tree.hash(source, excludes: IgnorePatterns([]), cancellation: stage.session.cancellation))
            }
        }
        return dependencies
    }

    /// Makes ready what is to be mounted, for as long as `body` runs.
    func withMounts<Result>(script: Heredoc?, _ body: ([RunMount]) throws -> Result) throws -> Result {
        var mounts: [RunMount] = []
        let directory = stage.session.context.directory + "/mounts-" + ContentHasher.randomIdentifier().prefix(8)
        defer { try? Files.removeTree(directory) }
        if let script { mounts.append(try prepare(script, in: directory)) }
        return try prepare(flags[...], mounts, body)
    }

    /// One flag after the other, so that each keeps its scratch directories and locks while the rest runs.
    private func prepare<Result>(_ rest: ArraySlice<MountFlag>, _ mounts: [RunMount], _ body: ([RunMount]) throws -> Result) throws
        -> Result
    {
        guard let flag = rest.first else { return try body(mounts) }
        let rest = rest.dropFirst()
        switch flag.kind {
        case .tmpfs: return try prepare(rest, mounts + [.tmpfs(target: try target(flag), size: flag.size)], body)
        case .cache:
            if flag.from != nil { throw BuildError(.notImplemented, "not implemented: RUN --mount=type=cache,from=…") }
            let cache = try stage.session.builder.mounts.take(id: try expand(flag.id), sharing: flag.sharing, target: try target(flag))
            try cache.prepare(mode: flag.mode ?? 0o755, uid: flag.uid ?? 0, gid: flag.gid ?? 0)
            return try prepare(rest, mounts + [.bind(source: cache.path, target: try target(flag), isReadOnly: flag.isReadOnly)], body)
        case .bind:
            let images = stage.session.builder.images
            var layers = [stage.session.context.path]
            if let from = flag.from {
                layers = try stage.session.source(from, from: stage.node.stage.index).map { images.layerDirectories(of: $0) } ?? []
            }
            let scratch = try StepScratch.make(images: images, below: layers)
            let subpath = RelativePath.clean("/" + (try expand(flag.source))).joined(separator: "/")
            let mount = RunMount.overlay(
                layers: layers, upper: scratch.upper, work: scratch.work, subpath: subpath, target: try target(flag),
                isReadOnly: flag.isReadOnly)
            return try prepare(rest, mounts + [mount], body)
        case .secret, .ssh: throw BuildError(.notImplemented, "not implemented: RUN --mount=type=\(flag.kind.rawValue)")
        }
    }

    private func prepare(_ script: Heredoc, in directory: String) throws -> RunMount {
        try Files.makeDirectories(directory)
        guard !script.name.contains("/") else { throw BuildError(.failed, "invalid heredoc name \(script.name)") }
        let path = directory + "/" + script.name
        try Files.write(path, script.content)
        _ = try retrying("chmod", path) { chmod(path, 0o755) }
        return .bind(source: directory, target: Self.scriptDirectory, isReadOnly: true)
    }

    private func expand(_ text: String) throws -> String { try stage.state.expander.building(text) }

    private func target(_ flag: MountFlag) throws -> String { stage.state.absolutePath(try expand(flag.target)) }
}

/// A directory that RUNs with the same `--mount=type=cache,id=…` share, from build to build.
struct CacheMount: ~Copyable {
    let path: String
    /// Under the directory of all cache mounts.
    let name: String
    /// Held for as long as the mount is used.
    private let lock: FileLock

    /// `locked` waits for other users, `private` takes a directory that nobody uses, `shared` goes in beside them.
    init(root: String, id: String, sharing: MountFlag.Sharing) throws {
        try Files.makeDirectories(root, mode: 0o700)
        let plain = try ContentHasher.hash(["cache mount", id])
        var number = 0
        while true {
            let name = plain + (number == 0 ? "" : "-\(number)")
            let path = "\(root)/\(name)"
            guard let taken = try Self.take(path, sharing) else {
                number += 1
                continue
            }
            self.path = path
            self.name = name
            lock = taken
            return
        }
    }

    /// Nil when the directory is in use and may not be shared.
    private static func take(_ path: String, _ sharing: MountFlag.Sharing) throws(SystemError) -> FileLock? {
        do { return try FileLock(path + ".lock", sharing == .shared ? .shared : .exclusive, waits: sharing != .private) } catch {
            if error.code == EWOULDBLOCK { return nil }
            throw error
        }
    }

    /// Makes the directory when it is used for the first time.
    func prepare(mode: mode_t, uid: UInt32, gid: UInt32) throws(SystemError) {
        if Files.isDirectory(path) { return }
        try Files.makeDirectories(path, mode: 0o700)
        _ = try retrying("chown", path) { chown(path, uid, gid) }
        _ = try retrying("chmod", path) { chmod(path, mode) }
    }
}
