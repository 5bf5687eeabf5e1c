internal import ClientUI
internal import EngineClient
internal import Glibc
internal import JSON

extension Command {
    static var containerStats: Command {
        Command(
            "container stats", "stats", summary: "Display a live stream of container(s) resource usage statistics",
            usage: "[OPTIONS] [CONTAINER...]",
            arity: .any,
            flags: [
                Flag("all", "a", .bool, "Show all containers (default shows just running)"), ListFlags.format,
                Flag("no-stream", .bool, "Disable streaming stats and only pull the first result"), ListFlags.noTrunc,
            ]
        ) { context in
            var rounds = StatisticsRounds(context)
            let format = context.flags.given("format") ?? context.configuration.format("statsFormat")
            let list = ListFormat(
                columns: ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"], headers: StatisticsRow.headers,
                quietField: "ID")
            _ = try rounds.next()
            while true {
                sleep(1)
                let rows = try rounds.next()
                if !context.flags.bool("no-stream") { context.out.write("\u{1B}[2J\u{1B}[H") }
                try list.print(rows, format: format, quiet: false, to: context.out)
                context.out.flush()
                if context.flags.bool("no-stream") { return 0 }
            }
        }
    }
}

/// Samples of several containers, a round at a time: what a processor did is the difference to the round before.
private struct StatisticsRounds {
    private let context: Context
    private var before: [String: JSONValue] = [:]

    init(_ context: Context) { self.context = context }

    /// A row for each container that is named, or for all. One that is named and unknown is an error; one that goes is left out.
    mutating func next() throws -> [[String: String]] {
        let isFirst = before.isEmpty
        var names = context.arguments
        if names.isEmpty {
            let all = try context.get("/containers/json", context.flags.bool("all") ? [("all", "1")] : [])
            names = (all.arrayValue ?? []).compactMap { $0["Id"]?.stringValue }
        }
        var now: [String: JSONValue] = [:]
        let rows: [[String: String]] = try names.compactMap { name in
            let path = "/containers/\(Context.segment(name))/stats"
            let stats: JSONValue
            do { stats = try context.get(path, [("stream", "0"), ("one-shot", "1")]) } catch ClientError.api(let status, _)
                where status == 404 && (!isFirst || context.arguments.isEmpty)
            { return nil }
            now[name] = stats
            return StatisticsRow.fields(stats, before: before[name], truncated: !context.flags.bool("no-trunc"))
        }
        before = now
        return rows
    }
}

/// A container as a row of `stats`.
enum StatisticsRow {
    static let headers = [
        "ID": "CONTAINER ID", "Name": "NAME", "Container": "CONTAINER", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT",
        "MemPerc": "MEM %",
        "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
    ]

    /// - Parameter before: an earlier sample to compare the processor's time with.
    static func fields(_ stats: JSONValue, before: JSONValue?, truncated: Bool) -> [String: String] {
        let id = Cell.id(stats["id"]?.stringValue ?? "", truncated: truncated)
        let memory = stats["memory_stats"]
        // The page cache that can be given back at once is not the container's use.
        let cache = memory?["stats"]?["total_inactive_file"]?.doubleValue ?? memory?["stats"]?["inactive_file"]?.doubleValue ?? 0
        let usage = memory?["usage"]?.doubleValue ?? 0
        let used = cache < usage ? usage - cache : usage
        let limit = memory?["limit"]?.doubleValue ?? 0
        let networks = stats["networks"]?.objectValue?.members.map(\.value) ?? []
        func sum(_ key: String) -> Double { networks.reduce(0) { $0 + ($1[key]?.doubleValue ?? 0) } }
        func blocks(_ operation: String) -> Double {
            (stats["blkio_stats"]?["io_service_bytes_recursive"]?.arrayValue ?? []).filter {
                $0["op"]?.stringValue?.lowercased() == operation
            }
            .reduce(0) { $0 + ($1["value"]?.doubleValue ?? 0) }
        }
        return [
            "ID": id, "Container": id, "Name": (stats["name"]?.stringValue ?? "").drop { $0 == "/" }.description,
            "CPUPerc": HumanSize.fixed(processor(stats, before: before), 2) + "%",
            "MemUsage": "\(HumanSize.binary(used)) / \(HumanSize.binary(limit))",
            "MemPerc": HumanSize.fixed(limit > 0 ? used / limit * 100 : 0, 2) + "%",
            "NetIO": "\(HumanSize.decimal(sum("rx_bytes"), precision: 3)) / \(HumanSize.decimal(sum("tx_bytes"), precision: 3))",
            "BlockIO": "\(HumanSize.decimal(blocks("read"), precision: 3)) / \(HumanSize.decimal(blocks("write"), precision: 3))",
            "PIDs": "\(stats["pids_stats"]?["current"]?.intValue ?? 0)",
        ]
    }

    private static func processor(_ stats: JSONValue, before: JSONValue?) -> Double {
        let now = stats["cpu_stats"]
        guard let before = before?["cpu_stats"] else { return 0 }
        let used = (now?["cpu_usage"]?["total_usage"]?.doubleValue ?? 0) - (before["cpu_usage"]?["total_usage"]?.doubleValue ?? 0)
        let system = (now?["system_cpu_usage"]?.doubleValue ?? 0) - (before["system_cpu_usage"]?.doubleValue ?? 0)
        guard used > 0, system > 0 else { return 0 }
        return used / system * (now?["online_cpus"]?.doubleValue ?? 1) * 100
    }
}
