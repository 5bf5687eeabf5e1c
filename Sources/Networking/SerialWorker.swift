internal import CLinux
internal import Glibc
internal import Linux
internal import Synchronization

/// A thread that does jobs one after another: work in another namespace, and work that may wait.
/// It sleeps in the kernel between jobs and ends with `stop`, after the jobs it was given before.
final class SerialWorker: Sendable {
    typealias Job = @Sendable () -> Void

    private struct Queue {
        var jobs: [Job] = []
        var stopping = false
    }

    private let queue = Mutex(Queue())
    /// Counts wake-ups (eventfd(2)).
    private let wake: OwnedFD
    private let thread = Mutex<pthread_t?>(nil)

    init() throws(SystemError) {
        wake = OwnedFD(owning: try retrying("create eventfd") { eventfd(0, Int32(EFD_CLOEXEC)) })
        var started = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let code = pthread_create(
            &started, nil,
            { argument in
                if let argument { Unmanaged<SerialWorker>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, argument.toOpaque())
        if code != 0 {
            argument.release()
            throw SystemError("start thread", code: code)
        }
        thread.withLock { $0 = started }
    }

    /// Gives the thread a job. False after `stop`.
    @discardableResult
    func enqueue(_ job: @escaping Job) -> Bool {
        let accepted = queue.withLock { queue in
            if queue.stopping { return false }
            queue.jobs.append(job)
            return true
        }
        if accepted { signal() }
        return accepted
    }

    /// Waits until all jobs given so far are done, then ends the thread. Must not be called from a job.
    func stop() {
        queue.withLock { $0.stopping = true }
        signal()
        let ended = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        if let ended { pthread_join(ended, nil) }
    }

    private func signal() { _ = eventfd_write(wake.raw, 1) }

    private func run() {
        while true {
            let (jobs, stopping) = queue.withLock { queue in
                defer { queue.jobs = [] }
                return (queue.jobs, queue.stopping)
            }
            for job in jobs { job() }
            if jobs.isEmpty {
                if stopping { return }
                var count: eventfd_t = 0
                _ = eventfd_read(wake.raw, &count)
            }
        }
    }
}
