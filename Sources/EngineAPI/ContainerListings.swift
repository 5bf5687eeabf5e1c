internal import EngineTypes
internal import JSON
internal import Synchronization

/// The bytes of `GET /containers/json`. A container's entry is encoded when it differs from what was last sent of it.
final class ContainerListings: Sendable {
    private struct Entry {
        let summary: ContainerSummary
        let bytes: [UInt8]
    }

    /// So many versions' answers are kept: clients of more than that in turn are answered anew.
    private static let mostVersions = 4

    /// By version and container ID: what the last answer had, and nothing besides.
    private let answers = Mutex<[String: [String: Entry]]>([:])

    /// An array of summaries as a client of `version` knows them, in their order.
    func encode(_ summaries: [ContainerSummary], for version: APIVersion) throws -> [UInt8] {
        try answers.withLock { answers in
            let known = answers.removeValue(forKey: version.description) ?? [:]
            if answers.count >= Self.mostVersions { answers = [:] }
            var entries: [String: Entry] = Dictionary(minimumCapacity: summaries.count)
            var bytes = [UInt8(ascii: "[")]
            for summary in summaries {
                var entry = known[summary.Id]
                if entry?.summary != summary {
                    let value = FieldGates.containerSummary(try JSON.value(summary), for: version)
                    entry = Entry(summary: summary, bytes: value.serialized())
                }
                guard let entry else { continue }
                if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
                bytes += entry.bytes
                entries[summary.Id] = entry
            }
            answers[version.description] = entries
            bytes.append(UInt8(ascii: "]"))
            return bytes
        }
    }
}
