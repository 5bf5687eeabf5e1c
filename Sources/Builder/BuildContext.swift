internal import Archive
internal import CLinux
internal import Dockerfile
internal import Glibc
internal import Images
internal import Linux

/// The files that came with a build request, unpacked in a directory of their own, which goes away with this value.
struct BuildContext: ~Copyable {
    /// Everything of this build that isn't a layer: `context`, and what steps put beside it.
    let directory: String
    let root: OwnedFD

    /// Host path of the context's root.
    var path: String { directory + "/context" }

    /// Unpacks a tar stream. What is wrong with the stream is the request's fault.
    init(directory: String, archive: Int32) throws {
        let unpacked: OwnedFD
        do { unpacked = try Self.unpack(archive, into: directory + "/context") } catch {
            try? Files.removeTree(directory)
            if let error = error as? ArchiveError {
                throw BuildError(error.code == .unsupported ? .notImplemented : .invalid, "build context: \(error)")
            }
            if let error = error as? ImageError { throw BuildError(.invalid, "build context: \(error)") }
            throw error
        }
        self.directory = directory
        root = unpacked
    }

    private static func unpack(_ archive: Int32, into directory: String) throws -> OwnedFD {
        try Files.makeDirectories(directory, mode: 0o755)
        let root = try OwnedFD.open(directory, O_RDONLY | O_DIRECTORY)
        let reader = try ContextStream.reader(archive)
        _ = try TreeExtractor(root: root, options: .init(mode: .plain)).extract(reader)
        // What follows the archive's end is read too: a client that still writes must not see a broken pipe.
        try reader.drain()
        return root
    }

    deinit { try? Files.removeTree(directory) }

    /// Reads the Dockerfile, and takes it and .dockerignore out of the context when .dockerignore names them.
    func dockerfile(_ name: String) throws -> ParsedDockerfile {
        let wanted = name.isEmpty ? "Dockerfile" : name
        var path = "/" + RelativePath.clean("/" + wanted).joined(separator: "/")
        // As Docker has it: a file in lower case will do when nobody named one.
        if name.isEmpty || name == "Dockerfile", (try? root.openInRoot(path, O_PATH)) == nil { path = "/dockerfile" }
        guard let file = try? root.openInRoot(path, O_RDONLY | O_NONBLOCK), try file.status().st_mode & S_IFMT == S_IFREG else {
            throw BuildError(.invalid, "Cannot locate specified Dockerfile: \(wanted)")
        }
        let bytes = try file.readAll(limit: 16 << 20)
        if bytes.isEmpty { throw BuildError(.invalid, "the Dockerfile (\(wanted)) cannot be empty") }
        do {
            let file = try ParsedDockerfile(parsing: bytes)
            applyIgnoreFile(dockerfile: path)
            return file
        } catch {
            throw BuildError(.invalid, error.description)
        }
    }

    /// The client has applied .dockerignore already; it always sends these two, because the daemon needs them.
    private func applyIgnoreFile(dockerfile: String) {
        guard let file = try? root.openInRoot("/.dockerignore", O_RDONLY | O_NONBLOCK), let bytes = try? file.readAll(limit: 1 << 20) else {
            return
        }
        let patterns = IgnorePatterns(file: String(decoding: bytes, as: UTF8.self))
        for name in [".dockerignore", String(dockerfile.dropFirst())] where patterns.excludes(name) {
            // A link on the way would name something else: only plain paths are removed.
            guard let parent = try? root.openInRoot(Files.parent(of: "/" + name), O_RDONLY | O_DIRECTORY) else { continue }
            try? Files.removeTree(parent.procPath + "/" + (name.split(separator: "/").last ?? ""))
        }
    }

    /// Context's files as sources.
    func sources() throws -> SourceTree { SourceTree(root: try root.duplicate(), keepsOwners: false, isContext: true) }
}
