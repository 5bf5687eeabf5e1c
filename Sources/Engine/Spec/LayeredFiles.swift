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
                let file = try root.openInRoot(path, O_RDONLY | O_NONBLOCK)
                let status = try file.status()
                if status.st_mode & S_IFMT != S_IFREG { return nil }
                return try file.readAll(limit: limit)
            } catch {
                // ENXIO: the whiteout device of overlayfs (overlayfs.rst): the file was deleted in this layer.
                if error.code == ENXIO { return nil }
                continue
            }
        }
        return nil
    }

    func readText(_ path: String) -> String? { read(path).map { String(decoding: $0, as: UTF8.self) } }
}
