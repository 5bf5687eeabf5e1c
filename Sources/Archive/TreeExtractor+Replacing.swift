internal import CLinux
internal import Glibc
internal import Linux

// What stands where an entry should go, whiteouts, and attributes.
extension TreeExtractor {
    static let whiteoutPrefix = Array(".wh.".utf8)
    private static let metadataPrefix = Array(".wh..wh.".utf8)
    private static let opaqueMarker = Array(".wh..wh..opq".utf8)

    /// Runs `create`; when something of the name exists, takes that away and runs it once more.
    func makingRoom<Result>(_ place: Place, _ entry: TarEntry, _ create: () throws -> Result) throws -> Result {
        do { return try create() } catch let error as SystemError where error.code == EEXIST {
            let status = try self.status(place)
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            if isDirectory && options.keepsDirectories {
                throw ArchiveError(
                    .refused, "cannot overwrite directory \"\(PathBytes.text(place.name))\" with non-directory \"\(entry.pathText)\"")
            }
            try remove(place, status)
            return try create()
        }
    }

    func status(_ place: Place) throws -> stat {
        var result = stat()
        try place.call("stat") { fstatat($0, $1, &result, AT_SYMLINK_NOFOLLOW) }
        return result
    }

    /// The directory stack holds only what is above the place, so that nothing of what goes is open in it.
    func remove(_ place: Place, _ status: stat) throws {
        // The kernel protects what is mounted in one's own mount namespace only. In a container's, the file below the mount would be
        // replaced and the mount be gone (unlink(2) takes it away since Linux 3.18).
        let there = OwnedFD(owning: try place.call("open") { clp_openat($0, $1, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0) })
        if clp_file_attributes(there.raw) & UInt64(STATX_ATTR_MOUNT_ROOT) != 0 { throw place.failure("replace", code: EBUSY) }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            try place.call("replace") { unlinkat($0, $1, 0) }
            return
        }
        try DirectoryListing.removeTree(place.name, in: place.parent)
        directoryTimes.removeAll { $0.components.starts(with: place.components) }
    }

    // MARK: Whiteouts

    static func isWhiteout(_ status: stat) -> Bool { status.st_mode & S_IFMT == S_IFCHR && status.st_rdev == 0 }

    /// `.wh.x`: x of the layers below is gone. In one layer it never hides what the same layer brings, in whatever order.
    func makeWhiteout(_ name: [UInt8], in parent: Int32, _ entry: TarEntry) throws {
        if name == Self.opaqueMarker { return try setOpaque(parent, [Array(entry.path)]) }
        // Bookkeeping of aufs, which nobody reads any more.
        if name.starts(with: Self.metadataPrefix) { return }
        let hidden = Array(name.dropFirst(Self.whiteoutPrefix.count))
        guard !hidden.isEmpty, !hidden.elementsEqual(".".utf8), !hidden.elementsEqual("..".utf8) else {
            throw ArchiveError(.malformed, "invalid whiteout \(entry.pathText) in layer")
        }
        let place = Place(parent: parent, name: hidden, components: [hidden])
        do { try place.call("create whiteout") { mknodat($0, $1, S_IFCHR, 0) } } catch let error as SystemError where error.code == EEXIST {
            guard try status(place).st_mode & S_IFMT == S_IFDIR else { return }
            let directory = OwnedFD(
                owning: try place.call("open") { clp_openat($0, $1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0) })
            try setOpaque(directory.raw, [hidden])
        }
    }

    func setOpaque(_ directory: Int32, _ components: [[UInt8]]) throws {
        let place = Place(parent: directory, name: [], components: components)
        try check(place, "make opaque", fsetxattr(directory, "trusted.overlay.opaque", "y", 1, 0))
    }

    // MARK: Attributes

    func setAttribute(_ attribute: ExtendedAttribute, on file: Int32, _ place: Place) throws {
        guard ExtendedAttribute.isPortable(attribute.name) else { return }
        let result = PathBytes.withCString(attribute.name) { fsetxattr(file, $0, attribute.value, attribute.value.count, 0) }
        try checkAttribute(result, attribute, place)
    }

    /// By path, without following a link at its end.
    func setAttribute(_ attribute: ExtendedAttribute, atPath path: [UInt8], _ place: Place) throws {
        guard ExtendedAttribute.isPortable(attribute.name) else { return }
        // /proc/self/fd/N is itself a link and has to be followed; N/name must not be.
        let isDescriptor = path.count { $0 == PathBytes.slash } == 4
        let result = PathBytes.withCString(path) { path in
            PathBytes.withCString(attribute.name) {
                isDescriptor
                    ? setxattr(path, $0, attribute.value, attribute.value.count, 0)
                    : lsetxattr(path, $0, attribute.value, attribute.value.count, 0)
            }
        }
        try checkAttribute(result, attribute, place)
    }

    private func checkAttribute(_ result: Int32, _ attribute: ExtendedAttribute, _ place: Place) throws {
        if result == 0 { return }
        guard errno == ENOTSUP else { throw place.failure("set attribute \(PathBytes.text(attribute.name)) of") }
        summary.attributesNotSupported += 1
    }

    // MARK: Helpers

    func check(_ place: Place, _ operation: String, _ result: Int32) throws { if result != 0 { throw place.failure(operation) } }

    /// Access and modification time.
    static func times(_ time: FileTime) -> [timespec] {
        let value = timespec(tv_sec: Int(time.seconds), tv_nsec: Int(time.nanoseconds))
        return [value, value]
    }
}

extension ExtendedAttribute {
    /// Attributes that belong to a file wherever it goes. Others are the host's own (`security.selinux`) or overlayfs'
    /// bookkeeping (`trusted.overlay.*`), with which an archive could redirect a directory to another.
    static func isPortable(_ name: [UInt8]) -> Bool {
        let name = PathBytes.text(name)
        if name.hasPrefix("trusted.overlay.") || name.hasPrefix("user.overlay.") { return false }
        return name == "security.capability" || name.hasPrefix("user.") || name.hasPrefix("trusted.")
            || name == "system.posix_acl_access" || name == "system.posix_acl_default"
    }
}
