import CLinux
import Glibc
import Testing

@testable import Linux

/// Paths inside a root filesystem whose image means harm, and the kernel's own files behind somebody's mounts.
@Suite final class RootPathTests {
    private let scratch: Scratch
    private let root: OwnedFD

    init() throws {
        scratch = try Scratch()
        try Files.makeDirectories(scratch.file("root/real"))
        root = try OwnedFD.open(scratch.file("root"), O_PATH | O_DIRECTORY)
    }

    private func link(_ name: String, _ target: String) { #expect(symlink(target, scratch.file("root/\(name)")) == 0) }

    /// A link to nothing has its target made, inside: also through other links, and from a directory reached by one.
    @Test(arguments: [
        ("/not/there", "not/there"), ("not/there", "not/there"), ("../../../not/there", "not/there"), ("hop", "end"),
        ("real/../new", "new"), ("alias/new", "real/new"),
    ])
    func makesTheTargetOfALinkToNothing(_ target: String, _ place: String) throws {
        link("link", target)
        link("hop", "/end")
        link("alias", "/real")
        let made = try root.makeDirectoriesInRoot("/link/inside")
        let seen = try made.status()
        var wanted = stat()
        #expect(stat(scratch.file("root/\(place)/inside"), &wanted) == 0)
        #expect(seen.st_ino == wanted.st_ino)
    }

    @Test func makesTheTargetOfAFilesLinkToNothing() throws {
        link("file", "deep/er/file")
        let made = try root.makeFileInRoot("/file")
        #expect(try made.status().st_mode & S_IFMT == S_IFREG)
        #expect(Files.exists(scratch.file("root/deep/er/file")))
    }

    @Test(arguments: [["self"], ["one", "two"]])
    func endsWhereLinksGoRound(_ names: [String]) throws {
        for (index, name) in names.enumerated() { link(name, names[(index + 1) % names.count]) }
        let first = "/\(names[0])"
        #expect(throws: SystemError("open in root", "\(first)/x", code: ELOOP)) { _ = try root.makeDirectoriesInRoot("\(first)/x") }
        #expect(throws: SystemError.self) { _ = try root.makeFileInRoot(first) }
    }

    @Test func refusesWhatIsNotProcfs() throws {
        for path in ["/", "/proc/sys", "/proc/self"] {
            let error = #expect(throws: SystemError.self) {
                _ = try Procfs(proving: try OwnedFD.open(path, O_PATH | O_DIRECTORY))
            }
            #expect(error?.code == EINVAL)
        }
        let procfs = try Procfs.own()
        let seen = ["version", "self/status", "../etc/passwd", "self/root/etc/passwd"].map { procfs.has($0) }
        // Nothing above, and no magic link: it leads anywhere.
        #expect(seen == [true, true, false, false])
    }

    /// Another file of procfs mounted over the one that is meant: the write must not land there (CVE-2025-52881).
    @Test(.enabled(if: geteuid() == 0)) func refusesAMountOnTheWay() {
        let code = onOwnThread { () -> Int32 in
            guard clp_unshare(CLONE_NEWNS) == 0, clp_mount(nil, "/", nil, UInt(CLinux.MS_SLAVE | CLinux.MS_REC), nil) == 0,
                clp_mount("/proc/self/comm", "/proc/version", nil, UInt(CLinux.MS_BIND), nil) == 0
            else { return -1 }
            do throws(SystemError) { try Procfs.own().write("x", to: "version") } catch { return error.code }
            return 0
        }
        #expect(code == EXDEV)
    }

    /// A filesystem made without a place has what mount(2) would have given it.
    @Test(.enabled(if: geteuid() == 0)) func makesDetachedFilesystems() throws {
        let flags = UInt(CLinux.MS_NOSUID | CLinux.MS_NODEV)
        let tree = try Mounts.make(type: "tmpfs", source: "x", name: "/t", flags: flags, data: "size=64k,mode=711")
        #expect(try tree.status().st_mode & 0o7777 == 0o711)
        var type = 0
        var seen = 0
        #expect(clp_fstatfs(tree.raw, &type, &seen) == 0)
        #expect(seen & Int(ST_NOSUID) != 0)
        let error = #expect(throws: SystemError.self) { _ = try Mounts.make(type: "tmpfs", source: "x", name: "/t", data: "nonsense=1") }
        #expect(error?.code == EINVAL)
    }
}
