internal import EngineTypes
internal import JSON
internal import Synchronization

/// The bytes of `GET /containers/json`. A container's entry is encoded when it differs from what was last sent of it.
final class ContainerListings: Sendable {
    private struct Entry {
        let summary: ContainerSummary
        let version: String
        let bytes: [UInt8]
    }

    /// By container ID: what the last answer had, and nothing besides.
    private let entries = Mutex<[String: Entry]>([:])

    /// An array of summaries as a client of `version` knows them, in their order.
    func encode(_ summaries: [ContainerSummary], for version: APIVersion) throws -> [UInt8] {
        try entries.withLock { entries in
            let known = entries
            entries = Dictionary(minimumCapacity: summaries.count)
            var bytes = [UInt8(ascii: "[")]
            for summary in summaries {
                var entry = known[summary.Id]
                if entry?.version != version.description || entry?.summary != summary {
                    let value = FieldGates.containerSummary(try JSON.value(summary), for: version)
                    entry = Entry(summary: summary, version: version.description, bytes: value.serialized())
                }
                guard let entry else { continue }
                if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
                bytes += entry.bytes
                entries[summary.Id] = entry
            }
            bytes.append(UInt8(ascii: "]"))
            return bytes
        }
    }
}
