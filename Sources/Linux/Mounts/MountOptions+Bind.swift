internal import CLinux

// A bind mount takes over the flags of its source. Where options name any flag, set or cleared, the mount has the flags that
// they name and no others, as under runc and crun; but for the access times, which stay when none of their flags is set (mount(8),
// "remount"), and for what the kernel has locked because the source came from a user namespace with more rights
// (mount_namespaces(7)): that stays, unless the options ask for the contrary, which is an error then.
extension MountOptions {
    /// MS_… flag, MOUNT_ATTR_…, and statfs(2)'s ST_… of each attribute that is on or off; the last one is never locked.
    private static let switches: [(flag: UInt, attribute: UInt64, status: Int)] = [
        (UInt(MS_RDONLY), UInt64(MOUNT_ATTR_RDONLY), 1), (UInt(MS_NOSUID), UInt64(MOUNT_ATTR_NOSUID), 2),
        (UInt(MS_NODEV), UInt64(MOUNT_ATTR_NODEV), 4), (UInt(MS_NOEXEC), UInt64(MOUNT_ATTR_NOEXEC), 8),
        (UInt(MS_NOSYMFOLLOW), UInt64(MOUNT_ATTR_NOSYMFOLLOW), 8192),
    ]
    private static let times = UInt(MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME)
    private static let notFlags = UInt(MS_BIND | MS_REC | MS_REMOUNT)

    /// What a bind mount with these options has set and cleared by mount_setattr(2); nothing when they name no flag.
    public var attributes: (set: UInt64, clear: UInt64) {
        if flags & ~Self.notFlags == 0 && cleared == 0 { return (0, 0) }
        var set: UInt64 = 0
        var clear: UInt64 = 0
        for one in Self.switches {
            if flags & one.flag != 0 { set |= one.attribute } else { clear |= one.attribute }
        }
        if flags & Self.times == 0 { return (set, clear) }
        clear |= UInt64(MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME)
        if flags & UInt(MS_NODIRATIME) != 0 { set |= UInt64(MOUNT_ATTR_NODIRATIME) }
        if flags & UInt(MS_STRICTATIME) != 0 {
            set |= UInt64(MOUNT_ATTR_STRICTATIME)
        } else if flags & UInt(MS_NOATIME) != 0 {
            set |= UInt64(MOUNT_ATTR_NOATIME)
        }
        return (set, clear)
    }

    /// The same for a mount whose flags may be locked: those of `source` stay. nil when that is not what was asked for.
    func attributes(keeping source: Int) -> (set: UInt64, clear: UInt64)? {
        var (set, clear) = attributes
        for one in Self.switches where source & one.status != 0 && one.flag != UInt(MS_NOSYMFOLLOW) {
            if cleared & one.flag != 0 { return nil }
            set |= one.attribute
            clear &= ~one.attribute
        }
        if flags & Self.times == 0 { return (set, clear) }
        // NOATIME, NODIRATIME, RELATIME of statfs(2); none of them is strict.
        let kept = (source & 1024 != 0 ? UInt(MS_NOATIME) : 0) | (source & 2048 != 0 ? UInt(MS_NODIRATIME) : 0)
        let asked = flags & UInt(MS_NOATIME | MS_NODIRATIME)
        let isStrict = source & (1024 | 4096) == 0
        if asked != kept || (flags & UInt(MS_STRICTATIME) != 0) != isStrict { return nil }
        return (set & ~UInt64(MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME), clear & ~UInt64(MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME))
    }
}
