internal import CLinux
internal import Glibc
internal import Images
internal import Linux
internal import OCIImageSpec

/// The layers between images and containers' own: what every container has and no image need have. Mount points for what is
/// mounted at each start, `/.dockerenv`, by which programs know that they run in a container, and `/etc/mtab`.
///
/// As in Docker such a layer belongs neither to the image nor to what the container has changed: `diff` and `commit` don't
/// show it, `export` and `cp` do. One for each stack of layers, made when it is first needed and shared by all its containers:
/// no start has to make mount points, or to copy `/etc` up for them. They lie in `<data-root>/init/<chain ID's digits>`.
final class InitLayers: Sendable {
    private enum Kind {
        case directory, file
        case link(String)
    }

    private static let entries: [(path: String, kind: Kind)] = [
        ("/.dockerenv", .file), ("/dev/console", .file), ("/dev/pts", .directory), ("/dev/shm", .directory), ("/etc/hostname", .file),
        ("/etc/hosts", .file), ("/etc/mtab", .link("/proc/mounts")), ("/etc/resolv.conf", .file), ("/proc", .directory),
        ("/sys", .directory),
    ]

    private let root: String
    private let images: ImageStore
    /// Names of those that are there; held while one is made, which takes some fifteen system calls.
    private let made = Locked<Set<String>>([])

    init(root: String, images: ImageStore) {
        self.root = root
        self.images = images
    }

    /// Where an image's layer lies, whether it has been made or not.
    func path(for image: Image) -> String { "\(root)/\(image.topLayer?.hex ?? "scratch")" }

    /// The lower directories of a container, top first: its init layer and the image's layers. Blocks.
    func layers(of image: Image) throws -> [String] {
        let layers = images.layerDirectories(of: image)
        let path = path(for: image)
        try made.withLock { made in
            guard !made.contains(path) else { return }
            if !Files.exists(path) { try make(path, above: layers) }
            made.insert(path)
        }
        return [path] + layers
    }

    /// Under another name first: what has its name is whole.
    private func make(_ path: String, above layers: [String]) throws {
        let new = path + ".new"
        try Files.removeTree(new)
        try Files.makeDirectories(new)
        let below = LayeredFiles.Roots(layers)
        for (entry, kind) in Self.entries where below.status(entry) == nil {
            let parent = Files.parent(of: entry)
            guard try makeParent(parent, in: new, below) else { continue }
            switch kind {
            case .directory: try retrying("mkdir", new + entry) { mkdir(new + entry, 0o755) }
            case .file: _ = try OwnedFD.open(new + entry, O_WRONLY | O_CREAT | O_EXCL, mode: 0o755)
            case .link(let target): try retrying("symlink", new + entry) { symlink(target, new + entry) }
            }
        }
        try retrying("rename", new) { rename(new, path) }
    }

    /// The directory above an entry, looking as the image's own; false where the image has something else there.
    private func makeParent(_ parent: String, in new: String, _ below: LayeredFiles.Roots) throws -> Bool {
        guard parent != "/", !Files.exists(new + parent) else { return true }
        let status = below.status(parent)
        guard status.map({ $0.st_mode & S_IFMT == S_IFDIR }) ?? true else { return false }
        try retrying("mkdir", new + parent) { mkdir(new + parent, 0o755) }
        if let status {
            try retrying("chown", new + parent) { chown(new + parent, status.st_uid, status.st_gid) }
            try retrying("chmod", new + parent) { chmod(new + parent, status.st_mode & 0o7777) }
        }
        return true
    }

    /// Removes those of images that are gone, and what a crash left half made. At the daemon's start, when no container needs one.
    func removeUnused() throws {
        guard Files.exists(root) else { return }
        let used = Set(images.list().map { path(for: $0) })
        for name in try Files.list(root) where !used.contains("\(root)/\(name)") { try Files.removeTree("\(root)/\(name)") }
    }
}
