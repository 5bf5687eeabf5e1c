import Glibc
import Testing

@testable import Linux

/// A filesystem of paper. `meanwhile` runs between a look and the claim after it: what another daemon does then.
private final class PaperFilesystem: ProjectFilesystem {
    var projects: [String: UInt32] = [:]
    var limits: [UInt32: UInt64] = [:]
    var meanwhile: [() -> Void] = []
    private(set) var looks = 0

    func fileCount(of project: UInt32) -> UInt64 {
        looks += 1
        return UInt64(projects.values.count { $0 == project })
    }

    func assign(_ project: UInt32, to directory: String) {
        if project != 0, !meanwhile.isEmpty { meanwhile.removeFirst()() }
        projects[directory] = project == 0 ? nil : project
    }

    func setLimit(_ bytes: UInt64, of project: UInt32) { limits[project] = bytes }
}

@Suite struct ProjectQuotasTests {
    private static let first = ProjectAllotment.first

    @Test func treesGetProjectsOfTheirOwn() throws {
        let disk = PaperFilesystem()
        for (name, size) in [("a", 1), ("b", 2), ("c", 3)] as [(String, UInt64)] {
            try ProjectAllotment.limit(["\(name)/upper", "\(name)/work"], to: size, on: disk)
        }
        #expect(disk.projects["a/upper"] == Self.first && disk.projects["a/work"] == Self.first)
        #expect(disk.projects["b/upper"] == Self.first + 1 && disk.projects["c/work"] == Self.first + 2)
        #expect(disk.limits == [Self.first: 1, Self.first + 1: 2, Self.first + 2: 3])
    }

    /// Whatever limit is left of a project without files: it is free, and the limit is the new owner's.
    @Test func aProjectWithoutFilesIsFree() throws {
        let disk = PaperFilesystem()
        try ProjectAllotment.limit(["a"], to: 1, on: disk)
        try ProjectAllotment.limit(["b"], to: 2, on: disk)
        disk.projects["a"] = nil
        try ProjectAllotment.limit(["c"], to: 3, on: disk)
        #expect(disk.projects == ["b": Self.first + 1, "c": Self.first] && disk.limits[Self.first] == 3)
    }

    @Test func whoTakesTheSameNumberAtTheSameTimeIsGivenWay() throws {
        let disk = PaperFilesystem()
        disk.meanwhile = [{ disk.projects["other/1"] = Self.first }, { disk.projects["other/2"] = Self.first + 4 }]
        try ProjectAllotment.limit(["a", "b"], to: 7, on: disk, step: { 4 })
        #expect(disk.projects["a"] == Self.first + 8 && disk.projects["b"] == Self.first + 8)
        #expect(disk.limits == [Self.first + 8: 7])
    }

    @Test func filesystemsWithoutProjectsAreTold() throws {
        #expect(try ProjectQuotas(of: "/proc") == nil)
        #expect(ProjectQuotas.project(of: "/proc") == 0)
        #expect(throws: SystemError("look at", "/nowhere", code: ENOENT)) { try ProjectQuotas(of: "/nowhere") }
    }
}
