import CLinux
import Glibc
import Testing

@testable import Linux

/// What stands in for the kernel is plain directories.
@Suite struct CgroupPartsTests {
    @Test func partsByController() throws {
        let fake = try FakeCgroups(v1: ["cpu,cpuacct", "memory"], v2: [])
        let manager = try fake.create()
        for hierarchy in fake.layout.hierarchies { try Files.makeDirectories("\(hierarchy.mountPoint)\(FakeCgroups.path)/sub/deep") }
        func ends(_ paths: [String: String]) throws -> [String: Bool] {
            try manager.part(paths).paths.mapValues { $0.hasSuffix("/sub/deep") }
        }
        #expect(try ends(["": "sub/deep"]).values.allSatisfy { $0 })
        #expect(try ends(["cpuacct": "/sub//deep/"]) == ["cpu": true, "cpuacct": true, "memory": false, "unified": false])
        #expect(try ends(["unified": "./sub/deep", "memory": "/"]) == ["cpu": false, "cpuacct": false, "memory": false, "unified": true])
        #expect(try manager.part(["": "/"]).paths == manager.paths)
    }

    @Test func whatIsRefused() throws {
        let manager = try FakeCgroups(v1: ["cpu"]).create()
        #expect(throws: CgroupError.self) { try manager.part(["": "../other"]) }
        #expect(throws: CgroupError.controllerMissing(controller: "nosuch", setting: "--cgroup")) { try manager.part(["nosuch": "/"]) }
        #expect(throws: SystemError.self) { try manager.part(["cpu": "missing"]) }
    }

    @Test(.enabled(if: geteuid() == 0, "needs root")) func delegationGivesOnlyWhatIsSafe() throws {
        let fake = try FakeCgroups(v2: ["memory"], knobs: ["memory.max": "", "cgroup.threads": ""])
        let directory = try #require(try fake.create().unified)
        try directory.delegate(to: 12345, names: ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "not.here"])
        func owner(_ path: String) throws -> UInt32 { try OwnedFD.open(path).status().st_uid }
        for name in ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] { #expect(try owner(directory.file(name)) == 12345) }
        #expect(try owner(directory.path) == 12345)
        #expect(try owner(directory.file("memory.max")) == 0)
    }

    @Test func delegationNeverOnV1() throws {
        let fake = try FakeCgroups(v1: ["memory"], v2: [])
        let manager = try fake.create()
        try manager.delegate(to: 12345)
        #expect(try OwnedFD.open(fake.layout.hierarchies[1].mountPoint + FakeCgroups.path).status().st_uid == geteuid())
    }

    @Test(arguments: [(1, true), (0, false)]) func frozenFromAbove(_ frozen: Int, _ expected: Bool) throws {
        let v2 = try FakeCgroups(v2: [], knobs: ["cgroup.freeze": "0\n", "cgroup.events": "populated 1\nfrozen \(frozen)\n"])
        let unified = try v2.create()
        #expect(unified.isFrozen == expected && unified.isFrozenFromAbove == expected)
        let v1 = try FakeCgroups(v1: ["freezer"], knobs: ["freezer.state": "THAWED\n", "freezer.parent_freezing": "\(frozen)\n"])
        #expect(try v1.create().isFrozenFromAbove == expected)
    }

    @Test func numberLists() {
        #expect(NumberList("0-2,7\n").numbers == [0, 1, 2, 7])
        #expect(NumberList("\n").numbers == [])
        #expect(NumberList("3-1,x,5").numbers == [5])
    }

    @Test func details() throws {
        let fake = try FakeCgroups(
            v1: ["cpuset", "hugetlb", "memory"],
            knobs: [
                "cpuset.cpus": "0-1\n", "cpuset.mems": "0\n", "cpuset.sched_relax_domain_level": "-1\n",
                "hugetlb.2MB.limit_in_bytes": "9\n",
                "hugetlb.2MB.rsvd.limit_in_bytes": "9\n", "hugetlb.2MB.usage_in_bytes": "4\n", "hugetlb.2MB.failcnt": "3\n",
                "memory.kmem.tcp.limit_in_bytes": "77\n", "memory.stat": "cache 5\n",
            ])
        let details = try fake.create().details()
        #expect(details.cpuset?.cpus == [0, 1] && details.cpuset?.flags["sched_relax_domain_level"] == -1)
        #expect(details.hugepages.keys.sorted() == ["2MB"] && details.hugepages["2MB"]?.failures == 3)
        #expect(details.kernelTCP.limit == 77 && details.cache == 5)
    }
}
