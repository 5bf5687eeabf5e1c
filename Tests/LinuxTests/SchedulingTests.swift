import CLinux
import Glibc
import Testing

@testable import Linux

@Suite struct NumberListTests {
    @Test(
        arguments: [
            ("0", [0]), ("0-3,7", [0, 1, 2, 3, 7]), ("7,0", [0, 7]), ("63-65", [63, 64, 65]), ("8191", [8191]), ("1,1", [1]),
        ] as [(String, [UInt16])])
    func reads(_ text: String, _ numbers: [UInt16]) { #expect(NumberList(strictly: text)?.numbers == numbers) }

    @Test(arguments: ["", ",", "0,", "1-", "-1", "3-1", "a", "0x1", "1 2", "8192", "99999", "+1", "1--2", "１"])
    func refuses(_ text: String) { #expect(NumberList(strictly: text) == nil) }

    @Test func wordsHold64Each() { #expect(NumberList("0,64").words == [1, 1]) }
}

@Suite struct SchedulingTests {
    @Test func schedulerIsSetAndRead() {
        let wanted = SchedulingAttributes(policy: 3, nice: 5)
        let read = onOwnThread { () -> SchedulingAttributes? in
            try? wanted.apply(to: 0)
            return try? SchedulingAttributes.current(of: 0)
        }
        #expect(read??.policy == 3)
        #expect(read??.nice == 5)
    }

    @Test func ioPriorityIsSetAndRead() {
        let read = onOwnThread { () -> [Int32] in
            try? ProcessPlacement.setIOPriority(ofClass: 2, level: 6, of: 0)
            guard let (ioClass, level) = try? ProcessPlacement.ioPriority(of: 0) else { return [] }
            return [ioClass, level]
        }
        #expect(read == [2, 6])
    }

    @Test func affinityIsSetAndRead() throws {
        let first = try #require(try ProcessPlacement.affinity(of: 0).numbers.first)
        let read = onOwnThread { () -> [UInt16]? in
            guard let one = NumberList(strictly: "\(first)") else { return nil }
            try? ProcessPlacement.setAffinity(one, of: 0)
            return try? ProcessPlacement.affinity(of: 0).numbers
        }
        #expect(read == [first])
        let none = try #require(NumberList(strictly: "8191"))
        #expect(throws: SystemError.self) { try ProcessPlacement.setAffinity(none, of: 0) }
    }
}

/// On a directory in place of the kernel's filesystem.
@Suite struct ResctrlTests {
    @Test func isFoundByItsType() {
        let text = """
            25 1 0:22 / /sys rw,nosuid - sysfs sysfs rw
            41 25 0:35 / /sys/fs/resctrl rw,relatime shared:9 - resctrl resctrl rw
            42 25 0:36 / /resctrl rw - tmpfs resctrl rw
            """
        #expect(ResctrlGroup.mountPoint(in: text) == "/sys/fs/resctrl")
        #expect(ResctrlGroup.mountPoint(in: "25 1 0:22 / /sys/fs/resctrl rw - tmpfs resctrl rw\n") == nil)
    }

    @Test func namesItsDirectory() {
        #expect(ResctrlGroup(mountPoint: "/r", closID: nil, container: "c").path == "/r/c")
        #expect(ResctrlGroup(mountPoint: "/r", closID: "gold", container: "c").path == "/r/gold")
        #expect(ResctrlGroup(mountPoint: "/r", closID: "/", container: "c").monitor("c") == "/r/mon_groups/c")
    }

    @Test(
        arguments: [
            (["L3:0=7f0;1=1f"], true), (["L3:0=07F0"], true), (["L3:1=1f"], true), (["MB:0=20"], true), (["L3:0=7f1"], false),
            (["L3:2=1"], false), (["L2:0=f"], false),
        ] as [([String], Bool)])
    func comparesSchemata(_ lines: [String], _ isSame: Bool) throws {
        let scratch = try Scratch()
        try Files.write(scratch.file("schemata"), "    L3:0=7f0;1=1f\n    MB:0= 20;1= 70\n")
        let group = ResctrlGroup(mountPoint: scratch.path, closID: "/", container: "c")
        #expect(try group.matches(schemata: lines) == isSame)
    }
}

@Suite struct MessageSocketTests {
    /// The last words of a process that dies before it has read what it was told.
    @Test func lastWordsAreHeard() throws {
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
        let mine = MessageSocket(pair.first)
        do {
            let other = MessageSocket(pair.second)
            try mine.send([1])
            try other.send([2])
        }
        let heard = try mine.receive()?.bytes
        #expect(heard == [2])
        let ended = try mine.receive() == nil
        #expect(ended)
    }
}
