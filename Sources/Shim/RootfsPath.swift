internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// A path inside a root filesystem, as `docker cp` reads it: a trailing slash follows a symbolic link, a trailing `/.`
/// means a directory's content.
struct RootfsPath {
    /// The last component; nil for the root itself.
    let last: String?
    /// Everything before it.
    let parent: String
    /// `dir/.`
    let namesContent: Bool
    /// The last component is followed when it is a symbolic link.
    let followsLast: Bool
    /// All of it, to be resolved inside the root.
    let resolvable: String

    init(_ text: String) {
        namesContent = text == "." || text.hasSuffix("/.")
        followsLast = namesContent || text.hasSuffix("/")
        // `..` is resolved by the kernel, where links are; a path that ends in it names no entry of its own.
        let components = text.split(separator: "/").filter { $0 != "." }
        resolvable = "/" + components.joined(separator: "/")
        let endsInParent = components.last == ".."
        last = endsInParent ? nil : components.last.map(String.init)
        parent = "/" + components.dropLast().joined(separator: "/")
    }

    /// What is there.
    func status(in root: borrowing OwnedFD) throws -> PathStatus {
        let file: OwnedFD
        if let last, !followsLast {
            let directory = try root.openInRoot(parent, O_PATH | O_DIRECTORY)
            file = try directory.openAt(last, O_PATH | O_NOFOLLOW)
        } else {
            file = try root.openInRoot(resolvable, O_PATH)
        }
        let status = try file.status()
        if followsLast && status.st_mode & S_IFMT != S_IFDIR { throw SystemError("open", resolvable, code: ENOTDIR) }
        let isLink = status.st_mode & S_IFMT == S_IFLNK
        return PathStatus(
            name: last ?? "/", size: Int64(status.st_size), mode: status.st_mode,
            modifiedAt: Timestamp(seconds: Int64(status.st_mtim.tv_sec), nanoseconds: Int32(status.st_mtim.tv_nsec)).description,
            linkTarget: isLink ? target(of: file, in: root) : "")
    }

    /// The path with every link resolved.
    func resolved(in root: borrowing OwnedFD) throws -> String {
        let file = try root.openInRoot(resolvable, O_PATH)
        return try RootfsPath.path(of: file, below: root)
    }

    private func target(of link: borrowing OwnedFD, in root: borrowing OwnedFD) -> String {
        if let path = try? resolved(in: root) { return path }
        // It points nowhere: what it says, from where it is.
        guard let text = try? RootfsPath.readLink(link.raw, "") else { return "" }
        return text.hasPrefix("/") ? text : "\(parent == "/" ? "" : parent)/\(text)"
    }

    /// The kernel's name for an open file, as seen from the root.
    private static func path(of file: borrowing OwnedFD, below root: borrowing OwnedFD) throws -> String {
        let path = try readLink(AT_FDCWD, file.procPath)
        let base = try readLink(AT_FDCWD, root.procPath)
        if base == "/" || !path.hasPrefix(base) { return path }
        let rest = path.dropFirst(base.count)
        return rest.isEmpty ? "/" : String(rest)
    }

    private static func readLink(_ directory: Int32, _ path: String) throws -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = try retrying("read link", path) { readlinkat(directory, path, &buffer, buffer.count) }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
