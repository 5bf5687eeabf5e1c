internal import Images
internal import Linux
internal import Logging
internal import OCIImageSpec
internal import RecordStore

/// What each instruction made on which parent: records that survive the daemon.
///
/// The key is the hash of the parent image's ID, the instruction as it ran (its line in the history, which holds the hash of copied files)
/// and whatever else its result depends on. The value is the image that the instruction made; it counts while that image exists.
struct BuildCache: Sendable {
    struct Record: Codable, Sendable {
        var image: Digest
        var parent: Digest?
        /// When the last build ended that used it (RFC 3339), and how many did. Not known of records of an older daemon.
        var usedAt: String?
        var uses: Int?
        /// Whether a build ended with it: then it is somebody's image, name or not.
        var isResult: Bool?
    }

    private let table: RecordTable<Record>
    private let records: RecordStore
    private let images: ImageStore

    init(records: RecordStore, images: ImageStore) throws {
        table = try records.table("builder_cache")
        self.records = records
        self.images = images
    }

    static func key(parent: Digest?, createdBy: String, dependencies: [String] = []) throws -> String {
        try ContentHasher.hash(["1", parent?.description ?? "scratch", createdBy] + dependencies)
    }

    /// The image that this step made before; nil when there is none any more.
    func image(for key: String, parent: Digest?) throws -> Image? {
        guard let record = try? table.get(key), record.parent == parent else { return nil }
        guard let image = try? images.image(record.image.description) else {
            try table.delete(key)
            return nil
        }
        return image
    }

    func all() throws -> [(key: String, record: Record)] { try table.readable().records }

    func forget(_ keys: [String]) throws {
        try records.transaction { transaction in for key in keys { try table.delete(key, in: transaction) } }
    }

    /// What the step made before, in a build that was to make it anew, stays known: it is the cache's to remove.
    func put(_ key: String, image: Digest, parent: Digest?) throws {
        let record = Record(image: image, parent: parent, usedAt: Timestamp.now().description, uses: 0, isResult: false)
        try records.transaction { transaction in
            if let before = try? table.get(key, in: transaction), before.image != image {
                try table.put("before \(before.image)", before, in: transaction)
            }
            try table.put(key, record, in: transaction)
        }
    }

    /// A build has ended that took or made these steps; `result` is what it made of them.
    func used(_ keys: Set<String>, result: Digest?, logger: Logger) {
        let now = Timestamp.now().description
        do {
            try records.transaction { transaction in
                for key in keys {
                    guard var record = try table.get(key, in: transaction) else { continue }
                    record.usedAt = now
                    record.uses = (record.uses ?? 0) + 1
                    if record.image == result { record.isResult = true }
                    try table.put(key, record, in: transaction)
                }
            }
        } catch { logger.warning("cannot note what a build has used", metadata: ["error": "\(error)"]) }
    }
}
