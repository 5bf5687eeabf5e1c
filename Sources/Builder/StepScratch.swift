internal import CLinux
internal import Glibc
internal import Images
internal import Linux

/// The writable directories of one step, on the file system of the layers. What isn't adopted goes away with this value.
struct StepScratch: ~Copyable {
    let upper: String
    let work: String

    /// `layers` top first. The new upper directory looks like the root of the topmost one: it will be the root of the merged view.
    static func make(images: ImageStore, below layers: [String]) throws -> StepScratch {
        let upper = try images.makeScratchDirectory()
        let work: String
        do { work = try images.makeScratchDirectory() } catch {
            try? Files.removeTree(upper)
            throw error
        }
        let scratch = StepScratch(upper: upper, work: work)
        var status = stat()
        var mode: mode_t = 0o755
        var owner: (uid_t, gid_t) = (0, 0)
        if let top = layers.first, stat(top, &status) == 0 {
            mode = status.st_mode & 0o7777
            owner = (status.st_uid, status.st_gid)
        }
        _ = try retrying("chown", upper) { chown(upper, owner.0, owner.1) }
        _ = try retrying("chmod", upper) { chmod(upper, mode) }
        return scratch
    }

    private init(upper: String, work: String) {
        self.upper = upper
        self.work = work
    }

    deinit {
        try? Files.removeTree(upper)
        try? Files.removeTree(work)
    }
}
