import EngineTypes
import Testing

@testable import Engine

@Suite struct CgroupDriverTests {
    @Test(arguments: [
        (CgroupDriver.cgroupfs, "", nil, "/clipper/c1"), (.cgroupfs, "/all", nil, "/all/c1"), (.cgroupfs, "/all", "", "/all/c1"),
        (.cgroupfs, "/all", "mine", "/mine/c1"), (.systemd, "", nil, "system.slice:clipper:c1"),
        (.systemd, "all.slice", nil, "all.slice:clipper:c1"), (.systemd, "all.slice", "a-b.slice", "a-b.slice:clipper:c1"),
    ])
    func places(_ driver: CgroupDriver, _ standard: String, _ parent: String?, _ path: String) {
        var configuration = EngineConfiguration(dataRoot: "/d", execRoot: "/e", runtimeExecutable: "/r")
        configuration.cgroupDriver = driver
        configuration.defaultCgroupParent = standard
        #expect(configuration.cgroupsPath(of: "c1", parent: parent) == path)
    }

    @Test(arguments: ["/mine", "mine", ".slice", "mine.slice/x", "mine.scope"])
    func systemdWantsSlices(_ parent: String) throws {
        let refusal = #expect(throws: EngineError.self) { try CgroupDriver.systemd.check(parent: parent) }
        #expect(refusal?.message == "cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\"")
        #expect(refusal?.code == .invalidParameter)
        try CgroupDriver.cgroupfs.check(parent: parent)
    }

    @Test(arguments: ["", "mine.slice", "a-b.slice"])
    func slicesAreTaken(_ parent: String) throws { try CgroupDriver.systemd.check(parent: parent) }
}
