internal import CLinux
internal import Glibc
internal import Linux
internal import Synchronization

/// One thread that waits for all control sockets (epoll). Handlers run on it, one after another, and must not block.
final class ControlLoop: Sendable {
    typealias Handler = @Sendable (_ events: UInt32) -> Void

    private struct Watch {
        let descriptor: Int32
        let handler: Handler
    }

    private struct State {
        var watches: [UInt64: Watch] = [:]
        var lastToken: UInt64 = 0
    }

    private let epoll: Int32
    private let state = Mutex(State())

    /// The loop of this process; its thread starts with the first use and stays.
    static let shared = ControlLoop()

    private init() {
        epoll = clp_epoll_create()
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self).toOpaque()
        let code = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<ControlLoop>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context)
        if code == 0 { pthread_detach(thread) }
    }

    /// Watches a descriptor, which stays the caller's and is unwatched before it is closed.
    func watch(_ descriptor: Int32, _ events: UInt32 = clp_epoll_input(), handler: @escaping Handler) throws(SystemError) -> UInt64 {
        let token = state.withLock { state in
            state.lastToken += 1
            return state.lastToken
        }
        try add(Watch(descriptor: descriptor, handler: handler), events, token)
        return token
    }

    func change(_ token: UInt64, _ events: UInt32) {
        guard let watch = state.withLock({ $0.watches[token] }) else { return }
        _ = clp_epoll_change(epoll, watch.descriptor, events, token)
    }

    func unwatch(_ token: UInt64) {
        guard let watch = state.withLock({ $0.watches.removeValue(forKey: token) }) else { return }
        _ = clp_epoll_remove(epoll, watch.descriptor)
    }

    /// Returns when the descriptor can be read or its peer is gone.
    func readable(_ descriptor: Int32) async throws(SystemError) {
        let result: Result<Void, SystemError> = await withCheckedContinuation { continuation in
            do throws(SystemError) {
                try watchOnce(descriptor) { continuation.resume(returning: .success(())) }
            } catch { continuation.resume(returning: .failure(error)) }
        }
        try result.get()
    }

    /// Calls `body` once, when the descriptor can be read or its peer is gone.
    private func watchOnce(_ descriptor: Int32, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        // The number is needed inside the handler, which may run before `watch` has returned it: so it is taken first.
        let token = state.withLock { state in
            state.lastToken += 1
            return state.lastToken
        }
        let handler: Handler = { [self] _ in
            unwatch(token)
            body()
        }
        try add(Watch(descriptor: descriptor, handler: handler), clp_epoll_input(), token)
    }

    private func add(_ watch: Watch, _ events: UInt32, _ token: UInt64) throws(SystemError) {
        state.withLock { $0.watches[token] = watch }
        do { try retrying("watch descriptor", "\(watch.descriptor)") { clp_epoll_add(epoll, watch.descriptor, events, token) } } catch {
            state.withLock { _ = $0.watches.removeValue(forKey: token) }
            throw error
        }
    }

    private func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        while true {
            let count = epoll_wait(epoll, &events, Int32(events.count), -1)
            if count < 0 && errno != EINTR { return }
            for index in 0..<max(0, Int(count)) {
                let token = events[index].data.u64
                guard let watch = state.withLock({ $0.watches[token] }) else { continue }
                watch.handler(events[index].events)
            }
        }
    }
}
