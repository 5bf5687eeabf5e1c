internal import Linux
internal import OCIImageSpec
internal import Synchronization

extension ImageStore {
    /// docker history, newest line first: the configuration's lines, however many layers there are.
    public func history(of image: Image) -> [ImageHistoryLine] {
        var layers = image.layers[...]
        var entries: [(ImageConfig.HistoryEntry, Int64)] = []
        for entry in image.config.history ?? [] {
            let layer = entry.emptyLayer == true ? nil : layers.popFirst()
            entries.append((entry, layer?.size ?? 0))
        }
        // Each step of a build here was an image of its own: the chain of parents names the lines.
        return state.withLock { state in
            var id: Digest? = image.id
            return entries.reversed().map { entry, size in
                let current = id
                id = current.flatMap { state.images[$0]?.record.parent }
                let names = current.map { id in state.references.filter { $0.value == id && $0.key.digest == nil }.keys.sorted() } ?? []
                return ImageHistoryLine(
                    id: current, created: entry.created.flatMap { Timestamp($0) } ?? .never, createdBy: entry.createdBy ?? "",
                    comment: entry.comment ?? "", references: names, size: size)
            }
        }
    }
}
