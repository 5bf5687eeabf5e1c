import CLinux
import Glibc
import JSON
import Linux
import ShimProtocol
import Supervision
import Testing

/// A helper's output, read while it runs.
private func output(of sandbox: Sandbox, _ request: RootfsRequest) async throws -> [UInt8] {
    var pipe = try OwnedFD.pipe()
    let reading = pipe.reading.raw
    let writing = pipe.writing.raw
    async let bytes = Stream.readDescriptor(reading)
    do { try await sandbox.supervisor.runHelper(request, output: writing) } catch {
        pipe.writing = try OwnedFD.open("/dev/null")
        _ = await bytes
        throw error
    }
    pipe.writing = try OwnedFD.open("/dev/null")
    let result = await bytes
    withExtendedLifetime(pipe.reading.raw) {}
    return result
}

extension Stream {
    static func readDescriptor(_ descriptor: Int32) async -> [UInt8] {
        await withCheckedContinuation { continuation in
            onThread {
                var all: [UInt8] = []
                var chunk = [UInt8](repeating: 0, count: 65536)
                while true {
                    let count = Glibc.read(descriptor, &chunk, chunk.count)
                    if count <= 0 { break }
                    all += chunk[..<count]
                }
                continuation.resume(returning: all)
            }
        }
    }
}

/// Runs tar on bytes in a file; its listing or nothing.
private func tar(_ sandbox: Sandbox, _ bytes: [UInt8], _ arguments: String) throws -> String {
    try Files.replace("\(sandbox.base)/t.tar", with: bytes, durable: false)
    #expect(shell("cd \(sandbox.base) && tar \(arguments) -f t.tar > t.out 2>&1") == 0)
    return try Files.readText("\(sandbox.base)/t.out")
}

@Test func tellsWhatIsAtAPath() async throws {
    let sandbox = try Sandbox()
    defer { sandbox.remove() }
    _ = symlink("/etc/motd", "\(sandbox.base)/upper/link")
    _ = symlink("../../../../etc", "\(sandbox.base)/upper/up")
    let target = RootfsRequest.Target.overlay(sandbox.overlay)
    func status(_ path: String) async throws -> PathStatus? {
        try await sandbox.supervisor.runHelper(RootfsRequest(target: target, operation: .stat(path: path)))
    }
    let motd = try await status("/etc/motd")
    #expect(motd?.name == "motd")
    #expect(motd?.size == 8)
    #expect(motd?.mode == S_IFREG | 0o644)
    let link = try await status("/link")
    #expect(link?.linkTarget == "/etc/motd")
    #expect((link?.mode ?? 0) & S_IFMT == S_IFLNK)
    // The host's /etc has no motd of eight bytes: links stay inside.
    #expect(try await status("/up/motd")?.size == 8)
    #expect(try await status("/")?.name == "/")
    #expect(try await status("/etc/")?.name == "etc")
    for path in ["/missing", "/etc/motd/", "/etc/motd/x"] {
        let failure = await #expect(throws: ShimFailure.self) { _ = try await status(path) }
        #expect(failure?.kind == .notFound, "\(path): \(failure?.message ?? "")")
    }
}

@Test func copiesOutOfAStoppedContainer() async throws {
    let sandbox = try Sandbox()
    defer { sandbox.remove() }
    _ = symlink("/etc", "\(sandbox.base)/upper/link")
    let target = RootfsRequest.Target.overlay(sandbox.overlay)
    func names(_ path: String) async throws -> [String] {
        let bytes = try await output(of: sandbox, RootfsRequest(target: target, operation: .archiveOut(path: path)))
        return try tar(sandbox, bytes, "-t").split(separator: "\n").map(String.init)
    }
    #expect(try await names("/etc") == ["etc/", "etc/motd"])
    #expect(try await names("/etc/motd") == ["motd"])
    #expect(try await names("/etc/.") == ["./", "./motd"])
    #expect(try await names("/link") == ["link"])
    #expect(try await names("/link/") == ["link/", "link/motd"])
    #expect(try await names("/").contains("./etc/motd"))
    let failure = await #expect(throws: ShimFailure.self) { _ = try await names("/missing") }
    #expect(failure?.kind == .notFound)
}

@Test func copiesIntoAndExportsARunningContainer() async throws {
    let sandbox = try Sandbox(oneRuntime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sleep", "100"]))
    let target = connection.rootTarget
    #expect(shell("cd \(sandbox.base) && mkdir in && echo new > in/file && ln -s /etc/motd in/l && tar cf in.tar -C in .") == 0)
    let input = try OwnedFD.open("\(sandbox.base)/in.tar")
    try await sandbox.supervisor.runHelper(
        RootfsRequest(target: target, operation: .archiveIn(path: "/tmp", noOverwriteDirNonDir: true, owner: .init(uid: 0, gid: 0))),
        input: input.raw)
    #expect(try Files.readText("\(sandbox.base)/upper/tmp/file") == "new\n")
    let bytes = try await output(of: sandbox, RootfsRequest(target: target, operation: .export))
    let names = try tar(sandbox, bytes, "-t").split(separator: "\n").map(String.init)
    #expect(names.contains("tmp/file"))
    #expect(names.contains("etc/motd"))
    // What is mounted in it is not part of it.
    #expect(!names.contains { $0.hasPrefix("proc/") && $0 != "proc/" })
    for path in ["/etc/motd", "/missing"] {
        let failure = await #expect(throws: ShimFailure.self) {
            let input = try OwnedFD.open("\(sandbox.base)/in.tar")
            try await sandbox.supervisor.runHelper(
                RootfsRequest(target: target, operation: .archiveIn(path: path, noOverwriteDirNonDir: false, owner: nil)),
                input: input.raw)
        }
        #expect(failure?.kind == (path == "/missing" ? .notFound : .invalidRequest))
    }
    try await connection.signal(SIGKILL)
    #expect(await connection.finished()?.exitCode == 137)
}

@Test func aProcessOfTheSameNumberIsNotTheContainer() async throws {
    let sandbox = try Sandbox(oneRuntime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sleep", "100"]))
    guard case .process(let pid, let startTime) = connection.rootTarget else { return #expect(Bool(false)) }
    // This test's own process, with the start of the container's; the container's with another start; and nobody.
    for other: RootfsRequest.Target in [
        .process(getpid(), startTime: startTime), .process(pid, startTime: startTime + 1), .process(Int32.max, startTime: startTime),
    ] {
        for operation: RootfsRequest.Operation in [.stat(path: "/"), .export, .archiveOut(path: "/")] {
            let failure = await #expect(throws: ShimFailure.self) {
                _ = try await output(of: sandbox, RootfsRequest(target: other, operation: operation))
            }
            #expect(failure?.kind == .ended)
        }
    }
    try await connection.signal(SIGKILL)
    #expect(await connection.finished()?.exitCode == 137)
    let failure = await #expect(throws: ShimFailure.self) {
        _ = try await output(of: sandbox, RootfsRequest(target: connection.rootTarget, operation: .stat(path: "/")))
    }
    #expect(failure?.kind == .ended)
}

@Test func fillsAVolumeFromTheImage() async throws {
    let sandbox = try Sandbox()
    defer { sandbox.remove() }
    let volume = "\(sandbox.base)/volume"
    try Files.makeDirectories(volume)
    try Files.makeDirectories("\(sandbox.base)/layer/data/deep")
    try Files.write("\(sandbox.base)/layer/data/deep/file", "content")
    _ = chown("\(sandbox.base)/layer/data/deep/file", 12, 34)
    _ = chmod("\(sandbox.base)/layer/data", 0o1770)
    _ = chown("\(sandbox.base)/layer/data", 56, 78)
    let image = Overlay(layers: ["\(sandbox.base)/layer"], upper: nil, work: nil)
    for path in ["/data", "/missing", "/data"] {
        try await sandbox.supervisor.runHelper(
            RootfsRequest(target: .overlay(image), operation: .copyUp(path: path, destination: volume)))
        var root = stat()
        var file = stat()
        #expect(stat(volume, &root) == 0 && root.st_mode & 0o7777 == 0o1770 && root.st_uid == 56 && root.st_gid == 78)
        #expect(stat("\(volume)/deep/file", &file) == 0 && file.st_uid == 12 && file.st_gid == 34)
        // A volume that has something in it stays as it is.
        try Files.write("\(volume)/own", "mine")
    }
    #expect(try Files.readText("\(volume)/own") == "mine")
}

@Test func refusesAnArchiveThatIsNone() async throws {
    let sandbox = try Sandbox()
    defer { sandbox.remove() }
    let input = try OwnedFD.open("\(sandbox.base)/layer/bin/busybox")
    let request = RootfsRequest(
        target: .overlay(sandbox.overlay), operation: .archiveIn(path: "/tmp", noOverwriteDirNonDir: false, owner: nil))
    let failure = await #expect(throws: ShimFailure.self) { try await sandbox.supervisor.runHelper(request, input: input.raw) }
    #expect(failure?.kind == .invalidRequest)
}
