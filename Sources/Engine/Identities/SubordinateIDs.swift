internal import EngineTypes
internal import Linux
internal import OCIRuntimeSpec

/// A file of subordinate ids: /etc/subuid or /etc/subgid (subuid(5)).
struct SubordinateIDs {
    struct Range: Equatable {
        var owner: String
        var start: UInt32
        var count: UInt32
    }

    let ranges: [Range]

    /// Throws `EngineError` for a line that is none.
    init(parsing text: String, file: String) throws(EngineError) {
        var ranges: [Range] = []
        for line in text.split(separator: "\n") where !line.hasPrefix("#") && !line.allSatisfy({ $0 == " " }) {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 3, let start = UInt32(fields[1]), let count = UInt32(fields[2]), count > 0,
                !start.addingReportingOverflow(count).overflow
            else { throw .invalid("cannot parse subuid or subgid file \(file): expected user:start:count, found \"\(line)\"") }
            ranges.append(Range(owner: fields[0], start: start, count: count))
        }
        self.ranges = ranges
    }

    init(file: String) throws(EngineError) {
        try self.init(parsing: Files.exists(file) ? (try? Files.readText(file)) ?? "" : "", file: file)
    }

    /// The container's ids from 0 on the ranges of one user, by its name or number, in the file's order.
    func mapping(of owners: [String]) -> [Spec.IDMapping] {
        var next: UInt32 = 0
        return owners.flatMap { owner in ranges.filter { $0.owner == owner } }.map { range in
            defer { next += range.count }
            return Spec.IDMapping(containerID: next, hostID: range.start, size: range.count)
        }
    }

    /// Where 65,536 ids begin that nobody has: from 100,000 on, as dockerd looks.
    var firstFree: UInt32 {
        ranges.sorted { $0.start < $1.start }.reduce(100_000) { candidate, range in
            let overlaps = candidate < range.start + range.count && range.start <= candidate + 65_536
            return overlaps ? range.start + range.count : candidate
        }
    }
}
