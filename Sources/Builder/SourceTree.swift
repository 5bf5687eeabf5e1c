internal import CLinux
internal import Glibc
internal import Linux

/// Where COPY and ADD take files from: the build context, a heredoc's file, or the root of a stage or image.
struct SourceTree: ~Copyable {
    let root: OwnedFD
    /// Files of the context belong to root in the image; those of a stage keep their owners.
    let keepsOwners: Bool
    /// For messages: files of the context may be missing because of .dockerignore.
    let isContext: Bool

    /// One thing to copy.
    struct Source: Equatable {
        /// Relative to the root, without `..`.
        var path: String
        var isDirectory: Bool
        /// With `--parents`: the part of the path that is kept, without the name.
        var keptDirectory = ""

        /// The name it gets in a directory.
        var name: String { path.split(separator: "/").last.map(String.init) ?? "" }
    }

    /// The sources that a path or pattern stands for, in order. A pattern that matches nothing stands for nothing.
    func resolve(_ text: String, keepsParents: Bool, instruction: String) throws -> [Source] {
        let parts = RelativePath.clean(isContext && !text.hasPrefix("/") ? text : "/" + text)
        if parts.first == ".." {
            throw BuildError(.failed, "\(instruction) failed: forbidden path outside the build context: \(text) ()")
        }
        let path = parts.joined(separator: "/")
        // With --parents, `a/./b/c` keeps `b` only.
        let pivot = keepsParents ? text.range(ofPivot: "/./").map { RelativePath.clean(String(text[..<$0])).count } ?? 0 : 0
        let paths: [String]
        if PathPattern.isPattern(path) { paths = try expand(parts) } else { paths = [path] }
        return try paths.map { path in
            var source = try resolve(path, as: text, instruction: instruction)
            if keepsParents { source.keptDirectory = path.split(separator: "/").dropLast().dropFirst(pivot).joined(separator: "/") }
            return source
        }
    }

    private func resolve(_ path: String, as text: String, instruction: String) throws -> Source {
        let file: OwnedFD
        do { file = try root.openInRoot(path.isEmpty ? "." : path, O_PATH) } catch {
            guard error.code == ENOENT || error.code == ENOTDIR || error.code == ELOOP else { throw error }
            let reason = isContext ? "file not found in build context or excluded by .dockerignore: " : ""
            throw BuildError(.failed, "\(instruction) failed: \(reason)stat \(path): file does not exist")
        }
        switch try file.status().st_mode & S_IFMT {
        case S_IFDIR: return Source(path: path, isDirectory: true)
        case S_IFREG: return Source(path: path, isDirectory: false)
        default: throw BuildError(.failed, "\(instruction) failed: \(path) is neither a file nor a directory")
        }
    }

    /// Paths that match a pattern, component by component, sorted. Links to directories are not looked into, as Docker has it.
    private func expand(_ components: [String]) throws -> [String] {
        var found = [""]
        for component in components {
            let pattern = PathPattern.isPattern(component) ? PathPattern(component) : nil
            if pattern == nil && PathPattern.isPattern(component) { return [] }
            var next: [String] = []
            for directory in found {
                guard let opened = try? root.openInRoot(directory.isEmpty ? "." : directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) else {
                    continue
                }
                let names: [String]
                if let pattern {
                    names = try Files.list(consume opened).filter { pattern.matches($0) }.sorted()
                } else {
                    names = (try? opened.openAt(component, O_PATH | O_NOFOLLOW)) == nil ? [] : [component]
                }
                next += names.map { directory.isEmpty ? $0 : directory + "/" + $0 }
            }
            found = next
        }
        return found
    }

    /// A hash of what would be copied: names, types, permissions, contents, link targets, attributes, and owners where they count.
    /// Times don't.
    func hash(_ source: Source, excludes: IgnorePatterns, cancellation: BuildCancellation) throws -> String {
        let hasher = try ContentHasher()
        let file = try root.openInRoot(source.path.isEmpty ? "." : source.path, O_RDONLY | O_NONBLOCK)
        if source.isDirectory {
            try hashContents(of: file, path: "", excludes, hasher, cancellation)
        } else {
            hasher.update(field: source.name)
            try hash(file, hasher, source.path)
        }
        return hasher.finish()
    }

    private func hashContents(
        of directory: borrowing OwnedFD, path: String, _ excludes: IgnorePatterns, _ hasher: ContentHasher,
        _ cancellation: BuildCancellation
    ) throws {
        for name in try Files.list(try directory.openAt(".", O_RDONLY | O_DIRECTORY)).sorted() {
            try cancellation.check()
            let inner = path.isEmpty ? name : path + "/" + name
            if !excludes.isEmpty && excludes.excludes(inner) { continue }
            var status = stat()
            let number = directory.raw
            _ = try retrying("stat", inner) { fstatat(number, name, &status, AT_SYMLINK_NOFOLLOW) }
            hasher.update(field: inner)
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                let child = try FileTransfer.openDirectory(name, in: number, inner)
                try hash(child, hasher, inner)
                try hashContents(of: child, path: inner, excludes, hasher, cancellation)
            case S_IFREG: try hash(try directory.openAt(name, O_RDONLY | O_NOFOLLOW), hasher, inner)
            case S_IFLNK:
                addHeader(status, hasher)
                hasher.update(field: try FileTransfer.readLink(name, in: number))
            default:
                addHeader(status, hasher)
                hasher.update(field: "\(status.st_rdev)")
            }
        }
    }

    private func addHeader(_ status: stat, _ hasher: ContentHasher) {
        hasher.update(field: "\(status.st_mode)")
        if keepsOwners { hasher.update(field: "\(status.st_uid):\(status.st_gid)") }
    }

    private func hash(_ file: borrowing OwnedFD, _ hasher: ContentHasher, _ path: String) throws {
        let status = try file.status()
        addHeader(status, hasher)
        for attribute in try FileTransfer.attributes(of: file.raw, path) {
            hasher.update(field: attribute.name)
            hasher.update(field: attribute.value)
        }
        guard status.st_mode & S_IFMT == S_IFREG else { return }
        hasher.update(field: "\(status.st_size)")
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = try file.read(into: &buffer)
            if count == 0 { return }
            buffer.withUnsafeBytes { hasher.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }
}

extension String {
    /// Where `part` begins.
    fileprivate func range(ofPivot part: String) -> String.Index? {
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix(part) { return index }
            index = self.index(after: index)
        }
        return nil
    }
}
