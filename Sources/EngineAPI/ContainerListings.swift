internal import EngineTypes
internal import JSON
internal import NIOCore
internal import Synchronization

/// The bytes of `GET /containers/json`. A container's entry is encoded when it differs from what was last sent of it.
final class ContainerListings: Sendable {
    /// A class: hundreds of them are kept from one answer to the next, and a summary is large to copy.
    private final class Entry: Sendable {
        let summary: ContainerSummary
        let bytes: [UInt8]

        init(_ summary: ContainerSummary, for version: APIVersion) throws {
            self.summary = summary
            bytes = FieldGates.containerSummary(try JSON.value(summary), for: version).serialized()
        }
    }

    /// So many versions' answers are kept: clients of more than that in turn are answered anew.
    private static let mostVersions = 4

    /// By version and container ID: what the last answer had, and nothing besides.
    private let answers = Mutex<[String: [String: Entry]]>([:])

    /// An array of summaries as a client of `version` knows them, in their order, and a line end.
    func encode(_ summaries: [ContainerSummary], for version: APIVersion) throws -> ByteBuffer {
        Self.joined(try entries(of: summaries, for: version))
    }

    private func entries(of summaries: [ContainerSummary], for version: APIVersion) throws -> [Entry] {
        try answers.withLock { answers in
            var known = answers.removeValue(forKey: version.description) ?? [:]
            if answers.count >= Self.mostVersions { answers = [:] }
            let entries = try summaries.map { summary in
                if let entry = known[summary.Id], entry.summary == summary { return entry }
                let entry = try Entry(summary, for: version)
                known[summary.Id] = entry
                return entry
            }
            if known.count > entries.count {
                known = Dictionary(entries.map { ($0.summary.Id, $0) }, uniquingKeysWith: { $1 })
            }
            answers[version.description] = known
            return entries
        }
    }

    private static func joined(_ entries: [Entry]) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: entries.reduce(3) { $0 + $1.bytes.count + 1 })
        buffer.writeInteger(UInt8(ascii: "["))
        for (index, entry) in entries.enumerated() {
            if index > 0 { buffer.writeInteger(UInt8(ascii: ",")) }
            buffer.writeBytes(entry.bytes)
        }
        buffer.writeBytes([UInt8(ascii: "]"), UInt8(ascii: "\n")])
        return buffer
    }
}
