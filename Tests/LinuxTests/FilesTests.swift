import CLinux
import Glibc
import Testing

@testable import Linux

@Suite struct FilesTests {
    @Test func errorsNameOperationObjectAndReason() {
        #expect("\(SystemError("open", "/x", code: ENOENT))" == "open /x: no such file or directory")
        #expect("\(SystemError("fsync", code: EIO))" == "fsync: input/output error")
        #expect(SystemError.text(of: 12_345).contains("12345"))
        do throws(SystemError) {
            _ = try Files.read("/nowhere/at/all")
            Issue.record("read")
        } catch { #expect(error == SystemError("open", "/nowhere/at/all", code: ENOENT)) }
    }

    @Test func retryingRetriesOnlyInterruptions() throws {
        var calls = 0
        let result = try retrying("call") { () -> Int in
            calls += 1
            errno = EINTR
            return calls < 3 ? -1 : 7
        }
        #expect(result == 7 && calls == 3)
        #expect(throws: SystemError("call", "thing", code: EPERM)) {
            try retrying("call", "thing") { () -> Int32 in
                errno = EPERM
                return -1
            }
        }
    }

    @Test func descriptorsAreClosedAndCloseOnExec() throws {
        let number: Int32
        do {
            let file = try OwnedFD.open("/dev/null")
            number = file.raw
            #expect(clp_fcntl(number, F_GETFD, 0) == FD_CLOEXEC)
            let copy = try file.duplicate()
            #expect(clp_fcntl(copy.raw, F_GETFD, 0) == FD_CLOEXEC)
            let pipe = try OwnedFD.pipe()
            #expect(clp_fcntl(pipe.reading.raw, F_GETFD, 0) == FD_CLOEXEC && clp_fcntl(pipe.writing.raw, F_GETFD, 0) == FD_CLOEXEC)
        }
        let kept = try OwnedFD.open("/dev/null").take()
        #expect(clp_fcntl(kept, F_GETFD, 0) >= 0)
        #expect(close(kept) == 0)
    }

    @Test(arguments: [0, 1, 4095, 4096, 4097, 20_480, 300_000, 2_000_000]) func readAllReadsAll(size: Int) throws {
        let scratch = try Scratch()
        let content = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try Files.replace(scratch.file("f"), with: content)
        #expect(try Files.read(scratch.file("f")) == content)
        #expect(try Files.read(scratch.file("f"), limit: 4096) == Array(content.prefix(4096)))
        #expect(try Files.read(scratch.file("f"), limit: 10) == Array(content.prefix(10)))
    }

    @Test func shortReadsOfAPipeAreJoined() throws {
        let pipe = try OwnedFD.pipe()
        try pipe.writing.writeAll(Array("ab".utf8))
        var buffer = [UInt8](repeating: 0, count: 1)
        #expect(try pipe.reading.read(into: &buffer) == 1)
        try pipe.writing.writeAll(Array("cd".utf8))
        _ = close(OwnedFD(owning: dup(pipe.writing.raw)).take())
        let writing = pipe.writing.raw
        #expect(fcntlClose(writing) == 0)
        #expect(try pipe.reading.readAll() == Array("bcd".utf8))
    }

    /// Replaces the writing end by /dev/null, so that the pipe ends while its owner stays.
    private func fcntlClose(_ descriptor: Int32) -> Int32 {
        guard let null = try? OwnedFD.open("/dev/null") else { return -1 }
        return dup2(null.raw, descriptor) == descriptor ? 0 : -1
    }

    @Test func replaceIsWholeOrNothing() throws {
        let scratch = try Scratch()
        let path = scratch.file("f")
        try Files.replace(path, with: [1], mode: 0o640)
        try Files.replace(path, with: [2, 3], mode: 0o600, durable: false)
        #expect(try Files.read(path) == [2, 3])
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(throws: SystemError.self) { try Files.replace(scratch.file("no/f"), with: [1]) }
        try Files.makeDirectories(scratch.file("d/e"))
        #expect(throws: SystemError.self) { try Files.replace(scratch.file("d"), with: [1]) }
        #expect(try Set(Files.list(scratch.path)) == ["f", "d"])
    }

    @Test func replacingOneFileFromManyThreadsKeepsItWhole() throws {
        let scratch = try Scratch()
        let path = scratch.file("f")
        let failures = (0..<4).map { UInt8($0) }.map { mark in
            Thread { for _ in 0..<50 { try? Files.replace(path, with: [UInt8](repeating: mark, count: 50_000), durable: false) } }
        }
        var torn = 0
        for _ in 0..<100 {
            guard let content = try? Files.read(path) else { continue }
            if content.count != 50_000 || Set(content).count != 1 { torn += 1 }
        }
        failures.forEach { $0.join() }
        #expect(torn == 0)
        #expect(try Files.list(scratch.path) == ["f"])
    }

    @Test func makeDirectories() throws {
        let scratch = try Scratch()
        try Files.makeDirectories(scratch.file("a/b/c"))
        try Files.makeDirectories(scratch.file("a/b/c"))
        #expect(Files.isDirectory(scratch.file("a/b/c")))
        try Files.write(scratch.file("file"), "x")
        do throws(SystemError) {
            try Files.makeDirectories(scratch.file("file/under"))
            Issue.record("made")
        } catch { #expect(error.code == ENOTDIR) }
        do throws(SystemError) {
            try Files.makeDirectories(scratch.file("file"))
            Issue.record("made")
        } catch { #expect(error.code == EEXIST) }
    }

    @Test func removeTreeStaysInside() throws {
        let scratch = try Scratch()
        try Files.makeDirectories(scratch.file("out"))
        try Files.write(scratch.file("out/precious"), "x")
        try Files.makeDirectories(scratch.file("tree/a/b"))
        try Files.write(scratch.file("tree/a/b/f"), "x")
        #expect(symlink(scratch.file("out"), scratch.file("tree/a/link")) == 0)
        #expect(symlink(scratch.file("out"), scratch.file("link")) == 0)
        #expect(mkfifo(scratch.file("tree/fifo"), 0o600) == 0)
        try Files.removeTree(scratch.file("tree"))
        try Files.removeTree(scratch.file("link"))
        try Files.removeTree(scratch.file("nothing"))
        #expect(try Files.list(scratch.path) == ["out"])
        #expect(Files.exists(scratch.file("out/precious")))
    }

    @Test func openInRootStaysInside() throws {
        let scratch = try Scratch()
        try Files.makeDirectories(scratch.file("root/etc"))
        try Files.write(scratch.file("root/etc/passwd"), "inside")
        #expect(symlink("/etc/passwd", scratch.file("root/absolute")) == 0)
        #expect(symlink("../../../../../etc/passwd", scratch.file("root/etc/relative")) == 0)
        #expect(symlink("/proc/self/root/etc/passwd", scratch.file("root/magic")) == 0)
        let root = try OwnedFD.open(scratch.file("root"), O_RDONLY | O_DIRECTORY)
        for path in ["etc/passwd", "/etc/passwd", "absolute", "etc/relative", "../../etc/passwd"] {
            #expect(try root.openInRoot(path).readAll() == Array("inside".utf8), "\(path)")
        }
        #expect(throws: SystemError.self) { try root.openInRoot("magic").readAll() }
    }

    @Test(arguments: [("/a/b", "/a"), ("/a", "/"), ("a", "."), ("a/b", "a"), ("/", "/")]) func parent(path: String, parent: String) {
        #expect(Files.parent(of: path) == parent)
    }

    @Test func socketPairCarriesMessages() throws {
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
        try pair.first.writeAll([1, 2])
        try pair.first.writeAll([3])
        var buffer = [UInt8](repeating: 0, count: 10)
        #expect(try pair.second.read(into: &buffer) == 2)
        #expect(try pair.second.read(into: &buffer) == 1)
    }
}

/// A thread beside the test's own.
private final class Thread {
    private var thread = pthread_t()
    private let body: () -> Void

    init(_ body: @escaping () -> Void) {
        self.body = body
        pthread_create(
            &thread, nil,
            { raw in
                if let raw { Unmanaged<Thread>.fromOpaque(raw).takeUnretainedValue().body() }
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    func join() { pthread_join(thread, nil) }
}
