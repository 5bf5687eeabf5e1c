import CLinux
import Glibc
import Testing

@testable import Linux

@Suite struct MountOptionTests {
    @Test func readsFlagsAndData() {
        let options = MountOptions(parsing: ["nosuid", "ro", "mode=755", "rw", "noexec", "size=64k", "exec"])
        #expect(options.flags == 2)  // MS_NOSUID
        #expect(!options.isReadOnly)
        #expect(options.data == "mode=755,size=64k")
        #expect(options.cleared == 1 | 8)  // MS_RDONLY, MS_NOEXEC
    }

    @Test func readsBindsAndPropagation() {
        let options = MountOptions(parsing: ["rbind", "rprivate", "shared"])
        #expect(options.isBind)
        #expect(options.isRecursive)
        #expect(options.propagation == [1 << 18 | 1 << 14, 1 << 20])  // MS_PRIVATE|MS_REC, MS_SHARED
        #expect(options.data.isEmpty)
    }

    /// mount_setattr(2): an access-time mode is set only with its whole field cleared. RDONLY 1, NOSUID 2, NODEV 4, NOEXEC 8,
    /// NOATIME 0x10, STRICTATIME 0x20, their field 0x70, NODIRATIME 0x80, NOSYMFOLLOW 0x200000.
    @Test(
        arguments: [
            ([], 0, 0), (["rprivate"], 0, 0), (["ro"], 1, 0x20000e), (["dev"], 0, 0x20000f),
            (["noatime", "nodev", "suid"], 0x14, 0x2000fb),
            (["atime"], 0, 0x20000f), (["nodiratime"], 0x80, 0x2000ff), (["relatime"], 0, 0x2000ff),
            (["nodiratime", "strictatime", "noatime"], 0xa0, 0x2000ff),
        ] as [([String], UInt64, UInt64)])
    func attributesOfBinds(_ options: [String], _ set: UInt64, _ clear: UInt64) {
        let found = MountOptions(parsing: ["bind"] + options).attributes
        #expect(found == (set, clear), "\(String(found.set, radix: 16)) \(String(found.clear, radix: 16))")
    }

    /// statfs(2): RDONLY 1, NOSUID 2, NODEV 4, NOEXEC 8, NOATIME 0x400, NODIRATIME 0x800, RELATIME 0x1000, NOSYMFOLLOW 0x2000.
    @Test(
        arguments: [
            (["ro"], 0xe, 0xf, 0x200000), (["dev"], 0x2001, 1, 0x20000e), (["rw"], 1, nil, 0), (["nosuid"], 1, 3, 0x20000c),
            (["noatime"], 0x400, 0, 0x20000f), (["noatime"], 0x1000, nil, 0), (["relatime"], 0x400, nil, 0), (["relatime"], 0, nil, 0),
            (["strictatime"], 0, 0, 0x20000f), (["strictatime"], 0x1000, nil, 0), (["nodiratime"], 0x1000, nil, 0),
        ] as [([String], Int, UInt64?, UInt64)])
    func lockedFlagsStay(_ options: [String], _ source: Int, _ set: UInt64?, _ clear: UInt64) {
        let found = MountOptions(parsing: ["bind"] + options).attributes(keeping: source)
        #expect(found?.set == set && (found == nil || found?.clear == clear), "\(String(describing: found))")
    }

    @Test func laterRecursiveOptionsWin() {
        let options = MountOptions(parsing: ["rro", "rnosuid", "rrw"])
        #expect(options.recursiveSet == 2)
        #expect(options.recursiveClear == 1)
    }
}

@Suite struct ProcessRoomTests {
    @Test func namesCapabilitiesAsTheKernelNumbersThem() {
        #expect(Capability(name: "CAP_CHOWN")?.rawValue == 0)
        #expect(Capability(name: "CAP_SYS_ADMIN")?.rawValue == 21)
        #expect(Capability(name: "CAP_SYS_RESOURCE")?.rawValue == 24)
        #expect(Capability(name: "CAP_CHECKPOINT_RESTORE")?.rawValue == 40)
        #expect(Capability(name: "chown") == nil)
        #expect(Capability.allCases.count == 41)
        #expect(Capability.allCases.allSatisfy { Capability(name: $0.name) == $0 })
    }

    @Test func namesLimits() {
        #expect(ResourceLimitKind(name: "RLIMIT_NOFILE")?.rawValue == 7)
        #expect(ResourceLimitKind(name: "RLIMIT_AS")?.rawValue == 9)
        #expect(ResourceLimitKind(name: "RLIMIT_RTTIME")?.rawValue == 15)
        #expect(ResourceLimitKind(name: "NOFILE") == nil)
    }

    @Test(arguments: [
        ("9", 9), ("KILL", 9), ("SIGKILL", 9), ("sigterm", 15), ("RTMIN", 34), ("RTMIN+3", 37), ("SIGRTMAX-1", 63), ("IOT", 6),
    ])
    func readsSignals(_ text: String, _ number: Int32) { #expect(Signal.number(text) == number) }

    @Test(arguments: ["", "0", "65", "-9", "SIG", "NOPE", "RTMIN+31", "9x"])
    func refusesSignals(_ text: String) { #expect(Signal.number(text) == nil) }

    /// A program's name may look like the fields behind it.
    @Test func readsStatBehindTheName() {
        let tail = (4...52).map { "\($0)" }.joined(separator: " ")
        let snapshot = ProcessStatus.parse("12 (a) Z (b) S 7 \(tail)")
        #expect(snapshot?.state == "S")
        #expect(snapshot?.parent == 7)
        #expect(snapshot?.startTime == 21)
        #expect(ProcessStatus.parse("12 (a") == nil)
        #expect(ProcessStatus.parse("12 (a) S") == nil)
    }

    @Test func messagesCarryADescriptor() throws {
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
        let first = MessageSocket(pair.first)
        let second = MessageSocket(pair.second)
        let pipe = try OwnedFD.pipe()
        try first.send([1, 2, 3], descriptor: pipe.writing.raw)
        guard var message = try second.receive(), let passed = message.descriptor.take() else {
            Issue.record("no descriptor came")
            return
        }
        #expect(message.bytes == [1, 2, 3])
        try passed.writeAll([9])
        var buffer: [UInt8] = [0]
        #expect(try pipe.reading.read(into: &buffer) == 1)
        #expect(buffer == [9])
    }
}
