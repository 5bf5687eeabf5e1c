/// A limit or an operation that this host's cgroups cannot carry out. Failed system calls are `SystemError`s.
public enum CgroupError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A limit was asked for, but no hierarchy with its controller is mounted.
    case controllerMissing(controller: String, setting: String)
    /// The controller is there, but this kernel or this cgroup version has no such limit.
    case unsupported(setting: String, reason: String)
    /// A value that makes no sense.
    case invalid(setting: String, reason: String)
    /// The cgroup exists already and has processes of someone else in it.
    case occupied(path: String, processes: Int)
    /// The cgroup exists already and is frozen: a process put into it would never run.
    case frozen(path: String)
    /// An operation of the kernel did not finish in the time allowed.
    case timedOut(operation: String, path: String)
    /// Not built yet.
    case notImplemented(String)

    public var description: String {
        switch self {
        case .controllerMissing(let controller, let setting):
            "set \(setting): the cgroup controller \(controller) is not available on this host"
        case .unsupported(let setting, let reason): "set \(setting): not supported: \(reason)"
        case .invalid(let setting, let reason): "set \(setting): \(reason)"
        case .occupied(let path, let processes): "create cgroup \(path): container's cgroup is not empty: \(processes) process(es) found"
        case .frozen(let path): "create cgroup \(path): container's cgroup unexpectedly frozen"
        case .timedOut(let operation, let path): "\(operation) cgroup \(path): timed out"
        case .notImplemented(let what): "not implemented: \(what)"
        }
    }
}
