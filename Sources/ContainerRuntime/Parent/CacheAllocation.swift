internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// The container's part in Intel RDT (config-linux.md, "IntelRdt").
struct CacheAllocation: Sendable {
    private let group: ResctrlGroup
    private let settings: Spec.IntelRdt
    private let id: String
    /// Only a class that was made for this container goes with it.
    private var ownsGroup: Bool { settings.closID == nil }

    /// nil for a container that asks for none. Asked for where the kernel has none is an error.
    init?(_ settings: Spec.IntelRdt?, id: String) throws {
        guard let settings else { return nil }
        guard let mountPoint = try ResctrlGroup.findMountPoint() else {
            throw SpecError.invalid("linux.intelRdt", "no resctrl filesystem is mounted")
        }
        self.init(settings, id: id, mountPoint: mountPoint)
    }

    init(_ settings: Spec.IntelRdt, id: String, mountPoint: String) {
        self.settings = settings
        self.id = id
        group = ResctrlGroup(mountPoint: mountPoint, closID: settings.closID, container: id)
    }

    /// Makes what is missing, by the specification's rules. What was made is removed again on failure.
    func prepare() throws {
        let lines = settings.lines
        var madeGroup = false
        if ownsGroup {
            try group.make()
            madeGroup = true
        } else if !group.exists {
            if lines.isEmpty { throw SpecError.invalid("linux.intelRdt.closID", "there is no class at \(group.path)") }
            try group.make()
            madeGroup = true
        } else if !lines.isEmpty, try !group.matches(schemata: lines) {
            throw SpecError.invalid("linux.intelRdt", "the class at \(group.path) has other schemata")
        }
        do {
            if madeGroup { try group.write(schemata: lines) }
            if settings.enableMonitoring { try group.makeMonitor(id) }
        } catch {
            if madeGroup { group.remove() }
            throw error
        }
    }

    /// Enters a process, before it has children.
    func enter(_ pid: Int32) throws {
        try group.add(pid)
        if settings.enableMonitoring { try group.addToMonitor(id, pid) }
    }

    /// Gives the class other settings. A container that has had none gets a class of its own first (as runc).
    func update(_ lines: [String], process: Int32) throws {
        var madeGroup = false
        if !group.exists {
            try group.make()
            madeGroup = true
        }
        do {
            try group.write(schemata: lines)
            if madeGroup { try group.add(process) }
        } catch {
            if madeGroup { group.remove() }
            throw error
        }
    }

    /// After the container's end.
    func remove() {
        if settings.enableMonitoring { group.removeMonitor(id) }
        if ownsGroup { group.remove() }
    }
}
