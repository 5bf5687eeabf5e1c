import Glibc
import Testing

@testable import Linux

/// A cgroup filesystem of plain directories: what a manager writes can be read again. The knobs stand ready, as
/// the kernel would have made them; a manager never creates one.
final class FakeCgroups {
    let scratch: Scratch
    let layout: CgroupLayout
    static let path = "/test/one"

    /// `v1`: controllers of one hierarchy each (`cpu,cpuacct` for two together); `v2`: those of cgroup2, nil for none.
    init(v1: [String] = [], v2: [String]? = nil, knobs: [String: String] = [:]) throws {
        let scratch = try Scratch()
        self.scratch = scratch
        var hierarchies = v1.map {
            CgroupLayout.Hierarchy(
                mountPoint: "\(scratch.path)/\($0)", controllers: $0.split(separator: ",").map(String.init), isUnified: false)
        }
        if let v2 {
            hierarchies.append(CgroupLayout.Hierarchy(mountPoint: "\(scratch.path)/unified", controllers: v2, isUnified: true))
        }
        layout = CgroupLayout(hierarchies: hierarchies)
        for hierarchy in hierarchies {
            try Files.makeDirectories(hierarchy.mountPoint + Self.path)
            for level in ["", "/test", Self.path] {
                for knob in ["cgroup.procs", "tasks", "cgroup.subtree_control"] {
                    try Files.write(hierarchy.mountPoint + level + "/" + knob, "")
                }
            }
            for (knob, content) in knobs { try Files.write("\(hierarchy.mountPoint)\(Self.path)/\(knob)", content) }
        }
    }

    func create(_ change: (inout CgroupResources) -> Void = { _ in }) throws -> CgroupManager {
        var resources = CgroupResources()
        change(&resources)
        return try CgroupManager.create(path: Self.path, resources: resources, layout: layout)
    }

    /// What stands in a knob.
    func read(_ hierarchy: String, _ knob: String) -> String? { try? Files.readText("\(scratch.path)/\(hierarchy)\(Self.path)/\(knob)") }

    /// The message of the error that limits give.
    func refusal(_ change: (inout CgroupResources) -> Void) -> String {
        do {
            _ = try create(change)
            return "no error"
        } catch { return "\(error)" }
    }
}

/// A cgroup of the real kernel, removed at the end with everything in it.
final class RealCgroup {
    let manager: CgroupManager
    let path: String

    init(_ change: (inout CgroupResources) -> Void = { _ in }) throws {
        path = "/clipper-tests-\(getpid())/\(UInt32.random(in: 0 ... .max))"
        var resources = CgroupResources()
        change(&resources)
        manager = try CgroupManager.create(path: path, resources: resources)
    }

    deinit {
        try? manager.kill()
        try? manager.remove()
        manager.removeEmptyParent()
    }

    func read(_ controller: String, _ knob: String) -> String? {
        guard let directory = manager.directory(of: controller) else { return nil }
        return try? directory.read(knob)
    }
}

/// Waits for what another process does, two seconds at most.
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<400 {
        if try condition() { return true }
        usleep(5000)
    }
    return false
}
