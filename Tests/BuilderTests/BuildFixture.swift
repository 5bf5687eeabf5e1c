import Archive
import CLinux
import Glibc
import Images
import JSON
import Linux
import Logging
import OCIImageSpec
import RecordStore
import Synchronization
import Testing

@testable import Builder

/// A builder with stores of its own in a scratch directory, a base image made of busybox, and everything removed in the end.
final class BuildFixture {
    let directory: String
    private(set) var images: ImageStore
    private var records: RecordStore
    private(set) var builder: ImageBuilder
    let executor = ChrootExecutor()

    init() throws {
        var template = Array("/tmp/clp-builder-test.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError("mkdtemp", "/tmp") }
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        records = try RecordStore(root: directory)
        images = try ImageStore(root: directory + "/images", records: records, logger: Logger(label: "test"))
        builder = try ImageBuilder(
            images: images, records: records, executor: executor, scratchDirectory: directory + "/builder", logger: Logger(label: "test"))
        let archive = try TestArchive.base().file()
        _ = try images.importRootfs(from: archive.raw, config: nil, message: "", reference: try ImageReference("base"))
    }

    deinit { try? Files.removeTree(directory) }

    /// What a new daemon over the same directories would have.
    func restart() throws {
        let directory = self.directory
        // The old store must be gone before its database can be opened again.
        let placeholder = try RecordStore(path: directory + "/placeholder.db")
        images = try ImageStore(root: directory + "/placeholder", records: placeholder, logger: Logger(label: "test"))
        builder = try ImageBuilder(
            images: images, records: placeholder, executor: executor, scratchDirectory: directory + "/placeholder/builder",
            logger: Logger(label: "test"))
        records = placeholder
        let reopened = try RecordStore(root: directory)
        images = try ImageStore(root: directory + "/images", records: reopened, logger: Logger(label: "test"))
        builder = try ImageBuilder(
            images: images, records: reopened, executor: executor, scratchDirectory: directory + "/builder", logger: Logger(label: "test"))
        records = reopened
    }

    /// Builds from now on with images from there.
    func use(_ bases: any BaseImages) throws {
        builder = try ImageBuilder(
            images: images, records: records, executor: executor, bases: bases, scratchDirectory: directory + "/builder",
            logger: Logger(label: "test"))
    }

    /// Drops all records of the cache.
    func forgetCache() throws { try records.execute("DELETE FROM builder_cache") }

    /// Makes the records those of a daemon that did not write down which image a build ended with.
    func forgetResults() throws {
        let text = "replace(replace(CAST(document AS TEXT), '\"isResult\":false', '\"x\":0'), '\"isResult\":true', '\"x\":0')"
        try records.execute("UPDATE builder_cache SET document = CAST(\(text) AS BLOB)")
    }

    struct Outcome {
        var image: Image
        var progress: [BuildProgress]

        /// All text, as a user sees it.
        var text: String {
            progress.map { if case .stream(let text) = $0 { text } else { "" } }.joined()
        }

        var cachedSteps: Int { text.split(separator: "\n").count { $0 == " ---> Using cache" } }
    }

    @discardableResult
    func build(_ dockerfile: String, _ files: TestArchive = TestArchive(), _ change: (inout BuildRequest) -> Void = { _ in }) throws
        -> Outcome
    {
        var request = BuildRequest()
        change(&request)
        var archive = files
        archive.add("Dockerfile", dockerfile)
        let file = try archive.file()
        var progress: [BuildProgress] = []
        let image = try builder.build(request, context: file.raw) { progress.append($0) }
        return Outcome(image: image, progress: progress)
    }

    /// The error of a build that must fail, and what was streamed before it.
    func failure(_ dockerfile: String, _ files: TestArchive = TestArchive(), _ change: (inout BuildRequest) -> Void = { _ in })
        -> BuildError?
    {
        #expect(throws: BuildError.self) { try build(dockerfile, files, change) }
    }

    /// The text of a file in an image.
    func read(_ path: String, in image: Image) throws -> String {
        try withRoot(of: image) { root in
            String(decoding: try root.openInRoot(path).readAll(), as: UTF8.self)
        }
    }

    func withRoot<Result>(of image: Image, _ body: (borrowing OwnedFD) throws -> Result) throws -> Result {
        let upper = directory + "/view-upper", work = directory + "/view-work"
        try Files.makeDirectories(upper)
        try Files.makeDirectories(work)
        defer {
            try? Files.removeTree(upper)
            try? Files.removeTree(work)
        }
        return try DetachedOverlay.withRootfs(layers: images.layerDirectories(of: image), upper: upper, work: work, body)
    }

    /// Permissions and owner of a file: `644 0:0`.
    func describe(_ path: String) throws -> String {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw SystemError("lstat", path) }
        return "\(String(status.st_mode & 0o7777, radix: 8)) \(status.st_uid):\(status.st_gid)"
    }

    /// What the layers above the base hold: `f 0644 0:0 2 1000000000 /a.txt`, sorted by path; times after 2008 are `now`.
    func listing(of image: Image) throws -> [String] {
        var lines: [String: String] = [:]
        for layer in image.layers.dropFirst() { try list(layer.directory, "", &lines) }
        return lines.keys.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }.compactMap { lines[$0] }
    }

    private func list(_ root: String, _ path: String, _ lines: inout [String: String]) throws {
        for name in try Files.list(root + path) {
            let inner = path + "/" + name
            var status = stat()
            guard lstat(root + inner, &status) == 0 else { throw SystemError("lstat", inner) }
            let mode = String(status.st_mode & 0o7777, radix: 8)
            let permissions = String(repeating: "0", count: max(0, 4 - mode.count)) + mode
            let owner = "\(status.st_uid):\(status.st_gid)"
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                lines[inner] = "d \(permissions) \(owner) 0 - \(inner)"
                try list(root, inner, &lines)
            case S_IFLNK:
                let target = try FileTransfer.readLink(root + inner, in: AT_FDCWD)
                lines[inner] = "l \(permissions) \(owner) 0 - \(inner) -> \(target)"
            case S_IFREG:
                let time = status.st_mtim.tv_sec < 1_200_000_000 ? "\(status.st_mtim.tv_sec)" : "now"
                lines[inner] = "f \(permissions) \(owner) \(status.st_size) \(time) \(inner)"
            default: break
            }
        }
    }
}

/// A tar archive in the making.
struct TestArchive {
    private var entries: [(TarEntry, [UInt8])] = []

    init(_ files: [String: String] = [:]) { for name in files.keys.sorted() { add(name, files[name] ?? "") } }

    mutating func add(_ path: String, _ content: String, mode: UInt32 = 0o644) { add(path, Array(content.utf8), mode: mode) }

    mutating func add(
        _ path: String, _ content: [UInt8], mode: UInt32 = 0o644, uid: UInt32 = 501, gid: UInt32 = 20, seconds: Int64 = 1_000_000_000,
        attributes: [ExtendedAttribute] = []
    ) {
        let time = FileTime(seconds: seconds)
        let entry = TarEntry(kind: .file, path: Array(path.utf8), mode: mode, uid: uid, gid: gid, modified: time, attributes: attributes)
        entries.append((entry, content))
    }

    mutating func addDirectory(_ path: String, mode: UInt32 = 0o755) {
        let time = FileTime(seconds: 1_100_000_000)
        entries.append((TarEntry(kind: .directory, path: Array(path.utf8), mode: mode, uid: 501, gid: 20, modified: time), []))
    }

    mutating func addLink(_ path: String, to target: String) {
        entries.append((TarEntry(kind: .symbolicLink, path: Array(path.utf8), linkTarget: Array(target.utf8), mode: 0o777), []))
    }

    func bytes() throws -> [UInt8] {
        let sink = MemorySink()
        let writer = TarWriter(sink)
        for (entry, content) in entries { try writer.add(entry, content: content) }
        try writer.finish()
        return sink.bytes
    }

    /// The archive in a nameless file, at its beginning.
    func file() throws -> OwnedFD { try Self.file(try bytes()) }

    static func file(_ bytes: [UInt8]) throws -> OwnedFD {
        let file = OwnedFD(owning: clp_overlay_memfd("archive"))
        try file.writeAll(bytes)
        _ = lseek(file.raw, 0, SEEK_SET)
        return file
    }

    /// A root file system: busybox (static), two users, /tmp.
    static func base() throws -> TestArchive {
        var archive = TestArchive()
        for path in ["bin", "etc", "root", "usr", "dev", "proc", "sys"] { archive.addRootDirectory(path, mode: 0o755) }
        archive.addRootDirectory("tmp", mode: 0o1777)
        archive.add("bin/busybox", try Files.read("/usr/bin/busybox"), mode: 0o755, uid: 0, gid: 0)
        for applet in [
            "sh", "ls", "cat", "echo", "mkdir", "touch", "ln", "id", "true", "false", "chown", "chmod", "env", "pwd", "rm", "printf", "sed",
            "date",
        ] {
            archive.addLink("bin/" + applet, to: "busybox")
        }
        archive.add(
            "etc/passwd",
            Array(
                ("root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\nwww:x:33:33:www:/var/www:/bin/false\n"
                    + "bob:x:1000:1001:Bob:/home/bob:/bin/sh\n").utf8), uid: 0, gid: 0, seconds: 1_500_000_000)
        archive.add(
            "etc/group", Array("root:x:0:\ndaemon:x:1:\nwww:x:33:\nstaff:x:50:bob\nbobs:x:1001:\n".utf8), uid: 0, gid: 0,
            seconds: 1_500_000_000)
        return archive
    }

    private mutating func addRootDirectory(_ path: String, mode: UInt32) {
        entries.append((TarEntry(kind: .directory, path: Array(path.utf8), mode: mode), []))
    }
}

/// Runs commands with chroot on a detached overlay: a real shell on the real files, without a container around it.
final class ChrootExecutor: BuildExecutor {
    private let log = Mutex<[RunStep]>([])

    /// What was asked for, in order.
    var steps: [RunStep] { log.withLock { $0 } }

    func run(_ step: RunStep, cancellation: BuildCancellation, output: (Bool, [UInt8]) -> Void) throws -> Int32 {
        log.withLock { $0.append(step) }
        return try withRootfs(layers: step.layers, upper: step.upper, work: step.work) { root in
            var standardOutput = try OwnedFD.pipe()
            var standardError = try OwnedFD.pipe()
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_adddup2(&actions, standardOutput.writing.raw, 1)
            posix_spawn_file_actions_adddup2(&actions, standardError.writing.raw, 2)
            let place = "/proc/\(getpid())/fd/\(root.raw)"
            let script = "cd \"$0\" && exec \"$@\""
            let words = ["/usr/sbin/chroot", place, "/bin/sh", "-c", script, step.workingDirectory] + step.arguments
            var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
            var environment: [UnsafeMutablePointer<CChar>?] = step.environment.map { strdup($0) } + [nil]
            defer { for pointer in arguments + environment { free(pointer) } }
            var pid = pid_t()
            let code = posix_spawn(&pid, "/usr/sbin/chroot", &actions, nil, &arguments, &environment)
            if code != 0 { throw SystemError("spawn", "chroot", code: code) }
            // The command's ends close with it; these would keep the pipes open.
            standardOutput.writing = OwnedFD(owning: -1)
            standardError.writing = OwnedFD(owning: -1)
            output(false, try standardOutput.reading.readAll())
            output(true, try standardError.reading.readAll())
            var status: Int32 = 0
            _ = try retrying("waitpid") { waitpid(pid, &status, 0) }
            return clp_wifexited(status) != 0 ? clp_wexitstatus(status) : 128 + clp_wtermsig(status)
        }
    }
}
