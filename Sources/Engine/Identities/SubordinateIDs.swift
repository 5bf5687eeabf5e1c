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

    /// How many ids `default` gets, as with dockerd.
    static let wanted: UInt32 = 65_536

    let ranges: [Range]
    let file: String

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
        self.file = file
    }

    init(file: String) throws(EngineError) {
        try self.init(parsing: Files.exists(file) ? (try? Files.readText(file)) ?? "" : "", file: file)
    }

    /// The container's ids from 0 on the ranges of one user, by its name or number, in the file's order. Throws `EngineError` when
    /// they are more than there are ids.
    func mapping(of owners: [String]) throws(EngineError) -> [Spec.IDMapping] {
        var mappings: [Spec.IDMapping] = []
        var next: UInt32 = 0
        for range in owners.flatMap({ owner in ranges.filter { $0.owner == owner } }) {
            mappings.append(Spec.IDMapping(containerID: next, hostID: range.start, size: range.count))
            let (sum, isTooLarge) = next.addingReportingOverflow(range.count)
            if isTooLarge { throw .invalid("the ranges of \"\(range.owner)\" in \(file) are together more than 4294967295 ids") }
            next = sum
        }
        return mappings
    }

    /// The first of 65,536 ids that nobody has: from 100,000 on, as dockerd looks. Throws `EngineError` when there are none.
    func firstFree() throws(EngineError) -> UInt32 {
        let wanted = UInt64(Self.wanted)
        let first = ranges.sorted { $0.start < $1.start }.reduce(UInt64(100_000)) { candidate, range in
            let (start, end) = (UInt64(range.start), UInt64(range.start) + UInt64(range.count))
            return candidate < end && start <= candidate + wanted ? end : candidate
        }
        // The last number means nobody (user_namespaces(7)).
        guard first + wanted <= UInt64(UInt32.max) else { throw .invalid("no \(wanted) ids in a row are left in \(file)") }
        return UInt32(first)
    }
}
