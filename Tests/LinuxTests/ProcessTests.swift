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

    /// mount_setattr(2): an access-time mode is set only with its whole field cleared.
    @Test func attributesOfTimes() {
        let (set, clear) = MountOptions(parsing: ["bind", "noatime", "nodev", "suid"]).attributes
        #expect(set == 0x10 | 0x4)  // MOUNT_ATTR_NOATIME, NODEV
        #expect(clear == 0x70 | 0x2)  // MOUNT_ATTR__ATIME, NOSUID
        #expect(MountOptions(parsing: ["bind"]).attributes == (0, 0))
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
