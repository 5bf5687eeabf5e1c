internal import Archive
internal import CLinux
internal import ClientUI
internal import EngineClient
internal import Glibc
internal import Linux

/// Where a build's context comes from, as a request body.
struct BuildSource {
    var body: RequestBody
    /// Path of the Dockerfile inside the context.
    var dockerfile: String
    var remote: String?

    /// A name no context has, for a Dockerfile that comes from elsewhere.
    private static func foreignName() -> String {
        ".dockerfile.\(String(UInt64.random(in: .min ... .max), radix: 16))"
    }

    // Standard input

    /// A tar stream (perhaps compressed), or a lone Dockerfile: told apart by the first bytes.
    static func standardInput(dockerfile: String) throws -> BuildSource {
        let head = try readHead(0, count: 512)
        if isArchive(head) {
            let type = "application/x-tar"
            return BuildSource(
                body: .producer(type: type) { writer in
                    try head.withUnsafeBytes { try writer.write($0) }
                    try copy(0, to: writer)
                }, dockerfile: dockerfile.isEmpty ? "Dockerfile" : dockerfile)
        }
        if !dockerfile.isEmpty { throw Failure("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles") }
        let content = head + (try OwnedFD.open("/dev/stdin").readAll(limit: 1 << 26))
        return BuildSource(body: .producer(type: "application/x-tar") { try lone(content, $0) }, dockerfile: "Dockerfile")
    }

    private static func lone(_ content: [UInt8], _ writer: RequestBodyWriter) throws {
        let tar = TarWriter(BodySink(writer))
        try add("Dockerfile", content, to: tar)
        try tar.finish()
    }

    private static func readHead(_ descriptor: Int32, count: Int) throws -> [UInt8] {
        var head: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: count)
        while head.count < count {
            let wanted = count - head.count
            let got = try retrying("read stdin") { read(descriptor, &chunk, wanted) }
            if got == 0 { break }
            head += chunk[..<got]
        }
        return head
    }

    /// gzip, bzip2, xz, zstd, or a tar header ("ustar" at 257, or a checksum that is right).
    static func isArchive(_ head: [UInt8]) -> Bool {
        let magics: [[UInt8]] = [[0x1F, 0x8B, 0x08], [0x42, 0x5A, 0x68], [0xFD, 0x37, 0x7A, 0x58, 0x5A], [0x28, 0xB5, 0x2F, 0xFD]]
        if magics.contains(where: head.starts(with:)) { return true }
        guard head.count == 512 else { return false }
        if head[257..<262].elementsEqual("ustar".utf8) { return true }
        let sum = head.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element)) }
        let text = String(decoding: head[148..<156].filter { (48...55).contains($0) }, as: UTF8.self)
        return Int(text, radix: 8) == sum
    }

    private static func copy(_ descriptor: Int32, to writer: RequestBodyWriter) throws {
        var chunk = [UInt8](repeating: 0, count: 256 * 1024)
        while true {
            let count = try chunk.withUnsafeMutableBytes { buffer in
                try retrying("read build context") { read(descriptor, buffer.baseAddress, buffer.count) }
            }
            if count == 0 { return }
            try chunk.withUnsafeBytes { try writer.write(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    static func add(_ path: String, _ content: [UInt8], to tar: TarWriter) throws {
        let now = FileTime(seconds: Timestamp.now().seconds)
        try tar.add(TarEntry(kind: .file, path: Array(path.utf8), mode: 0o600, size: Int64(content.count), modified: now), content: content)
    }

    // Directory

    static func directory(_ path: String, dockerfile: String) throws -> BuildSource {
        guard Files.exists(path) else { throw Failure("unable to prepare context: path \(quoted(path)) not found") }
        guard Files.isDirectory(path) else { throw Failure("unable to prepare context: context must be a directory: \(path)") }
        let root = try resolved(path)
        var name = dockerfile.isEmpty ? "Dockerfile" : dockerfile
        var foreign: [UInt8]?
        if dockerfile == "-" {
            foreign = try OwnedFD.open("/dev/stdin").readAll(limit: 1 << 26)
            name = foreignName()
        } else if !dockerfile.isEmpty {
            let whole = try VolumeSpec.absolute(dockerfile)
            let real = try resolved(Files.exists(whole) ? whole : root + "/" + dockerfile)
            if real.hasPrefix(root == "/" ? "/" : root + "/") {
                name = String(real.dropFirst(root == "/" ? 1 : root.utf8.count + 1))
            } else {
                foreign = try Files.read(real, limit: 1 << 26)
                name = foreignName()
            }
        } else if !Files.exists("\(root)/Dockerfile") {
            throw Failure(
                "unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat \(root)/Dockerfile: no such file or directory"
            )
        }
        let ignore = try ignoreFile(root, dockerfile: foreign == nil ? name : nil)
        let body = RequestBody.producer(type: "application/x-tar") { writer in
            try pack(
                root, ignore: ignore, always: foreign == nil ? [name, ".dockerignore"] : [".dockerignore"],
                foreign: foreign.map { (name, $0) }, writer)
        }
        return BuildSource(body: body, dockerfile: name)
    }

    /// `Dockerfile.dockerignore` beside the Dockerfile counts before `.dockerignore` of the context.
    private static func ignoreFile(_ root: String, dockerfile: String?) throws -> IgnorePatterns {
        for name in [dockerfile.map { "\($0).dockerignore" }, ".dockerignore"].compactMap({ $0 }) where Files.exists("\(root)/\(name)") {
            return try IgnorePatterns(parsing: try Files.readText("\(root)/\(name)"))
        }
        return try IgnorePatterns(parsing: "")
    }

    private static func pack(
        _ root: String, ignore: IgnorePatterns, always: [String], foreign: (name: String, content: [UInt8])?, _ writer: RequestBodyWriter
    ) throws {
        let tar = TarWriter(BodySink(writer))
        if let foreign { try add(foreign.name, foreign.content, to: tar) }
        var archiver = TreeArchiver(options: TreeArchiver.Options(mode: .plain))
        archiver.options.owner = Owner(uid: 0, gid: 0)
        if !ignore.isEmpty {
            archiver.options.excludes = { path, isDirectory in
                let text = String(decoding: path, as: UTF8.self)
                if always.contains(text) || (isDirectory && always.contains { $0.hasPrefix(text + "/") }) { return false }
                return isDirectory ? ignore.excludesWhole(text) : ignore.excludes(text)
            }
        }
        _ = try archiver.archive(try OwnedFD.open(root, O_RDONLY | O_DIRECTORY), to: tar)
        try tar.finish()
    }

    /// realpath(3).
    private static func resolved(_ path: String) throws -> String {
        guard let text = realpath(path, nil) else {
            throw Failure("unable to prepare context: unable to evaluate symlinks in Dockerfile path: \(SystemError("lstat", path))")
        }
        defer { free(text) }
        return String(cString: text)
    }
}

/// Writes an archive as the chunks of a request.
final class BodySink: ByteSink {
    private let writer: RequestBodyWriter
    private var buffer: [UInt8] = []

    init(_ writer: RequestBodyWriter) { self.writer = writer }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        if bytes.count >= 65536 {
            try flush()
            return try writer.write(bytes)
        }
        buffer.append(contentsOf: bytes)
        if buffer.count >= 256 * 1024 { try flush() }
    }

    func finish() throws { try flush() }

    private func flush() throws {
        try buffer.withUnsafeBytes { try writer.write($0) }
        buffer.removeAll(keepingCapacity: true)
    }
}
