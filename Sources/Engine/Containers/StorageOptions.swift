internal import CLinux
internal import EngineTypes
internal import Glibc
internal import Linux

/// `--storage-opt` of a container, in overlay2's words.
enum StorageOptions {
    /// Refuses what cannot be: all of it, for `size` needs quotas, which are not built, and which most filesystems do not have.
    static func check(_ options: [String: String]?, dataRoot: String) throws(EngineError) {
        guard let options, !options.isEmpty else { return }
        if options.keys.contains(where: { $0.lowercased() == "size" }) {
            guard hasProjectQuota(dataRoot) else {
                throw EngineError(.system, "--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
            }
            throw .notImplemented("HostConfig.StorageOpt size")
        }
        throw EngineError(.system, "Unknown option \(options.keys.sorted()[0].lowercased())")
    }

    /// Whether a directory is on xfs that counts blocks by project (xfs(5), "prjquota").
    private static func hasProjectQuota(_ path: String) -> Bool {
        var filesystem = statfs()
        var status = stat()
        guard statfs(path, &filesystem) == 0, filesystem.f_type == 0x5846_5342, stat(path, &status) == 0,
            let mounts = try? Files.readText("/proc/self/mountinfo")
        else { return false }
        let device = "\(clp_major(status.st_dev)):\(clp_minor(status.st_dev))"
        return mounts.split(separator: "\n").contains { line in
            let fields = line.split(separator: " ")
            return fields.count > 5 && fields[2] == device && (fields.last?.split(separator: ",").contains("prjquota") ?? false)
        }
    }
}
