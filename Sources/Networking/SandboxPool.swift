internal import CLinux
internal import Glibc
internal import Linux
internal import Netlink
internal import Synchronization

/// A few network namespaces kept ready. Making one takes half a millisecond, and tens of milliseconds while the kernel
/// tears others down, so a thread of its own makes the next one as soon as one is taken.
final class SandboxPool: Sendable {
    private let worker: SerialWorker
    private let home: OwnedFD
    private let ready = Mutex<[Result<NetworkSandbox, SystemError>]>([])
    /// Counts what stands in `ready` (eventfd(2) as a semaphore): a taker waits here when there is nothing.
    private let available: OwnedFD

    private let size: Int

    /// The pool's namespaces are made from the calling thread's.
    init(size: Int) throws(SystemError) {
        home = try NetworkNamespace.current()
        available = OwnedFD(owning: try retrying("create eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_SEMAPHORE)) })
        worker = try SerialWorker()
        self.size = max(size, 1)
        for _ in 0..<self.size { order() }
    }

    private func order() {
        worker.enqueue { [weak self] in
            guard let self else { return }
            // Whoever took one is about to make interfaces, for which the kernel has one lock with this. While there are
            // others ready, let them go first.
            // Below half the pool is being drawn down by many at once, and waiting would only make them wait.
            if self.ready.withLock({ $0.count * 2 > self.size }) { usleep(20_000) }
            let result = Result { () throws(SystemError) in try NetworkSandbox.make(returningTo: self.home.raw) }
            self.ready.withLock { $0.append(result) }
            _ = eventfd_write(self.available.raw, 1)
        }
    }

    /// The oldest one that is ready; waits for the thread when there is none.
    func take() throws(SystemError) -> NetworkSandbox {
        order()
        var count: eventfd_t = 0
        try retrying("wait for network namespace") { eventfd_read(available.raw, &count) }
        let next = ready.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        guard let next else { throw SystemError("take network namespace", code: ECANCELED) }
        return try next.get()
    }

    /// Ends the thread and lets go of what is ready. A taker that comes later, or still waits, is told so.
    func stop() {
        worker.stop()
        ready.withLock { $0 = [] }
        // Wakes whoever waits: there is nothing, and nothing will come.
        _ = eventfd_write(available.raw, 1 << 32)
    }
}
