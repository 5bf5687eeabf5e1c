internal import CLinux
internal import Glibc
internal import Linux

/// The shim's one place to wait: epoll (level-triggered) and a few deadlines. Single-threaded.
final class EventLoop {
    typealias Handler = (_ events: UInt32) -> Void

    private struct Watch {
        let descriptor: Int32
        let handler: Handler
        var events: UInt32
    }

    private let epoll: OwnedFD
    /// By a number that is never used twice, so that an event of a descriptor closed a moment ago finds nobody.
    private var watches: [UInt64: Watch] = [:]
    private var lastToken: UInt64 = 0
    private var deadlines: [UInt64: (time: Int64, action: () -> Void)] = [:]
    private var isStopped = false

    init() throws(SystemError) { epoll = OwnedFD(owning: try retrying("epoll") { clp_epoll_create() }) }

    /// Watches a descriptor, which stays the caller's. With no events only hang-up and error are told.
    func watch(_ descriptor: Int32, _ events: UInt32, handler: @escaping Handler) throws(SystemError) -> UInt64 {
        lastToken += 1
        let token = lastToken
        try retrying("watch descriptor", "\(descriptor)") { clp_epoll_add(epoll.raw, descriptor, events, token) }
        watches[lastToken] = Watch(descriptor: descriptor, handler: handler, events: events)
        return lastToken
    }

    func change(_ token: UInt64, _ events: UInt32) {
        guard let watch = watches[token], watch.events != events else { return }
        _ = clp_epoll_change(epoll.raw, watch.descriptor, events, token)
        watches[token]?.events = events
    }

    /// Before the descriptor is closed.
    func unwatch(_ token: UInt64) {
        guard let watch = watches.removeValue(forKey: token) else { return }
        _ = clp_epoll_remove(epoll.raw, watch.descriptor)
    }

    /// Calls `action` once, after so many milliseconds.
    func after(milliseconds: Int64, _ action: @escaping () -> Void) -> UInt64 {
        lastToken += 1
        deadlines[lastToken] = (EventLoop.now() + milliseconds, action)
        return lastToken
    }

    func cancel(_ deadline: UInt64) { deadlines[deadline] = nil }

    func stop() { isStopped = true }

    /// Waits and calls handlers until `stop`.
    func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 16)
        while !isStopped {
            let count = epoll_wait(epoll.raw, &events, Int32(events.count), timeout())
            for index in 0..<max(0, Int(count)) {
                guard let watch = watches[events[index].data.u64] else { continue }
                watch.handler(events[index].events)
            }
            fireDeadlines()
        }
    }

    private func timeout() -> Int32 {
        guard let next = deadlines.values.map(\.time).min() else { return -1 }
        return Int32(clamping: max(0, next - EventLoop.now()))
    }

    private func fireDeadlines() {
        if deadlines.isEmpty { return }
        let now = EventLoop.now()
        let due = deadlines.filter { $0.value.time <= now }.keys.sorted()
        // One of them may cancel another, whose owner is then gone.
        for token in due { deadlines.removeValue(forKey: token)?.action() }
    }

    /// Milliseconds of a clock that never goes back.
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

extension EventLoop {
    /// Milliseconds for which no connection is taken after one could not be, for want of descriptors or memory: the listening
    /// socket stays ready, and without a rest the loop would turn round and round.
    static let rest: Int64 = 100

    /// Whether accept(2) failed with this code because descriptors or memory are short.
    static func needsRest(_ code: Int32) -> Bool { [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) }
}

/// Events by name, as numbers.
enum Readiness {
    static let input = clp_epoll_input()
    static let output = clp_epoll_output()
    static let gone = clp_epoll_gone()
}

/// Sets O_NONBLOCK.
func makeNonBlocking(_ descriptor: Int32) throws(SystemError) {
    let flags = try retrying("read flags of descriptor", "\(descriptor)") { clp_fcntl(descriptor, F_GETFL, 0) }
    try retrying("set flags of descriptor", "\(descriptor)") { clp_fcntl(descriptor, F_SETFL, Int(flags | O_NONBLOCK)) }
}
