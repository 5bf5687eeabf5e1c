internal import CLinux
internal import Glibc

extension CgroupManager {
    /// Where freezing is done: cgroup2's own freezer where there is one, because the kernel tells when it is done and a
    /// frozen process can still be killed; else v1's. A cgroup2 directory without processes beside a v1 freezer was
    /// made by something that does not use it.
    private var freezer: CgroupDirectory? {
        let v1 = directory(of: "freezer")
        guard let unified, let events = try? unified.read("cgroup.events"), KeyedNumbers(events)["frozen"] != nil else { return v1 }
        return v1 != nil && KeyedNumbers(events)["populated"] == 0 ? v1 : unified
    }

    /// Stops every process of the cgroup; returns when all stand still. Throws `timedOut` (and thaws) when one cannot
    /// be stopped within a second, as a process in uninterruptible sleep.
    public func freeze() throws {
        guard let freezer else { throw CgroupError.controllerMissing(controller: "freezer", setting: "freezer state") }
        if freezer.isUnified {
            try freezer.write("cgroup.freeze", "1")
            if freezer.waitForEvent("frozen", equals: 1, milliseconds: 1000) { return }
        } else if try freezer.freezeV1() {
            return
        }
        try thaw()
        throw CgroupError.timedOut(operation: "freeze", path: path)
    }

    /// Lets the processes go on.
    public func thaw() throws {
        if let unified, unified.has("cgroup.freeze") { try unified.write("cgroup.freeze", "0") }
        guard let v1 = directory(of: "freezer"), !v1.isUnified else { return }
        if (try? v1.read("freezer.state")) != "THAWED\n" { try v1.write("freezer.state", "THAWED") }
    }

    /// Whether a cgroup above is frozen, which alone can thaw this one.
    public var isFrozenFromAbove: Bool {
        if let unified, (try? unified.read("cgroup.freeze")) == "0\n", unified.isFrozenByEvents { return true }
        return directory(of: "freezer")?.number("freezer.parent_freezing") == 1
    }

    /// Whether the processes stand still: told to, by whichever freezer, or with a cgroup above.
    public var isFrozen: Bool {
        if let unified, (try? unified.read("cgroup.freeze")) == "1\n" || unified.isFrozenByEvents { return true }
        guard let v1 = directory(of: "freezer"), let state = try? v1.read("freezer.state") else { return false }
        return state == "FROZEN\n" || state == "FREEZING\n"
    }
}

extension CgroupDirectory {
    fileprivate var isFrozenByEvents: Bool { (try? read("cgroup.events")).map { KeyedNumbers($0)["frozen"] == 1 } ?? false }

    /// v1: a task that is forking may miss the order, so it is given again; the kernel notifies nobody
    /// (cgroup-v1/freezer-subsystem.rst).
    fileprivate func freezeV1() throws -> Bool {
        var pause: UInt32 = 50
        while pause < 400_000 {
            try write("freezer.state", "FROZEN")
            if try read("freezer.state") == "FROZEN\n" { return true }
            usleep(pause)
            pause *= 2
        }
        return false
    }

    /// Waits until `name` has a value in cgroup.events, whose changes the kernel announces by POLLPRI (cgroup-v2.rst).
    func waitForEvent(_ name: String, equals wanted: Int, milliseconds: Int32) -> Bool {
        guard let events = try? OwnedFD.open(file("cgroup.events")) else { return false }
        let start = Timestamp.monotonicMilliseconds()
        while true {
            lseek(events.raw, 0, SEEK_SET)
            guard let text = try? events.readAll() else { return false }
            if KeyedNumbers(String(decoding: text, as: UTF8.self))[name] == UInt64(wanted) { return true }
            let rest = Int64(milliseconds) - (Timestamp.monotonicMilliseconds() - start)
            if rest <= 0 { return false }
            var entry = pollfd(fd: events.raw, events: Int16(POLLPRI), revents: 0)
            _ = poll(&entry, 1, Int32(rest))
        }
    }
}

extension Timestamp {
    /// Milliseconds of the clock that never jumps.
    static func monotonicMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

/// A knob of lines `name number`, such as memory.stat and cgroup.events, in their order.
struct KeyedNumbers {
    private(set) var entries: [(name: String, value: UInt64)] = []

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            guard let space = line.lastIndex(of: " "), let value = UInt64(line[line.index(after: space)...]) else { continue }
            entries.append((String(line[..<space]), value))
        }
    }

    subscript(name: String) -> UInt64? { entries.first { $0.name == name }?.value }
}
