internal import Archive
internal import Glibc
internal import NIOCore

/// Brings a body that arrives piece by piece to the thread that reads it. Holds little: whoever sends waits, without
/// blocking a thread, until the reader has caught up.
///
/// Unchecked: all state is touched only under `mutex`.
final class BodyPipe: ByteSource, @unchecked Sendable {
    /// Bytes that may wait for the reader.
    private static let limit = 1 << 20

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var pieces: [ByteBuffer] = []
    private var first = 0
    private var held = 0
    private var isEnded = false
    private var failure: (any Error)?
    private var isReaderGone = false
    private var sender: CheckedContinuation<Void, Never>?

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(changed)
        mutex.deallocate()
        changed.deallocate()
    }

    /// The reader takes nothing more; it knows why.
    struct ReaderGone: Error {}

    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    /// Hands a piece over and waits for room. Throws `ReaderGone` or `CancellationError`.
    func send(_ piece: ByteBuffer) async throws {
        try Task.checkCancellation()
        let goesOn = locked {
            guard !isReaderGone else { return false }
            pieces.append(piece)
            held += piece.readableBytes
            pthread_cond_signal(changed)
            return true
        }
        guard goesOn else { throw ReaderGone() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let hasRoom = locked {
                    if held < Self.limit || isReaderGone || Task.isCancelled { return true }
                    sender = continuation
                    return false
                }
                if hasRoom { continuation.resume() }
            }
        } onCancel: {
            wakeSender()
        }
        try Task.checkCancellation()
    }

    private func wakeSender() {
        let waiting = locked {
            defer { sender = nil }
            return sender
        }
        waiting?.resume()
    }

    /// Nothing more comes; with an error the reader gets that.
    func end(_ error: (any Error)? = nil) {
        locked {
            isEnded = true
            failure = error
            pthread_cond_signal(changed)
        }
    }

    /// The reader takes nothing more.
    func closeReading() {
        locked {
            isReaderGone = true
            pieces = []
            held = 0
        }
        wakeSender()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let (count, error, isLow) = locked { () -> (Int, (any Error)?, Bool) in
            while held == 0 && !isEnded { pthread_cond_wait(changed, mutex) }
            // After a failure nothing that came before it is of use.
            if failure != nil || held == 0 { return (0, failure, false) }
            var count = 0
            while count < buffer.count && first < pieces.count {
                count += pieces[first].readWithUnsafeReadableBytes { bytes in
                    let part = min(bytes.count, buffer.count - count)
                    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[count..<count + part])
                    target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.prefix(part)))
                    return part
                }
                if pieces[first].readableBytes == 0 { first += 1 }
            }
            if first == pieces.count || first > 64 {
                pieces.removeFirst(first)
                first = 0
            }
            held -= count
            return (count, nil, held < Self.limit)
        }
        if let error { throw error }
        if isLow { wakeSender() }
        return count
    }
}

/// Runs work that blocks for long on a thread of its own, so that neither Swift's threads nor a pool's wait for a network.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        let job = ThreadJob { continuation.resume(with: Swift.Result { try body() }) }
        if let code = job.start() { continuation.resume(throwing: ImageError(.failed, "start thread: error \(code)")) }
    }
}

/// A job for one thread, which nobody waits for.
private final class ThreadJob: Sendable {
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }

    /// The error number when no thread could be made.
    func start() -> Int32? {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<ThreadJob>.fromOpaque(context).takeRetainedValue().body() }
                return nil
            }, context.toOpaque())
        if code != 0 {
            context.release()
            return code
        }
        pthread_detach(thread)
        return nil
    }
}
