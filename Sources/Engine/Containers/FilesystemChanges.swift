internal import Builder
internal import CLinux
public import EngineTypes
internal import Glibc
internal import Images
internal import Linux

/// What a container has changed in its image: the entries of its writable layer compared with the layers below (`docker diff`).
///
/// Overlayfs (kernel documentation, "whiteouts and opaque directories") leaves a character device 0:0 where a file was removed; a
/// directory that differs in nothing but its contents is listed all the same when something in it is, as Docker does.
struct FilesystemChanges {
    /// The container's writable directory.
    let upper: String
    /// Unpacked layers, the topmost first.
    let layers: [String]
    private let lower: LayeredFiles.Roots

    init(upper: String, layers: [String]) {
        self.upper = upper
        self.layers = layers
        lower = LayeredFiles.Roots(layers)
    }

    /// Blocks. Ordered by path.
    func list() throws -> [FilesystemChange] {
        var changes: [FilesystemChange] = []
        let root = try OwnedFD.open(upper, O_RDONLY | O_DIRECTORY)
        try walk(root, path: "", hidesLower: false, &changes)
        return changes.sorted { $0.Path < $1.Path }
    }

    /// Answers whether the directory holds stubs of the engine. `hidesLower`: a directory above is opaque, for it was removed and made
    /// anew; what the layers have there and this one has not is gone, without a whiteout for each.
    @discardableResult
    private func walk(
        _ directory: borrowing OwnedFD, path: String, hidesLower: Bool, _ changes: inout [FilesystemChange]
    ) throws -> Bool {
        var holdsStubs = false
        let handle = directory.raw
        let names = try Files.list(try directory.openAt(".", O_RDONLY | O_DIRECTORY))
        let hidesLower = hidesLower || LayeredFiles.isOpaque(handle)
        if hidesLower {
            let gone = lower.names(in: path).subtracting(names)
            changes += gone.map { FilesystemChange(Path: "\(path)/\($0)", Kind: .deleted) }
        }
        for name in names {
            var status = stat()
            guard fstatat(handle, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            let entry = "\(path)/\(name)"
            if status.st_mode & S_IFMT == S_IFCHR && status.st_rdev == 0 {
                changes.append(FilesystemChange(Path: entry, Kind: .deleted))
                continue
            }
            let old = lower.status(entry)
            // Docker keeps these in a layer of their own, which no diff shows.
            if old == nil && MountStubs.isStub(entry, upper: upper, layers: layers) {
                holdsStubs = true
                continue
            }
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            let before = changes.count
            var onlyStubs = false
            if isDirectory {
                onlyStubs = try walk(
                    try directory.openAt(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path: entry, hidesLower: hidesLower, &changes)
            }
            guard let old else {
                changes.append(FilesystemChange(Path: entry, Kind: .added))
                continue
            }
            // A stub made in it has changed its time.
            let isSame = isDirectory && old.st_mode == status.st_mode && (onlyStubs || Self.sameTime(old.st_mtim, status.st_mtim))
            if !isSame || changes.count > before { changes.append(FilesystemChange(Path: entry, Kind: .modified)) }
        }
        return holdsStubs
    }

    private static func sameTime(_ left: timespec, _ right: timespec) -> Bool {
        left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec
    }
}

extension ContainerService {
    public func changes(_ id: String) async throws -> [FilesystemChange] {
        let container = try store.find(id)
        let paths = configuration.paths(of: container.id)
        return try await metrics.time(.changes) {
            try await offloading { [images] in
                guard Files.exists(paths.upper) else { return [] }
                let layers = images.layerDirectories(of: try images.image(container.record.imageID))
                return try FilesystemChanges(upper: paths.upper, layers: layers).list()
            }
        }
    }
}
