internal import Archive
internal import Glibc

/// A bounded pipe of bytes between two threads: one writes, one reads. 8 MiB: deep enough that neither side waits
/// for the other's single steps.
///
/// Unchecked: all state is touched only under `mutex`, and the bytes only by the side that owns that part of the ring.
final class RingPipe: ByteSource, @unchecked Sendable {
    private let ring = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 << 20, alignment: 4096)
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// Totals since the beginning; the position in the ring is the remainder.
    private var written = 0
    private var consumed = 0
    private var isEnded = false
    private var failure: (any Error)?
    private var isReaderGone = false

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(changed)
        mutex.deallocate()
        changed.deallocate()
        ring.deallocate()
    }

    /// Lets `fill` put bytes into free space (at least one byte, at most 1 MiB); it answers how many. Returns false,
    /// without calling it, when the reader is gone.
    func write(_ fill: (UnsafeMutableRawBufferPointer) throws -> Int) rethrows -> Bool {
        pthread_mutex_lock(mutex)
        while written - consumed == ring.count && !isReaderGone { pthread_cond_wait(changed, mutex) }
        let free = ring.count - (written - consumed)
        let isGone = isReaderGone
        pthread_mutex_unlock(mutex)
        if isGone { return false }
        let offset = written % ring.count
        let count = try fill(UnsafeMutableRawBufferPointer(rebasing: ring[offset..<offset + min(free, ring.count - offset, 1 << 20)]))
        pthread_mutex_lock(mutex)
        written += count
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
        return true
    }

    /// Nothing more comes; with an error the reader gets that.
    func end(_ error: (any Error)? = nil) {
        pthread_mutex_lock(mutex)
        isEnded = true
        failure = error
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }

    /// The reader takes nothing more.
    func closeReading() {
        pthread_mutex_lock(mutex)
        isReaderGone = true
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        pthread_mutex_lock(mutex)
        while written == consumed && !isEnded { pthread_cond_wait(changed, mutex) }
        let available = written - consumed
        let error = failure
        pthread_mutex_unlock(mutex)
        if available == 0 {
            if let error { throw error }
            return 0
        }
        let offset = consumed % ring.count
        let count = min(available, ring.count - offset, buffer.count)
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: ring[offset..<offset + count]))
        pthread_mutex_lock(mutex)
        consumed += count
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
        return count
    }
}

/// One thread with one job and its result.
///
/// Unchecked: the result is written by the thread before it ends and read after it was joined.
final class Worker<Result>: @unchecked Sendable {
    private let body: () throws -> Result
    private var result: Swift.Result<Result, any Error>?
    private var thread = pthread_t()

    /// `body` must touch nothing that the starting thread touches before `join`.
    init(_ body: @escaping () throws -> Result) throws {
        self.body = body
        let context = Unmanaged.passRetained(self as AnyObject)
        let code = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                (Unmanaged<AnyObject>.fromOpaque(context).takeRetainedValue() as? any Runnable)?.run()
                return nil
            }, context.toOpaque())
        if code != 0 {
            context.release()
            throw ImageError(.failed, "start thread: error \(code)")
        }
    }

    /// Waits for the end; once.
    func join() throws -> Result {
        pthread_join(thread, nil)
        guard let result else { throw ImageError(.failed, "thread ended without a result") }
        return try result.get()
    }
}

private protocol Runnable: AnyObject { func run() }

extension Worker: Runnable {
    func run() { result = Swift.Result { try body() } }
}
