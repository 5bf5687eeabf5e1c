internal import CLinux
internal import Glibc
internal import Linux

/// What the runtime leaves in a writable layer because something was mounted there: empty files and directories that
/// neither the image nor the command made. They must not become part of an image.
public struct MountStubs {
    private static let files = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/.dockerenv", "/dev/console"]
    private static let directories = ["/dev/shm", "/dev/pts", "/dev/mqueue", "/dev", "/proc", "/sys/fs/cgroup", "/sys/fs", "/sys"]

    /// Where stubs can stand that every container has.
    public static let paths = Set(files + directories)

    /// Top first.
    private let layers: [String]
    private let targets: [String]

    init(layers: [String], mounts: [RunMount]) {
        self.layers = layers
        targets = mounts.map { mount in
            switch mount {
            case .bind(_, let target, _), .overlay(_, _, _, _, let target, _), .tmpfs(let target, _): target
            }
        }
    }

    /// Takes them out of an upper directory, with the directories above them that would be left empty and say nothing new.
    func remove(from upper: String) throws {
        for path in targets + Self.files + Self.directories {
            // A link in the layer would lead elsewhere: such a path is no stub.
            guard let kind = Self.kind(upper, path), !isInLayers(path) else { continue }
            let full = upper + path
            switch kind {
            case S_IFREG:
                var status = stat()
                if lstat(full, &status) == 0 && status.st_size == 0 { _ = unlink(full) }
            case S_IFDIR: _ = rmdir(full)
            default: break
            }
            removeEmptyParents(of: path, in: upper)
        }
    }

    private func removeEmptyParents(of path: String, in upper: String) {
        let parent = Files.parent(of: path)
        guard parent != "/", Self.kind(upper, parent) == S_IFDIR else { return }
        // A directory that is in a layer was copied up only to hold the stub, if it looks the same; one that isn't, was made for it.
        if let below = layers.first(where: { Self.kind($0, parent) != nil }) {
            var (old, new) = (stat(), stat())
            guard lstat(below + parent, &old) == 0, lstat(upper + parent, &new) == 0, old.st_mode == new.st_mode,
                old.st_uid == new.st_uid, old.st_gid == new.st_gid, lgetxattr(upper + parent, "trusted.overlay.opaque", nil, 0) < 0
            else { return }
        } else if !targets.contains(where: { $0.hasPrefix(parent + "/") }) && !Self.directories.contains(parent) && parent != "/etc" {
            return
        }
        if rmdir(upper + parent) == 0 { removeEmptyParents(of: parent, in: upper) }
    }

    private func isInLayers(_ path: String) -> Bool { layers.contains { Self.kind($0, path) != nil } }

    /// Whether a path of an upper directory is a stub that every container has: nothing of that name is in a layer, and it is empty.
    public static func isStub(_ path: String, upper: String, layers: [String]) -> Bool {
        guard paths.contains(path), !layers.contains(where: { kind($0, path) != nil }) else { return false }
        var status = stat()
        guard lstat(upper + path, &status) == 0 else { return false }
        // A directory's own stubs are none of its contents.
        if status.st_mode & S_IFMT == S_IFDIR {
            return ((try? Files.list(upper + path)) ?? []).allSatisfy { isStub("\(path)/\($0)", upper: upper, layers: layers) }
        }
        return status.st_mode & S_IFMT == S_IFREG && status.st_size == 0
    }

    /// The type of a file in a directory tree, S_IFMT's bits; nil when it isn't there or a link is on the way.
    private static func kind(_ root: String, _ path: String) -> mode_t? {
        var full = root
        var status = stat()
        for component in path.split(separator: "/") {
            guard full == root || status.st_mode & S_IFMT == S_IFDIR else { return nil }
            full += "/" + component
            guard lstat(full, &status) == 0 else { return nil }
        }
        return status.st_mode & S_IFMT
    }
}
