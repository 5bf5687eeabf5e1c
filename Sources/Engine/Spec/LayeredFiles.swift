internal import CLinux
internal import Glibc
internal import Linux

/// Reads small files of a container's root filesystem without mounting it: the topmost layer that has the path wins.
struct LayeredFiles {
    /// Layer directories, the writable one first, then top to bottom.
    let layers: [String]

    /// The content of a file; nil when no layer has it, when it is whited out, or when a symbolic link stands in its
    /// place that cannot be followed inside the same layer.
    func read(_ path: String, limit: Int = 1 << 20) -> [UInt8]? {
        for layer in layers {
            guard let root = try? OwnedFD.open(layer, O_PATH | O_DIRECTORY) else { continue }
            do {
                // By O_PATH first: opening an image's device or FIFO could have effects. The whiteout device of overlayfs
                // (overlayfs.rst), which stands for a deleted file, is no regular file either.
                let place = try root.openInRoot(path, O_PATH)
                let status = try place.status()
                if status.st_mode & S_IFMT != S_IFREG { return nil }
                return try OwnedFD.open(place.procPath, O_RDONLY).readAll(limit: limit)
            } catch {
                // ENOTDIR: this layer deleted or replaced a directory above, so lower layers' files are hidden.
                if error.code == ENOTDIR { return nil }
                if Self.isHidden(below: path, in: root) { return nil }
            }
        }
        return nil
    }

    /// Whether a directory on the way hides what lower layers have there (overlayfs.rst, "opaque directories").
    fileprivate static func isHidden(below path: String, in root: borrowing OwnedFD) -> Bool {
        var parent = Files.parent(of: path)
        while !parent.isEmpty && parent != "." && parent != "/" {
            if let directory = try? root.openInRoot(parent, O_RDONLY | O_DIRECTORY), isOpaque(directory.raw) { return true }
            let above = Files.parent(of: parent)
            if above == parent { break }
            parent = above
        }
        return false
    }

    /// An open directory hides what lower layers have in its place.
    static func isOpaque(_ directory: Int32) -> Bool {
        var value: UInt8 = 0
        return fgetxattr(directory, "trusted.overlay.opaque", &value, 1) == 1 && value == UInt8(ascii: "y")
    }

    func readText(_ path: String) -> String? { read(path).map { String(decoding: $0, as: UTF8.self) } }
}

extension LayeredFiles {
    /// Layers held open, for many questions.
    final class Roots {
        private final class Root {
            let directory: OwnedFD
            init(_ path: String) throws { directory = try OwnedFD.open(path, O_PATH | O_DIRECTORY) }
        }

        private let roots: [Root]

        /// Top to bottom; a layer that cannot be opened has no files.
        init(_ layers: [String]) {
            roots = layers.compactMap { try? Root($0) }
        }

        /// What the topmost layer that knows of the path has there, symbolic links not followed; nil when it is in none, or was
        /// removed or hidden in between. Directories on the way are never followed through links: in a layer they lead elsewhere.
        func status(_ path: String) -> stat? {
            for root in roots {
                do {
                    let status = try root.directory.openInRootWithoutLinks(path, O_PATH | O_NOFOLLOW).status()
                    return status.st_mode & S_IFMT == S_IFCHR && status.st_rdev == 0 ? nil : status
                } catch {
                    // A file or a link in the place of a directory above hides what lower layers have below it.
                    if error.code == ENOTDIR || error.code == ELOOP { return nil }
                    if LayeredFiles.isHidden(below: path, in: root.directory) { return nil }
                }
            }
            return nil
        }

        /// Names in a directory, of all layers; empty where none has a directory.
        func names(in path: String) -> Set<String> {
            var names: Set<String> = []
            for root in roots {
                guard let directory = try? root.directory.openInRootWithoutLinks(path, O_RDONLY | O_DIRECTORY) else { continue }
                names.formUnion((try? Files.list(directory)) ?? [])
            }
            return names.filter { status("\(path)/\($0)") != nil }
        }
    }
}
