internal import CLinux
internal import Glibc

extension Mounts {
    /// Takes every whole procfs and sysfs outside of the working directory away from this mount namespace, or covers it.
    ///
    /// The kernel lets a user namespace mount procfs anew only when one without anything masked is there already
    /// (mount_too_revealing). Without pivot_root the host's own stay in the namespace, and would be that.
    static func hideWholeKernelFilesystems() throws(SystemError) {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = clp_getcwd(&buffer, buffer.count)
        if length <= 1 { throw SystemError("find the path of the new root") }
        let root = String(decoding: buffer[..<(Int(length) - 1)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // All of it first: without procfs it cannot be read.
        let places = wholeKernelFilesystems(try Files.readText("/proc/self/mountinfo"), outside: root)
        for place in places {
            if clp_umount(place, Int32(MNT_DETACH)) == 0 { continue }
            if errno != EINVAL && errno != EPERM { throw SystemError("unmount", place) }
            // Locked together with others by the namespace above.
            try retrying("cover", place) { clp_mount("tmpfs", place, "tmpfs", UInt(CLinux.MS_RDONLY), "size=0k") }
        }
    }

    /// The mount points in the text of a mountinfo (proc_pid_mountinfo(5)) of procfs and sysfs that show their whole tree
    /// and do not lie below `root`; those that were mounted last come first.
    static func wholeKernelFilesystems(_ mountinfo: String, outside root: String) -> [String] {
        var places: [String] = []
        for line in mountinfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6, let separator = fields[6...].firstIndex(of: "-"), separator + 1 < fields.count else { continue }
            guard fields[3] == "/", ["proc", "sysfs"].contains(fields[separator + 1]) else { continue }
            let place = CgroupLayout.unescaped(fields[4])
            if place != root && !place.hasPrefix("\(root)/") { places.append(place) }
        }
        return places.reversed()
    }
}
