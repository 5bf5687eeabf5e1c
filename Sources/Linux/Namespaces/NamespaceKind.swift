public import CLinux
internal import Glibc

/// A kind of namespace (namespaces(7)).
public enum NamespaceKind: String, CaseIterable, Sendable {
    case user, mnt, pid, net, ipc, uts, cgroup, time

    /// CLONE_NEW…
    public var flag: Int32 {
        switch self {
        case .user: CLONE_NEWUSER
        case .mnt: CLONE_NEWNS
        case .pid: CLONE_NEWPID
        case .net: CLONE_NEWNET
        case .ipc: CLONE_NEWIPC
        case .uts: CLONE_NEWUTS
        case .cgroup: CLONE_NEWCGROUP
        case .time: CLONE_NEWTIME
        }
    }

    /// Where a process shows its namespace of this kind.
    public func path(of pid: pid_t) -> String { "/proc/\(pid)/ns/\(rawValue)" }

    /// Where the calling process shows it.
    public var ownPath: String { "/proc/self/ns/\(rawValue)" }

    /// Whether two paths name the same namespace.
    public static func areSame(_ first: String, _ second: String) throws(SystemError) -> Bool {
        var one = stat()
        var other = stat()
        try retrying("stat", first) { stat(first, &one) }
        try retrying("stat", second) { stat(second, &other) }
        return one.st_ino == other.st_ino && one.st_dev == other.st_dev
    }
}

/// Namespaces entered for a while: the single-threaded process clones a child in them and goes back.
public struct NamespaceVisit: ~Copyable {
    private var homes: [(kind: NamespaceKind, descriptor: Int32)] = []

    public init() {}

    /// Enters the namespace of an open descriptor, remembering the way back. For `pid`, only children are in it.
    /// Throws EINVAL when the descriptor is a namespace of another kind.
    public mutating func enter(_ kind: NamespaceKind, _ namespace: borrowing OwnedFD, name: String) throws(SystemError) {
        let home = try OwnedFD.open(kind.ownPath)
        let number = namespace.raw
        try retrying("join \(kind.rawValue) namespace", name) { clp_setns(number, kind.flag) }
        homes.append((kind, home.take()))
    }

    /// Makes a new time namespace for the children, with the clocks' offsets (time_namespaces(7)): they can only be set
    /// before there is a process in it. `offsets` is what /proc/<pid>/timens_offsets takes.
    public mutating func enterNewTime(offsets: String) throws(SystemError) {
        let home = try OwnedFD.open(NamespaceKind.time.ownPath)
        try retrying("create time namespace") { clp_unshare(NamespaceKind.time.flag) }
        homes.append((.time, home.take()))
        if !offsets.isEmpty { try Files.write("/proc/self/timens_offsets", offsets, flags: O_WRONLY) }
    }

    /// Goes back, in reverse order.
    public mutating func leave() throws(SystemError) {
        while let (kind, home) = homes.popLast() {
            let result = clp_setns(home, kind.flag)
            let code = errno
            _ = close(home)
            if result != 0 { throw SystemError("return to own \(kind.rawValue) namespace", code: code) }
        }
    }

    deinit { for (_, home) in homes { _ = close(home) } }
}
