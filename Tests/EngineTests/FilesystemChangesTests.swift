import CLinux
import EngineTypes
import Glibc
import JSON
import Linux
import Testing

@testable import Engine

@Suite struct FilesystemChangesTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func file(_ path: String, _ text: String = "x") throws {
        try Files.makeDirectories(Files.parent(of: "\(scratch.path)/\(path)"))
        try Files.write("\(scratch.path)/\(path)", text, flags: O_CREAT | O_WRONLY)
    }

    private func changes() throws -> [String] {
        try FilesystemChanges(upper: "\(scratch.path)/upper", layers: ["\(scratch.path)/top", "\(scratch.path)/base"]).list()
            .map { "\(["C", "A", "D"][$0.Kind.rawValue]) \($0.Path)" }
    }

    /// A directory of the writable layer as overlayfs copies it up: mode and time of the one below.
    private func copyUp(_ path: String) throws {
        try Files.makeDirectories("\(scratch.path)/upper/\(path)")
        var status = stat()
        #expect(stat("\(scratch.path)/base/\(path)", &status) == 0)
        var times = [status.st_atim, status.st_mtim]
        #expect(utimensat(AT_FDCWD, "\(scratch.path)/upper/\(path)", &times, 0) == 0)
    }

    @Test func addedModifiedAndDeleted() throws {
        try file("base/etc/passwd")
        try file("base/var/log/old")
        try file("top/srv/page")
        try file("upper/etc/passwd", "changed")
        try file("upper/opt/tool/run")
        try Files.makeDirectories("\(scratch.path)/upper/var/log")
        #expect(mknod("\(scratch.path)/upper/var/log/old", S_IFCHR, 0) == 0)
        try file("upper/srv/page", "changed")
        #expect(
            try changes() == [
                "C /etc", "C /etc/passwd", "A /opt", "A /opt/tool", "A /opt/tool/run", "C /srv", "C /srv/page", "C /var", "C /var/log",
                "D /var/log/old",
            ])
    }

    @Test func directoryThatWasRemovedAndMadeAnew() throws {
        try file("base/d/kept")
        try file("base/d/gone")
        try file("base/d/sub/deep/gone")
        try file("base/d/sub/gone")
        try file("base/d/hidden")
        try Files.makeDirectories("\(scratch.path)/top/d")
        #expect(mknod("\(scratch.path)/top/d/hidden", S_IFCHR, 0) == 0)
        try file("top/d/sub/of-top")
        try file("upper/d/kept", "changed")
        try file("upper/d/new")
        try Files.makeDirectories("\(scratch.path)/upper/d/sub")
        #expect(setxattr("\(scratch.path)/upper/d", "trusted.overlay.opaque", "y", 1, 0) == 0)
        #expect(
            try changes() == [
                "C /d", "D /d/gone", "C /d/kept", "A /d/new", "C /d/sub", "D /d/sub/deep", "D /d/sub/gone", "D /d/sub/of-top",
            ])
    }

    @Test func whatAnUpperLayerHidIsAdded() throws {
        try file("base/opaque/a")
        try file("base/file/b")
        try Files.makeDirectories("\(scratch.path)/top/opaque")
        #expect(setxattr("\(scratch.path)/top/opaque", "trusted.overlay.opaque", "y", 1, 0) == 0)
        try file("top/file")
        try file("upper/opaque/a")
        try file("upper/file/b")
        #expect(try changes() == ["C /file", "A /file/b", "C /opaque", "A /opaque/a"])
    }

    @Test func untouchedDirectoriesAndTheEnginesOwnFilesAreNotShown() throws {
        try file("base/etc/passwd")
        try file("base/usr/bin/tool")
        try file("upper/etc/hosts", "")
        try file("upper/etc/resolv.conf", "")
        try Files.makeDirectories("\(scratch.path)/upper/proc")
        try copyUp("usr/bin")
        try copyUp("usr")
        #expect(try changes() == [])
    }

    @Test func aHostsFileThatTheProgramWroteIsShown() throws {
        try file("base/etc/passwd")
        try file("upper/etc/hosts", "127.0.0.1 me")
        #expect(try changes() == ["C /etc", "A /etc/hosts"])
    }

    @Test func linksInLayersLeadNowhere() throws {
        try Files.makeDirectories("\(scratch.path)/base")
        try file("upper/etc/passwd")
        #expect(symlink("/etc", "\(scratch.path)/base/etc") == 0)
        #expect(try changes() == ["C /etc", "A /etc/passwd"])
    }
}

@Suite struct StatisticsTests {
    @Test func networkCountersLeaveTheLoopbackOut() {
        let text = """
            Inter-|   Receive                                                |  Transmit
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
                lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
              eth0:    1170      13    1    2    0     0          0         0      420       4    3    5    0     0       0          0
            """
        #expect(
            ResourceSample.interfaces(text) == [
                ResourceSample.Interface(name: "eth0", received: [1170, 13, 1, 2], sent: [420, 4, 3, 5])
            ])
        #expect(ResourceSample.interfaces("") == [])
    }

    @Test func hostTimeIsTheSumOfSevenStates() {
        let (time, processors) = ResourceSample.hostTime("cpu  1 2 3 4 5 6 7 800 900 0\ncpu0 1 1 1\ncpu1 1 1 1\nintr 9\n")
        #expect(time == 28 * 10_000_000)
        #expect(processors == 2)
    }

    @Test func aContainerThatDoesNotRunHasNoFigures() {
        let document = StatsDocument(id: "i", name: "n", isUnified: false, hostMemory: 1).json(nil, before: nil)
        #expect(document["name"]?.stringValue == "/n")
        #expect(document["memory_stats"] == [:])
        #expect(document["read"]?.stringValue == "0001-01-01T00:00:00Z")
        #expect(document["networks"] == nil)
    }
}
