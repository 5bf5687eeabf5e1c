import CLinux
import EngineTypes
import Glibc
import Linux
import Testing

@testable import Engine

@Suite struct UserLookupTests {
    private static let users = UserLookup(
        passwd:
            "root:x:0:0:root:/root:/bin/sh\nann:x:1000:100::/home/ann:/bin/sh\nnohome:x:7:8:::\nbroken:x:y:1::/:\nshort:x\n1000:x:5:5::/five:\n",
        group: "root:x:0:\nstaff:x:50:ann,bob\nwheel:x:10:ann\nann2:x:11:ann2\nodd:x:z:ann\n")

    @Test(
        arguments: [
            ("", 0, 0, [], "/root"), ("root", 0, 0, [], "/root"), ("ann", 1000, 100, [50, 10], "/home/ann"),
            ("ann:", 1000, 100, [50, 10], "/home/ann"),
            // With a group given, those of /etc/group that list the user do not count.
            ("ann:staff", 1000, 50, [], "/home/ann"), ("ann:77", 1000, 77, [], "/home/ann"),
            // A name that looks like a number is a name first.
            ("1000", 5, 5, [], "/five"), ("7", 7, 8, [], "/"), ("4242", 4242, 0, [], "/"), ("4242:10", 4242, 10, [], "/"),
            (":50", 0, 50, [], "/root"), ("bob", nil, 0, [], ""), ("broken", nil, 0, [], ""), ("short", nil, 0, [], ""),
            ("ann:none", nil, 0, [], ""),
            ("-1", nil, 0, [], ""), ("4294967296", nil, 0, [], ""), ("2147483648", nil, 0, [], ""), ("ann:4294967295", nil, 0, [], ""),
        ] as [(String, UInt32?, UInt32, [UInt32], String)])
    func users(_ text: String, _ uid: UInt32?, _ gid: UInt32, _ groups: [UInt32], _ home: String) {
        let account = try? Self.users.resolve(text)
        #expect(account == uid.map { UserLookup.Account(uid: $0, gid: gid, additionalGroups: [gid] + groups, home: home) })
    }

    @Test func extraGroups() throws {
        #expect(try Self.users.resolve("ann", extraGroups: ["wheel", "99"]).additionalGroups == [100, 50, 10, 99])
        #expect(
            message { _ = try Self.users.resolve("ann", extraGroups: ["no"]) }
                == "unable to find group no: no matching entries in group file")
    }

    @Test func withoutFiles() {
        let lookup = UserLookup(passwd: nil, group: nil)
        #expect((try? lookup.resolve("")) == .init(uid: 0, gid: 0, additionalGroups: [0], home: "/"))
        #expect(message { _ = try lookup.resolve("ann") } == "unable to find user ann: no matching entries in passwd file")
    }
}

@Suite struct LayeredFilesTests {
    private func text(_ scratch: Scratch, _ path: String = "etc/passwd") -> String? {
        LayeredFiles(layers: ["\(scratch.path)/upper", "\(scratch.path)/missing", "\(scratch.path)/lower"]).readText(path)
    }

    private func scratch() throws -> Scratch {
        let scratch = try Scratch()
        try Files.makeDirectories("\(scratch.path)/upper/etc")
        try scratch.write("lower/etc/passwd", "lower")
        return scratch
    }

    @Test func theTopmostWins() throws {
        let scratch = try scratch()
        #expect(text(scratch) == "lower")
        #expect(text(scratch, "etc/group") == nil)
        try scratch.write("upper/etc/passwd", "upper")
        #expect(text(scratch) == "upper")
    }

    @Test func aDeletedFileIsGone() throws {
        let scratch = try scratch()
        #expect(mknod("\(scratch.path)/upper/etc/passwd", S_IFCHR, 0) == 0)
        #expect(text(scratch) == nil)
    }

    @Test func aDeletedDirectoryHidesItsFiles() throws {
        let scratch = try scratch()
        try Files.removeTree("\(scratch.path)/upper/etc")
        #expect(mknod("\(scratch.path)/upper/etc", S_IFCHR, 0) == 0)
        #expect(text(scratch) == nil)
    }

    @Test func anOpaqueDirectoryHidesLowerFiles() throws {
        let scratch = try scratch()
        #expect(setxattr("\(scratch.path)/upper/etc", "trusted.overlay.opaque", "y", 1, 0) == 0)
        #expect(text(scratch) == nil)
    }

    @Test func linksStayInside() throws {
        let scratch = try scratch()
        #expect(symlink("/../../../../../../etc/passwd", "\(scratch.path)/upper/etc/passwd") == 0)
        // The link points to itself inside the layer, never to the host's file.
        #expect(text(scratch)?.contains("root:") != true)
        #expect(symlink("/real", "\(scratch.path)/lower/etc/group") == 0)
        try scratch.write("lower/real", "real")
        #expect(text(scratch, "etc/group") == "real")
    }

    @Test func aFIFOInItsPlaceDoesNotBlock() throws {
        let scratch = try scratch()
        #expect(mkfifo("\(scratch.path)/upper/etc/passwd", 0o600) == 0)
        #expect(text(scratch) == nil)
    }
}

@Suite struct CapabilityTests {
    @Test(arguments: [
        ([], [], SpecDefaults.capabilities), (["ALL"], [], CapabilitySet.available), ([], ["all"], []),
        (["net_admin"], ["ALL"], ["CAP_NET_ADMIN"]), (["CAP_CHOWN"], [], SpecDefaults.capabilities),
        (["SYS_ADMIN"], ["MKNOD"], SpecDefaults.capabilities.filter { $0 != "CAP_MKNOD" } + ["CAP_SYS_ADMIN"]),
        (["ALL"], ["SYS_ADMIN"], CapabilitySet.available.filter { $0 != "CAP_SYS_ADMIN" }),
        (["ALL", "SYS_ADMIN"], ["SYS_ADMIN"], CapabilitySet.available.filter { $0 != "CAP_SYS_ADMIN" }),
    ])
    func combinations(_ add: [String], _ drop: [String], _ expected: [String]) throws {
        #expect(try CapabilitySet.resolve(add: add, drop: drop, isPrivileged: false) == expected)
    }

    @Test func privilegedHasAll() throws {
        #expect(try CapabilitySet.resolve(add: [], drop: ["ALL"], isPrivileged: true) == CapabilitySet.available)
    }

    @Test(arguments: ["", "NOPE", "CAP_", "CAP_ALL"])
    func unknown(_ name: String) {
        let shown = name.hasPrefix("CAP_") ? name : "CAP_\(name)"
        #expect(
            message { _ = try CapabilitySet.resolve(add: [name], drop: [], isPrivileged: false) }
                == "invalid CapAdd: unknown capability: \"\(shown)\"")
        #expect(
            message { _ = try CapabilitySet.resolve(add: [], drop: [name], isPrivileged: false) }
                == "invalid CapDrop: unknown capability: \"\(shown)\"")
    }
}
