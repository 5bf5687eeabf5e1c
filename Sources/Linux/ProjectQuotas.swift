internal import CLinux
internal import Glibc

/// Limits of what directory trees may hold: project quotas of xfs (mount option `pquota`) and ext4 (`prjquota`).
///
/// A tree has a project (a number), which its files inherit, and the filesystem counts and limits what a project holds. Nothing is
/// written down about who has which number: a project is taken while a file has it, which the filesystem itself knows. So
/// daemons that know nothing of each other never share one, and a crash leaves none behind.
public struct ProjectQuotas: Sendable {
    /// A node of the block device below the filesystem: how quotactl(2) names a filesystem on every kernel.
    private let device: String

    /// Nil where the filesystem of `directory` does not count and limit projects. Leaves a device node (`.quota-device`) in it.
    public init?(of directory: String) throws(SystemError) {
        var filesystem = statfs()
        var status = stat()
        try retrying("look at", directory) { statfs(directory, &filesystem) }
        try retrying("look at", directory) { stat(directory, &status) }
        guard [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC].contains(Int32(truncatingIfNeeded: filesystem.f_type)) else { return nil }
        device = "\(directory)/.quota-device"
        guard try Self.makeNode(device, status.st_dev) else { return nil }
        var flags: UInt16 = 0
        let wanted = UInt16(FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD)
        if clp_quota_flags(device, &flags) != 0 || flags & wanted != wanted {
            _ = unlink(device)
            return nil
        }
    }

    /// False where device nodes cannot be made. One that is there may be another device's: a copy of the directory brings it along.
    private static func makeNode(_ path: String, _ device: dev_t) throws(SystemError) -> Bool {
        var status = stat()
        if lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFBLK && status.st_rdev == device { return true }
        let temporary = "\(path).\(gettid())"
        if mknod(temporary, S_IFBLK | 0o600, device) != 0 {
            if errno == EPERM || errno == ENOSYS { return false }
            throw SystemError("make device node", temporary)
        }
        try retrying("rename", temporary) { rename(temporary, path) }
        return true
    }

    /// Gives directories, which must be empty, a project of their own, and limits what all of them hold together.
    /// - Parameter bytes: more than 0; the filesystem counts in blocks.
    public func limit(_ directories: [String], to bytes: UInt64) throws(SystemError) {
        try ProjectAllotment.limit(directories, to: bytes, on: self)
    }

    /// Removes a tree in which one directory may have been limited, and its project's limit.
    /// - Parameter root: the directory that was asked for quotas.
    public static func removeTree(_ path: String, limitedAt directory: String, root: String) throws(SystemError) {
        let project = project(of: directory)
        // Before the files, for while they are there nobody else takes the number.
        if project >= ProjectAllotment.first, let quotas = try ProjectQuotas(of: root) { try quotas.setLimit(0, of: project) }
        try Files.removeTree(path)
    }

    /// The project that new files of a directory get; 0 when it gives them none.
    public static func project(of directory: String) -> UInt32 {
        guard let file = try? OwnedFD.open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) else { return 0 }
        var flags = clp_file_flags()
        guard clp_file_flags_get(file.raw, &flags) == 0, flags.flags & UInt32(CLP_PROJECT_INHERIT) != 0 else { return 0 }
        return flags.project
    }
}

extension ProjectQuotas: ProjectFilesystem {
    func fileCount(of project: UInt32) throws(SystemError) -> UInt64 {
        var quota = fs_disk_quota()
        do { try retrying("read quota of project", "\(project)") { clp_project_quota_get(device, project, &quota) } } catch {
            // xfs has no entry for a project that never had a file.
            if error.code == ENOENT { return 0 }
            throw error
        }
        return quota.d_icount
    }

    func assign(_ project: UInt32, to directory: String) throws(SystemError) {
        let file = try OwnedFD.open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        var flags = clp_file_flags()
        try retrying("read project of", directory) { clp_file_flags_get(file.raw, &flags) }
        let inherit = UInt32(CLP_PROJECT_INHERIT)
        flags.project = project
        flags.flags = project == 0 ? flags.flags & ~inherit : flags.flags | inherit
        try retrying("set project of", directory) { clp_file_flags_set(file.raw, &flags) }
    }

    func setLimit(_ bytes: UInt64, of project: UInt32) throws(SystemError) {
        var quota = fs_disk_quota()
        quota.d_version = 1
        quota.d_flags = Int8(FS_PROJ_QUOTA)
        quota.d_id = project
        quota.d_fieldmask = UInt16(FS_DQ_BHARD | FS_DQ_BSOFT)
        // In blocks of 512 bytes, rounded up: 0 would be no limit.
        quota.d_blk_hardlimit = bytes / 512 + (bytes % 512 == 0 ? 0 : 1)
        quota.d_blk_softlimit = quota.d_blk_hardlimit
        try retrying("limit project", "\(project)") { clp_project_quota_set(device, project, &quota) }
    }
}

/// What a filesystem does for projects.
protocol ProjectFilesystem {
    /// How many files and directories have a project.
    func fileCount(of project: UInt32) throws(SystemError) -> UInt64
    /// Gives a directory its project, which new files in it inherit; 0 takes it away.
    func assign(_ project: UInt32, to directory: String) throws(SystemError)
    /// Limits what all files of a project hold; 0 is no limit.
    func setLimit(_ bytes: UInt64, of project: UInt32) throws(SystemError)
}

/// How a tree comes by a project that nobody else has.
enum ProjectAllotment {
    /// From here up, out of the way of the numbers that people and other engines give (which begin at 1, and Kubernetes' at 1,048,577).
    static let first: UInt32 = 1 << 30

    /// - Parameter step: how far to go on after somebody took the same number at the same time: not always as far as he does.
    static func limit(
        _ directories: [String], to bytes: UInt64, on filesystem: some ProjectFilesystem, step: () -> UInt32 = { .random(in: 1...16) }
    ) throws(SystemError) {
        guard let top = directories.first else { return }
        var project = first
        while true {
            guard project < .max - 16 else { throw SystemError("find a free project for", top, code: ENOSPC) }
            if try filesystem.fileCount(of: project) != 0 {
                project += 1
                continue
            }
            try filesystem.assign(project, to: top)
            // Who else found it free has counted up too: then both go elsewhere.
            if try filesystem.fileCount(of: project) == 1 { break }
            try filesystem.assign(0, to: top)
            project += step()
        }
        // An earlier owner's limit may still be there.
        try filesystem.setLimit(bytes, of: project)
        for directory in directories.dropFirst() { try filesystem.assign(project, to: directory) }
    }
}
