internal import Archive
internal import CLinux
internal import ClientUI
internal import EngineClient
internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux

extension Command {
    static var containerCopy: Command {
        Command(
            "container cp", "cp", summary: "Copy files/folders between a container and the local filesystem",
            usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tdocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH", arity: .exactly(2),
            flags: [
                Flag("archive", "a", .bool, "Archive mode (copy all uid/gid information)"),
                Flag("follow-link", "L", .bool, "Always follow symbol link in SRC_PATH"),
                Flag(
                    "quiet", "q", .bool,
                    "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached"),
            ]
        ) { context in
            let source = CopyPlace(parsing: context.arguments[0])
            let destination = CopyPlace(parsing: context.arguments[1])
            switch (source.container, destination.container) {
            case (let name?, nil): return try CopyOut(context, container: name, path: source.path).run(to: destination.path)
            case (nil, let name?): return try CopyIn(context, container: name, path: destination.path).run(from: source.path)
            case (.some, .some): throw Failure("copying between containers is not supported")
            case (nil, nil): throw Failure("must specify at least one container source")
            }
        }
    }
}

/// One end of a copy: `NAME:PATH` in a container, or a path of this machine.
private struct CopyPlace {
    let container: String?
    let path: String

    init(parsing text: String) {
        let colon = text.firstIndex(of: ":")
        guard !text.hasPrefix("/"), !text.hasPrefix("."), let colon, colon != text.startIndex else {
            (container, path) = (nil, text)
            return
        }
        (container, path) = (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }
}

/// Paths as `cp` sees them: a `/` or `/.` at the end says that a directory, or what is in it, is meant.
enum CopyPath {
    static func namesDirectory(_ path: String) -> Bool { path.hasSuffix("/") || namesContents(path) }
    static func namesContents(_ path: String) -> Bool { path == "." || path.hasSuffix("/.") }

    /// The directory that holds `path`, and the name in it; the name of `a/.` is `.`.
    static func split(_ path: String) -> (directory: String, name: String) {
        if namesContents(path) { return (clean(path), ".") }
        let cleaned = clean(path)
        guard let slash = cleaned.lastIndex(of: "/") else { return (".", cleaned) }
        if cleaned == "/" { return ("/", "/") }
        let directory = String(cleaned[..<slash])
        return (directory.isEmpty ? "/" : directory, String(cleaned[cleaned.index(after: slash)...]))
    }

    /// Go's `path.Clean`.
    static func clean(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == "..", let last = parts.last, last != ".." {
                parts.removeLast()
            } else if part != ".." || !path.hasPrefix("/") {
                parts.append(part)
            }
        }
        if path.hasPrefix("/") { return "/" + parts.joined(separator: "/") }
        return parts.isEmpty ? "." : parts.joined(separator: "/")
    }

    /// Where the link `path` leads, as a path from the same root.
    static func target(_ link: String, of path: String) -> String {
        link.hasPrefix("/") ? clean(link) : clean(split(path).directory + "/" + link)
    }

    /// What the end has to be called in the target: Docker's rules (docker-container-cp(1)).
    /// - Returns: the directory to unpack in, and the name there; nil keeps the source's own.
    static func place(isDirectory: Bool, at target: String, exists: Bool, targetIsDirectory: Bool) throws -> (into: String, name: String?) {
        if exists && targetIsDirectory { return (target, nil) }
        if exists && isDirectory { throw Failure("cannot copy directory") }
        if !exists && !isDirectory && namesDirectory(target) { throw Failure("no such directory") }
        let (directory, name) = split(target)
        return (directory, name)
    }
}

/// What the daemon tells of a path (`X-Docker-Container-Path-Stat`).
private struct RemoteStatus {
    let isDirectory: Bool
    let linkTarget: String?

    init(_ response: ResponseStream) throws {
        guard let header = response.head["x-docker-container-path-stat"], let bytes = Base64.decode(header),
            let document = try? JSONValue(parsing: bytes)
        else { throw ClientError.malformed("no status of the path in the container") }
        // Bits of Go's FileMode.
        let mode = document["mode"]?.intValue ?? 0
        isDirectory = mode & 1 << 31 != 0
        linkTarget = mode & 1 << 27 != 0 ? document["linkTarget"]?.stringValue : nil
    }
}

private struct CopyOut {
    let context: Context
    let container: String
    let path: String

    init(_ context: Context, container: String, path: String) {
        (self.context, self.container, self.path) = (context, Context.segment(container), path)
    }

    func run(to destination: String) throws -> Int32 {
        var source = path
        var name: String?
        if context.flags.bool("follow-link"), destination != "-",
            let status = try? RemoteStatus(
                context.client.send(Request("HEAD", "/containers/\(container)/archive", query: [("path", path)]))),
            let link = status.linkTarget
        {
            source = CopyPath.target(link, of: path)
            name = CopyPath.split(path).name
        }
        if destination != "-" { try Self.check(destination) }
        let response = try context.client.send(Request("GET", "/containers/\(container)/archive", query: [("path", source)]))
        if destination == "-" {
            try response.forEachPiece { context.out.write(raw: $0) }
            return 0
        }
        let isDirectory = try RemoteStatus(response).isDirectory
        let target = try Self.target(destination)
        var (directory, newName) = try CopyPath.place(
            isDirectory: isDirectory, at: target, exists: Files.exists(target), targetIsDirectory: Files.isDirectory(target))
        newName = newName ?? name
        let old = Array(CopyPath.split(source).name.utf8)
        var options = TreeExtractor.Options()
        options.keepsDirectories = true
        options.owner = Owner(uid: geteuid(), gid: getegid())
        if let newName { options.rename = { Self.renamed($0, from: old, to: Array(newName.utf8)) } }
        let extractor = try TreeExtractor(root: try OwnedFD.open(directory, O_RDONLY | O_DIRECTORY), options: options)
        directory = destination
        let summary = try extractor.extract(TarReader(ResponseSource(response)))
        Report.show(summary.fileBytes, to: directory, context)
        return 0
    }

    /// The path without Docker's `/` at its end, absolute; of a link that exists what it leads to.
    private static func target(_ path: String) throws -> String {
        let whole = try VolumeSpec.absolute(path)
        if let real = realpath(whole, nil) {
            defer { free(real) }
            return String(cString: real)
        }
        return CopyPath.namesDirectory(path) ? whole + "/" : whole
    }

    private static func check(_ path: String) throws {
        let parent = CopyPath.split(CopyPath.clean(path)).directory
        if !Files.exists(parent) {
            throw Failure("invalid output path: directory \(quoted(try VolumeSpec.absolute(parent))) does not exist")
        }
    }

    /// The first component of the archive's paths is the source's name; `.` stands for no component at all.
    private static func renamed(_ path: [UInt8], from old: [UInt8], to new: [UInt8]) -> [UInt8] {
        let slash = UInt8(ascii: "/")
        if old == [UInt8(ascii: ".")] || old == [slash] { return path.isEmpty ? new : new + [slash] + path }
        guard path.starts(with: old), path.count == old.count || path[old.count] == slash else { return path }
        return new + path[old.count...]
    }
}

private struct CopyIn {
    let context: Context
    let container: String
    let path: String

    init(_ context: Context, container: String, path: String) {
        (self.context, self.container, self.path) = (context, Context.segment(container), path)
    }

    func run(from source: String) throws -> Int32 {
        var target = path
        var status = self.status(of: path)
        if let link = status?.linkTarget {
            target = CopyPath.target(link, of: path)
            status = self.status(of: target)
        }
        if source == "-" {
            guard status?.isDirectory ?? false else {
                throw Failure("destination \"\(context.arguments[1])\" must be a directory")
            }
            try send(to: target, .descriptor(0, type: "application/x-tar"))
            return 0
        }
        let (directory, name, shown) = try Self.resolved(source, followsLink: context.flags.bool("follow-link"))
        let parent = try OwnedFD.open(directory, O_RDONLY | O_DIRECTORY)
        let place = try CopyPath.place(
            isDirectory: Files.isDirectory(name == "." ? directory : "\(directory)/\(name)") && !Self.isLink("\(directory)/\(name)"),
            at: target, exists: status != nil, targetIsDirectory: status?.isDirectory ?? false)
        let count = ByteCount()
        let body = RequestBody.producer(type: "application/x-tar") { writer in
            let tar = TarWriter(BodySink(writer))
            var archiver = TreeArchiver()
            if name == "." {
                archiver.options.prefix = Array((place.name ?? ".").utf8) + [UInt8(ascii: "/")]
                count.value = try archiver.archive(parent, to: tar).fileBytes
            } else {
                count.value = try archiver.archive(name, in: parent, as: place.name ?? shown, to: tar).fileBytes
            }
            try tar.finish()
        }
        try send(to: place.into, body)
        Report.show(count.value, to: context.arguments[1], context)
        return 0
    }

    private final class ByteCount { var value: Int64 = 0 }

    /// Nil when it is not there, as far as the daemon says.
    private func status(of path: String) -> RemoteStatus? {
        try? RemoteStatus(context.client.send(Request("HEAD", "/containers/\(container)/archive", query: [("path", path)])))
    }

    private func send(to path: String, _ body: RequestBody) throws {
        var query = [("path", path), ("noOverwriteDirNonDir", "true")]
        if context.flags.bool("archive") { query.append(("copyUIDGID", "true")) }
        _ = try context.client.call(Request("PUT", "/containers/\(container)/archive", query: query, body: body))
    }

    private static func isLink(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    /// The directory that holds the source, its name there, and the name it goes by: links on the way are followed, the last
    /// one only with `-L` or a `/` behind it.
    private static func resolved(_ source: String, followsLink: Bool) throws -> (directory: String, name: String, shown: String) {
        let whole = try VolumeSpec.absolute(source)
        let given = CopyPath.split(CopyPath.namesContents(source) ? whole + "/." : whole)
        var status = stat()
        guard lstat(whole, &status) == 0 else { throw Failure("lstat \(whole): no such file or directory") }
        guard given.name != ".", followsLink || source.hasSuffix("/"), let real = realpath(whole, nil) else {
            return (given.directory, given.name == "/" ? "." : given.name, given.name)
        }
        defer { free(real) }
        let end = CopyPath.split(String(cString: real))
        return (end.directory, end.name, given.name)
    }
}

/// What `cp` says on a terminal when it is done.
private enum Report {
    static func show(_ bytes: Int64, to place: String, _ context: Context) {
        let isQuiet = context.flags.given("quiet").map { $0 != "false" } ?? !Output.isTerminal(1)
        if !isQuiet { context.printError("Successfully copied \(HumanSize.decimal(Double(bytes), precision: 3)) to \(place)") }
    }
}

/// The body of an answer, to be read as an archive.
final class ResponseSource: ByteSource {
    private let response: ResponseStream

    init(_ response: ResponseStream) { self.response = response }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int { try response.read(into: buffer) }
}
