internal import EngineTypes
internal import Glibc
internal import Images
internal import Linux
internal import OCIImageSpec

/// The filters of `docker images`.
struct ImageFilter {
    private let filters: Filters
    private let dangling: Bool?
    private let before: Timestamp?
    private let since: Timestamp?

    /// Throws what looking up the image of `before` or `since` throws, and `EngineError.invalid`.
    init(_ filters: Filters, _ images: ImageStore) throws {
        try filters.requireOnly(["before", "dangling", "label", "reference", "since", "until"])
        self.filters = filters
        dangling = try filters.flag("dangling")
        // Several values must all hold: the oldest of one side, the newest of the other.
        before = try ((filters["before"] ?? []).map { try images.image($0).createdAt } + filters.moments("until")).min()
        since = try (filters["since"] ?? []).map { try images.image($0).createdAt }.max()
    }

    /// The names to show the image with; nil when it is not shown.
    /// - Parameters:
    ///   - all: whether steps of builds are shown, which have no name and are built on.
    func names(of image: Image, all: Bool, isBuiltOn: Bool) -> (tags: [ImageReference], digests: [ImageReference])? {
        if let before, !(image.createdAt < before) { return nil }
        if let since, !(since < image.createdAt) { return nil }
        if let wanted = filters["label"], !Filters.labels(image.config.config?.labels ?? [:], satisfy: wanted) { return nil }
        if dangling == true && isBuiltOn { return nil }
        let (tags, digests) = (image.references.filter(isWanted), image.repoDigests.filter(isWanted))
        if tags.isEmpty && digests.isEmpty {
            guard all || !isBuiltOn, dangling != false, filters["reference"] == nil else { return nil }
        } else if dangling == true && !tags.isEmpty {
            return nil
        }
        return (tags, digests)
    }

    /// `name`, `name:tag` or a shell pattern of either.
    private func isWanted(_ reference: ImageReference) -> Bool {
        guard let patterns = filters["reference"] else { return true }
        return [reference.familiar, reference.familiarName].contains { (name: String) in
            patterns.contains { fnmatch($0, name, FNM_PATHNAME) == 0 }
        }
    }
}
