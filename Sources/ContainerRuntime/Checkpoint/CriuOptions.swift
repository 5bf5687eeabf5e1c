/// What criu is told about a checkpoint or a restore: the part of its `criu_opts` that a container needs
/// (criu/images/rpc.proto; the numbers are those of its fields).
struct CriuOptions {
    /// Descriptors of this process: criu opens them through /proc/<pid>/fd.
    var images: Int32
    var work: Int32
    var logFile: String
    /// The container's first process; only for a checkpoint.
    var pid: Int32?
    /// The container's root on the host.
    var root: String
    var leaveRunning = false
    var tcpEstablished = false
    var tcpSkipInFlight = false
    var linkRemap = false
    var externalUnixSockets = false
    var shellJob = false
    var fileLocks = false
    var autoDedup = false
    var lazyPages = false
    var trackMemory = false
    var isRestore = false
    var parentImage: String?
    var pageServer: (address: String, port: Int32)?
    var statusFD: Int32?
    var cgroupMode = CgroupMode.soft
    var freezer: String?
    /// Mounts whose content is not the container's own. Saving: the mount point and the name it gets. Restoring: the name and
    /// the source on the host.
    var externalMounts: [(key: String, value: String)] = []
    /// Things outside that open files and namespaces of the container lead to, by criu's names for them.
    var external: [String] = []
    /// The same when restoring: which of criu's descriptors stands for each.
    var inherited: [(key: String, descriptor: Int32)] = []
    var emptyNamespaces: UInt64 = 0
    /// Which group takes the place of the one that the first process was in: of one hierarchy, or of all.
    var cgroupRoots: [(controllers: String?, path: String)] = []
    var lsmProfile: String?
    var lsmMountContext: String?
    /// A file of criu's options, which count before these here.
    var configFile: String?

    /// criu's `criu_cg_mode`.
    enum CgroupMode: String, CaseIterable {
        case ignore, soft, full, strict

        fileprivate var number: UInt64 {
            switch self {
            case .ignore: 0
            case .soft: 3
            case .full: 4
            case .strict: 5
            }
        }
    }

    var message: ProtobufMessage {
        var options = ProtobufMessage()
        options.put(1, images)
        if let pid { options.put(2, pid) }
        options.put(3, leaveRunning)
        options.put(4, externalUnixSockets)
        options.put(5, tcpEstablished)
        options.put(7, shellJob)
        options.put(8, fileLocks)
        options.put(9, 4 as UInt64)
        options.put(10, logFile)
        if let pageServer {
            var server = ProtobufMessage()
            server.put(1, pageServer.address)
            server.put(2, pageServer.port)
            options.put(11, server)
        }
        options.put(12, true)
        options.put(13, root)
        options.put(14, parentImage)
        options.put(15, trackMemory)
        options.put(16, autoDedup)
        options.put(17, work)
        options.put(18, linkRemap)
        for mount in externalMounts { options.put(23, Self.pair(mount.key, mount.value)) }
        options.put(24, true)
        for root in cgroupRoots { options.put(25, Self.pair(root.controllers, root.path)) }
        // The restored process is a child of ours, not of criu, which goes away.
        options.put(26, isRestore)
        for file in inherited {
            var entry = ProtobufMessage()
            entry.put(1, file.key)
            entry.put(2, file.descriptor)
            options.put(27, entry)
        }
        options.put(34, cgroupMode.number)
        for name in external { options.put(37, name) }
        if emptyNamespaces != 0 { options.put(38, emptyNamespaces) }
        options.put(44, freezer)
        options.put(46, tcpSkipInFlight)
        options.put(48, lazyPages)
        if let statusFD { options.put(49, statusFD) }
        options.put(50, true)
        options.put(51, configFile)
        options.put(53, lsmProfile)
        options.put(63, lsmMountContext)
        return options
    }

    /// The annotation by which a container names its file of criu's options.
    static let configAnnotation = "org.criu.config"

    /// The file that the annotation names, none when it is empty; without it runc's, so that what a host's operator wrote
    /// there holds with this runtime in its place. criu passes over a file that does not exist.
    static func configFile(_ annotations: [String: String]) -> String? {
        let named = annotations[configAnnotation] ?? "/etc/criu/runc.conf"
        return named.isEmpty ? nil : named
    }

    private static func pair(_ first: String?, _ second: String) -> ProtobufMessage {
        var entry = ProtobufMessage()
        entry.put(1, first)
        entry.put(2, second)
        return entry
    }
}
