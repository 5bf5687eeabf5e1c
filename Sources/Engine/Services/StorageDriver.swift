internal import CLinux
internal import Glibc
internal import Linux

/// What `info` tells of the storage driver, in overlay2's words.
enum StorageDriver {
    /// Names and values in dockerd's order.
    static func status(of dataRoot: String) -> [[String]] {
        let usesMetacopy = isKernelsDefault("metacopy")
        return [
            ["Backing Filesystem", filesystem(of: dataRoot)], ["Supports d_type", "\(tellsTypes(dataRoot))"],
            ["Using metacopy", "\(usesMetacopy)"], ["Native Overlay Diff", "\(!usesMetacopy && !isKernelsDefault("redirect_dir"))"],
            ["userxattr", "false"],
        ]
    }

    /// Whether overlays have a feature that they are not told about (overlayfs.rst): the shim asks for neither.
    private static func isKernelsDefault(_ feature: String) -> Bool {
        (try? Files.readText("/sys/module/overlay/parameters/\(feature)"))?.hasPrefix("Y") ?? false
    }

    /// Docker's names of filesystems by the kernel's magic numbers (statfs(2)).
    private static let names: [UInt32: String] = [
        0x6175_6673: "aufs", 0x9123_683E: "btrfs", 0x28cd_3d45: "cramfs", 0xf15f: "ecryptfs", 0xEF53: "extfs", 0xF2F5_2010: "f2fs",
        0x6573_5546: "fuse", 0x4750_4653: "gpfs", 0x72b6: "jffs2", 0x3153_464a: "jfs", 0x6969: "nfs", 0x794c_7630: "overlayfs",
        0x8584_58f6: "ramfs", 0x5265_4973: "reiserfs", 0x517B: "smb", 0x7371_7368: "squashfs", 0x0102_1994: "tmpfs",
        0xa501_fcf5: "vxfs", 0x5846_5342: "xfs", 0x2fc1_2fc1: "zfs",
    ]

    private static func filesystem(of path: String) -> String {
        var status = statfs()
        guard statfs(path, &status) == 0 else { return "<unknown>" }
        return names[UInt32(truncatingIfNeeded: status.f_type)] ?? "<unknown>"
    }

    /// Whether entries of directories say what they are (readdir(3)): xfs made with `ftype=0` does not, and overlayfs needs it.
    private static func tellsTypes(_ path: String) -> Bool {
        guard let directory = opendir(path) else { return false }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            if Int(entry.pointee.d_type) == Int(DT_UNKNOWN) { return false }
        }
        return true
    }
}
