internal import Linux

/// Tells when the kernel kills a process of the container for lack of memory, and how often it has.
final class OOMNotice {
    /// A reference to what cannot be copied.
    private final class Holder {
        let watch: OOMWatch
        init(_ cgroup: CgroupManager) throws { watch = try cgroup.oomWatch() }
        var number: Int32 { watch.descriptor.raw }
        func drain() { watch.drain() }
        var countsBeforeNotice: Bool { watch.countsBeforeNotice }
    }

    private let loop: EventLoop
    private let cgroup: CgroupManager?
    private let holder: Holder?
    private let onKill: () -> Void
    private var token: UInt64?
    private var seen: UInt64 = 0
    private var seenPeak: UInt64?

    /// Without a memory controller it tells nothing.
    init(_ cgroup: CgroupManager?, loop: EventLoop, onKill: @escaping () -> Void) {
        self.loop = loop
        self.cgroup = cgroup
        self.onKill = onKill
        holder = cgroup.flatMap { try? Holder($0) }
        guard let holder else { return }
        token = try? loop.watch(holder.number, Readiness.input) { [unowned self] _ in
            holder.drain()
            check(again: 1)
        }
        // The program runs already: of a kill before the watch began nobody tells any more. v2 has counted it by now; on v1
        // the notice may be gone and the kill still to come.
        if holder.countsBeforeNotice { checkCount() } else { check(again: 10) }
    }

    deinit { if let token { loop.unwatch(token) } }

    /// v1 announces before it kills: the count at the container's end is what counts, or the last one that was seen, because
    /// systemd takes a scope away as soon as nothing runs in it.
    var hasKilled: Bool { max(seen, cgroup?.oomKills ?? 0) > 0 }

    /// The most memory, in bytes, that a container has used whose processes were killed.
    var memoryPeak: UInt64? { hasKilled ? peak ?? seenPeak : nil }

    private var peak: UInt64? { (try? cgroup?.statistics())?.memory?.maximumUsage }

    /// Tells of kills since the last time; true when there were any.
    @discardableResult
    func checkCount() -> Bool {
        guard let count = cgroup?.oomKills, count > seen else { return false }
        seen = count
        seenPeak = peak ?? seenPeak
        onKill()
        return true
    }

    /// v1 announces that memory is short before it kills, and nothing tells when it has: so the count is asked for again
    /// after 1, 10, 100 and 1,000 milliseconds.
    private func check(again pause: Int64) {
        if checkCount() || pause > 1000 { return }
        _ = loop.after(milliseconds: pause) { [weak self] in self?.check(again: pause * 10) }
    }
}
