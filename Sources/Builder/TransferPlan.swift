internal import Archive
internal import CLinux
internal import Glibc
internal import Images
internal import Linux

/// A COPY or ADD with everything expanded and found: what goes where.
struct TransferPlan {
    let name: String
    /// As written, expanded.
    let destination: String
    let excludes: IgnorePatterns
    var sources: [SourceTree.Source] = []
    /// Heredocs: file name and content.
    var inline: [(name: String, content: String)] = []
    var keepsParents = false
    /// ADD: archives are unpacked.
    var unpacks = false
    var permissions: mode_t?
    var owner: Owner?

    /// The absolute destination; a slash at the end says that it is a directory.
    func target(in state: StageState) -> String {
        let path = state.absolutePath(destination)
        let isDirectory = destination.hasSuffix("/") || destination == "." || destination.isEmpty
        return isDirectory && path != "/" ? path + "/" : path
    }

    func carryOut(from tree: borrowing SourceTree, into root: borrowing OwnedFD, state: StageState, cancellation: BuildCancellation) throws
    {
        let target = target(in: state)
        let created = owner ?? Owner(uid: 0, gid: 0)
        let paths = RootPath(root: root, owner: created)
        let transfer = FileTransfer(
            owner: owner ?? (tree.keepsOwners ? nil : created), permissions: permissions, excludes: excludes, cancellation: cancellation)
        do {
            for source in sources { try place(source, from: tree, at: target, paths, transfer) }
            for file in inline { try place(file, at: target, paths, transfer) }
        } catch let error as SystemError {
            throw BuildError(.failed, "\(name) failed: \(error)")
        }
    }

    private func place(
        _ source: SourceTree.Source, from tree: borrowing SourceTree, at target: String, _ paths: RootPath, _ transfer: FileTransfer
    ) throws {
        let file = try tree.root.openInRoot(source.path.isEmpty ? "." : source.path, O_RDONLY | O_NONBLOCK)
        if keepsParents {
            let directory = RelativePath.absolute(target + "/" + source.keptDirectory, from: "/")
            guard !source.isDirectory else {
                return try transfer.copyContents(of: file, to: try paths.makeDirectories(directory + "/" + source.name), path: "")
            }
            let parent = try paths.makeDirectories(directory)
            return try transfer.copyFile(file, to: parent.raw, as: source.name, path: source.path)
        }
        if source.isDirectory {
            return try transfer.copyContents(of: file, to: try paths.makeDirectories(target), path: "")
        }
        if unpacks, try unpack(source, from: tree, at: target, paths) { return }
        let place = try locate(target, for: source.name, paths)
        try transfer.copyFile(file, to: place.directory.raw, as: place.name, path: source.path)
    }

    private func place(_ file: (name: String, content: String), at target: String, _ paths: RootPath, _ transfer: FileTransfer) throws {
        let place = try locate(target, for: file.name, paths)
        var transfer = transfer
        transfer.permissions = permissions ?? 0o644
        let temporary = OwnedFD(owning: try retrying("create", file.name) { clp_overlay_memfd("heredoc") })
        try temporary.writeAll(Array(file.content.utf8))
        let reading = try OwnedFD.open(temporary.procPath)
        try transfer.copyFile(reading, to: place.directory.raw, as: place.name, path: file.name)
    }

    /// The directory and the name that one file goes to: into the destination when it is a directory, else to the path itself.
    private func locate(_ target: String, for fileName: String, _ paths: RootPath) throws -> LocatedFile {
        if target.hasSuffix("/") { return LocatedFile(directory: try paths.makeDirectories(target), name: fileName) }
        let location = try paths.locate(target)
        if location.kind == .directory {
            return LocatedFile(directory: try paths.open(location.directory + "/" + location.name), name: fileName)
        }
        return LocatedFile(directory: try paths.open(location.directory), name: location.name)
    }

    /// Unpacks a source that is a tar archive; false when it is none.
    private func unpack(_ source: SourceTree.Source, from tree: borrowing SourceTree, at target: String, _ paths: RootPath) throws -> Bool {
        let probe = try tree.root.openInRoot(source.path, O_RDONLY)
        guard try LocalArchive.isArchive(probe) else { return false }
        let file = try tree.root.openInRoot(source.path, O_RDONLY)
        let directory = try paths.makeDirectories(target)
        var options = TreeExtractor.Options(mode: .plain)
        options.owner = owner
        options.permissions = permissions
        do {
            _ = try TreeExtractor(root: directory, options: options).extract(try ContextStream.reader(file.raw))
        } catch let error as ArchiveError {
            throw BuildError(.failed, "ADD failed: \(source.path): \(error)")
        }
        return true
    }
}

/// Where a file goes.
struct LocatedFile: ~Copyable {
    let directory: OwnedFD
    let name: String
}

/// What ADD takes for an archive.
enum LocalArchive {
    /// Whether a file is a tar archive, plain or compressed: its first entry can be read.
    static func isArchive(_ file: borrowing OwnedFD) throws -> Bool {
        do { return try ContextStream.reader(file.raw).next() != nil } catch let error as ArchiveError {
            // A form that can't be unpacked is refused rather than copied as if it were an ordinary file.
            if error.code == .unsupported { throw BuildError(.notImplemented, error.message) }
            return false
        } catch is ImageError {
            return false
        }
    }
}
