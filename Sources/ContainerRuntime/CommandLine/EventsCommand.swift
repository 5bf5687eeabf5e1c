internal import CLinux
internal import Glibc
internal import JSON
internal import Linux

/// `events`: figures at intervals and notices of memory running out, a JSON document per line (runc-events(8)).
enum EventsCommand {
    static let definition = CommandDefinition(
        name: "events", operands: "<container-id>", summary: "tell a container's statistics and what happens to it",
        options: [
            .value("interval", help: "time between statistics (default: 5s)"),
            .flag("stats", help: "tell the statistics once"),
        ], run: run)

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        let id = try arguments.containerID()
        let text = arguments.value("interval") ?? "5s"
        guard let interval = milliseconds(text) else {
            throw RuntimeError(kind: .usage, message: "option --interval: \"\(text)\" is no duration")
        }
        if interval <= 0 { throw RuntimeError(kind: .usage, message: "duration interval must be greater than 0") }
        let container = try FoundContainer(id, globals.store)
        if container.status == .stopped || container.state.pid == 0 {
            throw RuntimeError(kind: .state, message: "container with id \(id) is not running")
        }
        let cgroup = try container.cgroup()
        if arguments.has("stats") {
            try write(StatisticsDocument.event(id, cgroup))
            return 0
        }
        try follow(id, try container.pidfd(), cgroup, interval)
        return 0
    }

    /// Until the container ends. A notice about the kill that ended it is passed on.
    private static func follow(_ id: String, _ pidfd: borrowing OwnedFD, _ cgroup: CgroupManager, _ interval: Int64) throws {
        let watch = try cgroup.oomWatch()
        var watched = [
            pollfd(fd: pidfd.raw, events: Int16(POLLIN), revents: 0), pollfd(fd: watch.descriptor.raw, events: Int16(POLLIN), revents: 0),
        ]
        var next = monotonicMilliseconds() + interval
        var kills = watch.count()
        while true {
            let rest = max(0, next - monotonicMilliseconds())
            try retrying("wait for events of container", id) { poll(&watched, 2, Int32(clamping: rest)) }
            if watched[1].revents != 0 {
                watch.drain()
                // v1 also announces the end of the cgroup; v2 also other limits that were hit.
                let now = watch.count()
                if let now, !watch.countsBeforeNotice || now != kills { try write(["type": "oom", "id": .string(id)]) }
                kills = now ?? kills
            }
            if watched[0].revents != 0 {
                // The kill that ended it may be counted after the kernel's notice was taken in.
                if watch.countsBeforeNotice, let now = watch.count(), now != kills { try write(["type": "oom", "id": .string(id)]) }
                return
            }
            if monotonicMilliseconds() >= next {
                try write(StatisticsDocument.event(id, cgroup))
                next = monotonicMilliseconds() + interval
            }
        }
    }

    /// At once, also into a pipe.
    private static func write(_ event: JSONValue) throws(SystemError) {
        let output = OwnedFD(owning: 1)
        do { try output.writeAll(Array(event.text().utf8) + [UInt8(ascii: "\n")]) } catch {
            _ = output.take()
            throw SystemError("write event", code: error.code)
        }
        _ = output.take()
    }

    private static func monotonicMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// A duration as Go writes it: `5s`, `100ms`, `1m30s`, `1.5s`; nil for what is none. Less than a millisecond counts as one.
    static func milliseconds(_ text: String) -> Int64? {
        if text == "0" { return 0 }
        let units: [String: Double] = ["ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000]
        let isNegative = text.hasPrefix("-")
        var rest = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
        var total = 0.0
        if rest.isEmpty { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { !($0.isASCII && ($0.isNumber || $0 == ".")) }
            rest = rest.dropFirst(unit.count)
            guard let number = Double(digits), let factor = units[String(unit)] else { return nil }
            total += number * factor
        }
        guard total <= 9e15 else { return nil }
        if isNegative { return -Int64(total) }
        return total > 0 ? max(1, Int64(total)) : 0
    }
}
