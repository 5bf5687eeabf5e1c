internal import Linux
internal import ShimProtocol

/// Where a container's output goes besides its peers.
protocol ContainerLog: AnyObject {
    /// Takes what one read brought. `stream` is 1 or 2.
    func append(_ data: UnsafeRawBufferPointer, stream: Int)
    /// The container ended: unfinished lines are written as they are, and what waits goes out.
    func finish()
    /// The container's output is to wait until `onRelief`.
    var isOverfull: Bool { get }
    var onRelief: () -> Void { get set }
    /// A child of the shim that is neither the container nor an exec has ended.
    func childEnded(_ pid: Int32, status: Int32)
}

extension ContainerLog {
    func childEnded(_ pid: Int32, status: Int32) {}
}

/// A log on a server, and its copy on this host.
final class CachedLog: ContainerLog {
    private let remote: RemoteLogWriter
    private let cache: LogWriter

    init(_ remote: RemoteLogWriter, cache: LogWriter) {
        self.remote = remote
        self.cache = cache
    }

    func append(_ data: UnsafeRawBufferPointer, stream: Int) {
        cache.append(data, stream: stream)
        remote.append(data, stream: stream)
    }

    func finish() {
        cache.finish()
        remote.finish()
    }

    var isOverfull: Bool { remote.isOverfull }

    var onRelief: () -> Void {
        get { remote.onRelief }
        set { remote.onRelief = newValue }
    }

    func childEnded(_ pid: Int32, status: Int32) { cache.childEnded(pid, status: status) }
}

extension LaunchRequest.Log {
    /// Opens the log; a server that cannot be reached is a failure, as in Docker.
    func open(loop: EventLoop) throws(ShimFailure) -> (any ContainerLog)? {
        do throws(SystemError) {
            switch self {
            case .none: return nil
            case .jsonFile(let file): return try LogWriter(file)
            case .remote(let configuration):
                let remote = try RemoteLogWriter(configuration, loop: loop)
                guard let cache = configuration.cache else { return remote }
                return CachedLog(remote, cache: try LogWriter(cache))
            }
        } catch { throw ShimFailure(.runtime, "failed to initialize logging driver: \(error)") }
    }
}
