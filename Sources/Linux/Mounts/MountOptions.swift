internal import CLinux

/// What the options of a mount (`ro`, `nosuid`, `rslave`, `size=64k`…) ask for, as mount(8) and runc name them.
public struct MountOptions: Equatable, Sendable {
    /// MS_… flags that are set.
    public var flags: UInt = 0
    /// MS_… flags that an option takes away again (`rw`, `exec`…).
    public var cleared: UInt = 0
    /// MOUNT_ATTR_… set and cleared on the mount and everything below it (`rro`, `rnosuid`…).
    public var recursiveSet: UInt64 = 0
    public var recursiveClear: UInt64 = 0
    /// MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, with MS_REC for the recursive ones; in their order.
    public var propagation: [UInt] = []
    /// Filesystem options, joined with commas.
    public var data = ""
    /// Copies what the mount point holds into the new tmpfs.
    public var copyUp = false
    /// Maps the owners of the mount by a user namespace, and those of every mount below it.
    public var idMap = IDMapReach.none

    /// How much of a mount is id-mapped (`idmap`, `ridmap`).
    public enum IDMapReach: Sendable, Equatable { case none, mount, tree }

    public init() {}

    public var isBind: Bool { flags & UInt(MS_BIND) != 0 }
    public var isRecursive: Bool { flags & UInt(MS_REC) != 0 }
    public var isReadOnly: Bool { flags & UInt(MS_RDONLY) != 0 }
    public var isRemount: Bool { flags & UInt(MS_REMOUNT) != 0 }

    /// Reads a list of options; what no table knows is the filesystem's own.
    public init(parsing options: [String]) {
        for option in options {
            switch MountOptions.table[option] {
            case .set(let flag)?:
                flags |= flag
                cleared &= ~flag
            case .clear(let flag)?:
                flags &= ~flag
                cleared |= flag
            case .propagate(let flag)?: propagation.append(flag)
            case .recursive(let set, let clear)?:
                recursiveSet = recursiveSet & ~clear | set
                recursiveClear = recursiveClear & ~set | clear
            case .copyUp?: copyUp = true
            case .mapIDs(let reach)?: idMap = reach
            case .nothing?: break
            case nil: data += data.isEmpty ? option : ",\(option)"
            }
        }
    }

    /// The filesystem options in `data`, each by itself and without its quotes, between which commas are part of it
    /// (`context="system_u:object_r:container_file_t:s0:c1,c2"`).
    static func split(_ data: String) -> [String] {
        var options: [String] = []
        var option = ""
        var isQuoted = false
        for character in data {
            switch character {
            case "\"": isQuoted.toggle()
            case "," where !isQuoted:
                if !option.isEmpty { options.append(option) }
                option = ""
            default: option.append(character)
            }
        }
        if !option.isEmpty { options.append(option) }
        return options
    }

    /// Every option that is a flag, sorted: for `features`.
    public static var known: [String] { table.keys.sorted() }

    private enum Effect {
        case set(UInt)
        case clear(UInt)
        case propagate(UInt)
        case recursive(set: UInt64, clear: UInt64)
        case copyUp
        case mapIDs(IDMapReach)
        case nothing
    }

    private static let table: [String: Effect] = {
        var table: [String: Effect] = [
            "defaults": .nothing, "tmpcopyup": .copyUp, "idmap": .mapIDs(.mount), "ridmap": .mapIDs(.tree),
            "bind": .set(UInt(MS_BIND)), "rbind": .set(UInt(MS_BIND | MS_REC)), "remount": .set(UInt(MS_REMOUNT)),
        ]
        // The option that sets a flag and the one that clears it.
        let pairs: [(UInt, String, String)] = [
            (UInt(MS_RDONLY), "ro", "rw"), (UInt(MS_NOSUID), "nosuid", "suid"), (UInt(MS_NODEV), "nodev", "dev"),
            (UInt(MS_NOEXEC), "noexec", "exec"), (UInt(MS_SYNCHRONOUS), "sync", "async"), (UInt(MS_MANDLOCK), "mand", "nomand"),
            (UInt(MS_NOATIME), "noatime", "atime"), (UInt(MS_NODIRATIME), "nodiratime", "diratime"),
            (UInt(MS_RELATIME), "relatime", "norelatime"), (UInt(MS_STRICTATIME), "strictatime", "nostrictatime"),
            (UInt(MS_SILENT), "silent", "loud"), (UInt(MS_POSIXACL), "acl", "noacl"), (UInt(MS_I_VERSION), "iversion", "noiversion"),
            (UInt(MS_LAZYTIME), "lazytime", "nolazytime"), (UInt(MS_NOSYMFOLLOW), "nosymfollow", "symfollow"),
        ]
        for (flag, set, clear) in pairs {
            table[set] = .set(flag)
            table[clear] = .clear(flag)
        }
        table["dirsync"] = .set(UInt(MS_DIRSYNC))
        let propagations: [(UInt, String)] = [
            (UInt(MS_PRIVATE), "private"), (UInt(MS_SHARED), "shared"), (UInt(MS_SLAVE), "slave"), (UInt(MS_UNBINDABLE), "unbindable"),
        ]
        for (flag, name) in propagations {
            table[name] = .propagate(flag)
            table["r\(name)"] = .propagate(flag | UInt(MS_REC))
        }
        addRecursive(&table)
        return table
    }()

    /// The recursive attributes of mount_setattr(2). The access-time modes are one field: setting one clears the field first.
    private static func addRecursive(_ table: inout [String: Effect]) {
        let attributes: [(UInt64, String, String)] = [
            (UInt64(MOUNT_ATTR_RDONLY), "rro", "rrw"), (UInt64(MOUNT_ATTR_NOSUID), "rnosuid", "rsuid"),
            (UInt64(MOUNT_ATTR_NODEV), "rnodev", "rdev"), (UInt64(MOUNT_ATTR_NOEXEC), "rnoexec", "rexec"),
            (UInt64(MOUNT_ATTR_NODIRATIME), "rnodiratime", "rdiratime"), (UInt64(MOUNT_ATTR_NOSYMFOLLOW), "rnosymfollow", "rsymfollow"),
        ]
        for (attribute, set, clear) in attributes {
            table[set] = .recursive(set: attribute, clear: 0)
            table[clear] = .recursive(set: 0, clear: attribute)
        }
        let times = UInt64(MOUNT_ATTR__ATIME)
        table["rrelatime"] = .recursive(set: UInt64(MOUNT_ATTR_RELATIME), clear: times)
        // The kernel's own choice when no way of keeping access times is asked for.
        table["rnorelatime"] = .recursive(set: UInt64(MOUNT_ATTR_RELATIME), clear: times)
        table["rnoatime"] = .recursive(set: UInt64(MOUNT_ATTR_NOATIME), clear: times)
        table["ratime"] = .recursive(set: UInt64(MOUNT_ATTR_RELATIME), clear: times)
        table["rstrictatime"] = .recursive(set: UInt64(MOUNT_ATTR_STRICTATIME), clear: times)
        table["rnostrictatime"] = .recursive(set: UInt64(MOUNT_ATTR_RELATIME), clear: times)
    }
}
