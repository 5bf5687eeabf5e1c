import Testing

@testable import Linux

@Suite struct KernelFilesystemsTests {
    @Test func wholeOnesOutsideOfTheRootLastFirst() {
        let mountinfo = """
            22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
            23 22 0:21 / /proc rw,nosuid shared:2 - proc proc rw
            24 22 0:22 / /sys rw,nosuid - sysfs sysfs rw
            25 22 0:21 /sys /proc/sys ro - proc proc rw
            26 22 0:23 / /my\\040proc rw shared:3 master:1 - proc proc rw
            27 22 0:24 / /bundle/rootfs/proc rw - proc proc rw
            28 22 0:25 / /bundle/rootfs2/proc rw - proc proc rw
            29 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
            """
        #expect(
            Mounts.wholeKernelFilesystems(mountinfo, outside: "/bundle/rootfs")
                == ["/bundle/rootfs2/proc", "/my proc", "/sys", "/proc"])
    }
}
