internal import OCIImageSpec
internal import RecordStore

/// What earlier transfers teach later ones: where a blob is to be had in a registry, and as what a layer was packed. Only a hint:
/// nothing is lost with it.
struct TransferHistory: Sendable {
    private struct Origin: Codable, Sendable {
        /// Names of repositories, newest last.
        var repositories: [String]
    }

    private let origins: RecordTable<Origin>
    private let packed: RecordTable<Descriptor>
    private let records: RecordStore

    /// More places of one blob help nobody.
    private static let limit = 16

    init(_ records: RecordStore) throws {
        self.records = records
        origins = try records.table("images_origin")
        packed = try records.table("images_packed")
    }

    /// Repositories (`docker.io/library/busybox`) that have a blob, newest first.
    func origins(of blob: Digest) -> [String] { ((try? origins.get(blob.description)) ?? nil)?.repositories.reversed() ?? [] }

    func addOrigin(_ repository: String, of blobs: [Digest]) throws {
        try records.transaction { transaction in
            for blob in Set(blobs) {
                // A record that can't be read is made anew.
                var origin = ((try? origins.get(blob.description, in: transaction)) ?? nil) ?? Origin(repositories: [])
                if origin.repositories.last == repository { continue }
                origin.repositories.removeAll { $0 == repository }
                origin.repositories = origin.repositories.suffix(Self.limit - 1) + [repository]
                try origins.put(blob.description, origin, in: transaction)
            }
        }
    }

    /// The blob that a layer made here was packed as.
    func packed(_ diffID: Digest) -> Descriptor? { (try? packed.get(diffID.description)) ?? nil }

    func setPacked(_ descriptor: Descriptor, for diffID: Digest) throws { try packed.put(diffID.description, descriptor) }
}
