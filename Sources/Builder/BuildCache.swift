internal import Images
internal import OCIImageSpec
internal import RecordStore

/// What each instruction made on which parent: records that survive the daemon.
///
/// The key is the hash of the parent image's ID, the instruction as it ran (its line in the history, which holds the hash of copied files)
/// and whatever else its result depends on. The value is the image that the instruction made; it counts while that image exists.
struct BuildCache: Sendable {
    private struct Record: Codable, Sendable {
        var image: Digest
        var parent: Digest?
    }

    private let table: RecordTable<Record>
    private let images: ImageStore

    init(records: RecordStore, images: ImageStore) throws {
        table = try records.table("builder_cache")
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

    /// What was made is made again by the next build.
    func clear() throws {
        for (key, _) in try table.readable().records { try table.delete(key) }
    }

    func put(_ key: String, image: Digest, parent: Digest?) throws { try table.put(key, Record(image: image, parent: parent)) }
}
