internal import ClientUI
internal import EngineClient
internal import JSON

extension Command {
    static var systemDiskUsage: Command {
        Command(
            "system df", summary: "Show disk usage", usage: "[OPTIONS]",
            flags: [ListFlags.format, Flag("verbose", "v", .bool, "Show detailed information on space usage")]
        ) { context in
            let usage = try context.get("/system/df")
            if context.flags.bool("verbose") { return try DiskUsageDetails(usage, context).show() }
            func array(_ name: String) -> [JSONValue] { usage[name]?.arrayValue ?? [] }
            func sum(_ items: [JSONValue], _ size: (JSONValue) -> Double?) -> Double { items.reduce(0) { $0 + max(0, size($1) ?? 0) } }
            func row(_ type: String, _ total: Int, _ active: Int, _ size: Double, _ free: Double) -> [String: String] {
                let share = size > 0 ? " (\(Int(free / size * 100))%)" : ""
                return [
                    "Type": type, "TotalCount": "\(total)", "Active": "\(active)", "Size": HumanSize.decimal(size),
                    "Reclaimable": HumanSize.decimal(free) + share,
                ]
            }
            let images = array("Images")
            let imageSize = usage["LayersSize"]?.doubleValue ?? 0
            let usedImages = images.filter { ($0["Containers"]?.intValue ?? 0) > 0 }
            let usedSize = sum(usedImages) { ($0["Size"]?.doubleValue ?? 0) - max(0, $0["SharedSize"]?.doubleValue ?? 0) }
            let containers = array("Containers")
            let live = containers.filter { ["running", "paused", "restarting"].contains($0["State"]?.stringValue ?? "") }
            let volumes = array("Volumes")
            let usedVolumes = volumes.filter { ($0["UsageData"]?["RefCount"]?.intValue ?? 0) > 0 }
            let cache = array("BuildCache")
            func volumeSize(_ volume: JSONValue) -> Double? { volume["UsageData"]?["Size"]?.doubleValue }
            let rows = [
                row("Images", images.count, usedImages.count, imageSize, imageSize - usedSize),
                row(
                    "Containers", containers.count, live.count, sum(containers) { $0["SizeRw"]?.doubleValue },
                    sum(containers) { $0["SizeRw"]?.doubleValue } - sum(live) { $0["SizeRw"]?.doubleValue }),
                row(
                    "Local Volumes", volumes.count, usedVolumes.count, sum(volumes, volumeSize),
                    sum(volumes, volumeSize) - sum(usedVolumes, volumeSize)),
                row(
                    "Build Cache", cache.count, cache.filter { $0["InUse"]?.boolValue ?? false }.count,
                    sum(cache) { $0["Size"]?.doubleValue },
                    sum(cache.filter { !($0["InUse"]?.boolValue ?? false) }) { $0["Size"]?.doubleValue }),
            ]
            let headers = ["Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"]
            let list = ListFormat(columns: ["Type", "TotalCount", "Active", "Size", "Reclaimable"], headers: headers, quietField: "Type")
            try list.print(rows, format: context.flags.string("format"), quiet: false, to: context.out)
            return 0
        }
    }

    static var systemPrune: Command {
        Command(
            "system prune", summary: "Remove unused data", usage: "[OPTIONS]",
            flags: [
                Flag("all", "a", .bool, "Remove all unused images not just dangling ones"),
                Flag("volumes", .bool, "Prune anonymous volumes"),
            ] + Prune.flags("Provide filter values (e.g. \"label=<key>=<value>\")")
        ) { context in
            try SystemPrune(context).run()
        }
    }

    static var builderPrune: Command {
        Command(
            "builder prune", summary: "Remove build cache", usage: "[OPTIONS]",
            flags: [
                Flag("all", "a", .bool, "Remove all unused build cache, not just dangling ones"),
                Flag("keep-storage", .bytes, "Amount of disk space to keep for cache (older name of --reserved-space)"),
                Flag("max-used-space", .bytes, "Maximum amount of disk space allowed to keep for cache"),
                Flag("min-free-space", .bytes, "Target amount of free disk space after pruning"),
                Flag("reserved-space", .bytes, "Amount of disk space always allowed to keep for cache"),
            ]
                + Prune.flags("Provide filter values (e.g. \"until=24h\")")
        ) { context in
            var query = try context.filters()
            if context.flags.bool("all") { query.append(("all", "1")) }
            for name in ["keep-storage", "max-used-space", "min-free-space", "reserved-space"] {
                if let bytes = context.flags.bytes(name) { query.append((name, "\(bytes)")) }
            }
            return try Prune.run(
                context, "/build/prune", query: query, warning: "This will remove all dangling build cache.",
                title: "Deleted build cache objects", member: "CachesDeleted")
        }
    }
}

/// `system prune`: containers, networks, volumes when asked, images and the build cache, in Docker's order.
private struct SystemPrune {
    let context: Context

    init(_ context: Context) { self.context = context }

    func run() throws -> Int32 {
        let flags = context.flags
        let (all, volumes) = (flags.bool("all"), flags.bool("volumes"))
        let filters = try context.filters()
        if !flags.bool("force") {
            var parts = ["all stopped containers", "all networks not used by at least one container"]
            if volumes { parts.append("all anonymous volumes not used by at least one container") }
            parts.append(all ? "all images without at least one container associated to them" : "all dangling images")
            parts.append(all ? "all build cache" : "unused build cache")
            let list = parts.map { "  - \($0)\n" }.joined()
            guard context.confirm("WARNING! This will remove:\n\(list)\nAre you sure you want to continue?") else { return 0 }
        }
        var reclaimed = 0.0
        func prune(_ path: String, _ query: [(String, String)], _ title: String, _ member: String) throws {
            let report = try context.post(path, query)
            let names = (report[member]?.arrayValue ?? []).compactMap { $0.stringValue ?? Prune.deletion($0) }
            if !names.isEmpty { context.print("\(title):\n\(names.joined(separator: "\n"))\n") }
            reclaimed += report["SpaceReclaimed"]?.doubleValue ?? 0
        }
        try prune("/containers/prune", filters, "Deleted Containers", "ContainersDeleted")
        try prune("/networks/prune", filters, "Deleted Networks", "NetworksDeleted")
        if volumes { try prune("/volumes/prune", filters, "Deleted Volumes", "VolumesDeleted") }
        var imageFilters = try context.filterSet()
        if all { imageFilters["dangling"] = ["false": true] }
        try prune(
            "/images/prune", imageFilters.isEmpty ? [] : [("filters", JSONValue.object(imageFilters).text())], "Deleted Images",
            "ImagesDeleted")
        if filters.isEmpty { try prune("/build/prune", all ? [("all", "1")] : [], "Deleted build cache objects", "CachesDeleted") }
        context.print("Total reclaimed space: \(HumanSize.decimal(reclaimed))")
        return 0
    }
}
