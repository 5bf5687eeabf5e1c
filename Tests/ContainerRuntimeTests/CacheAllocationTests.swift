import Linux
import OCIRuntimeSpec
import Testing

@testable import ContainerRuntime

/// The specification's rules for Intel RDT, on a directory in place of resctrl, whose files a test makes itself.
@Suite struct CacheAllocationTests {
    private func settings(_ closID: String? = nil, _ schemata: [String] = [], monitoring: Bool = false) -> Spec.IntelRdt {
        var result = Spec.IntelRdt()
        result.closID = closID
        result.schemata = schemata
        result.enableMonitoring = monitoring
        return result
    }

    private func withMount(_ body: (String) throws -> Void) throws {
        let path = "/tmp/clipper-resctrl-tests-\(UInt64.random(in: 0...UInt64.max))"
        try Files.makeDirectories(path)
        defer { try? Files.removeTree(path) }
        try body(path)
    }

    @Test func classThatIsMissingAndNotDescribedIsAnError() throws {
        try withMount { mount in
            #expect(throws: SpecError.self) { try CacheAllocation(settings("gold"), id: "c", mountPoint: mount).prepare() }
            #expect(!Files.exists("\(mount)/gold"))
        }
    }

    @Test func classOfTheContainersOwnIsMadeAndGoesWithIt() throws {
        try withMount { mount in
            let allocation = CacheAllocation(settings(), id: "c", mountPoint: mount)
            try allocation.prepare()
            #expect(Files.isDirectory("\(mount)/c"))
            try Files.write("\(mount)/c/tasks", "")
            try allocation.enter(77)
            #expect(try Files.readText("\(mount)/c/tasks") == "77")
            try Files.removeTree("\(mount)/c/tasks")
            allocation.remove()
            #expect(!Files.exists("\(mount)/c"))
        }
    }

    /// `update` makes a class for a container that has none, and changes that of one that has.
    @Test func updateMakesWhatIsMissing() throws {
        try withMount { mount in
            let allocation = CacheAllocation(settings(), id: "c", mountPoint: mount)
            // A directory of paper has no files of its own: the class that was made goes again with the failure.
            #expect(throws: SystemError.self) { try allocation.update(["L3:0=f"], process: 77) }
            #expect(!Files.exists("\(mount)/c"))
            try Files.makeDirectories("\(mount)/c")
            try Files.write("\(mount)/c/schemata", "")
            try allocation.update(["L3:0=f", "MB:0=50"], process: 77)
            #expect(try Files.readText("\(mount)/c/schemata") == "L3:0=f\nMB:0=50\n")
            #expect(!Files.exists("\(mount)/c/tasks"))
        }
    }

    /// Somebody else's class of that name is neither used nor removed.
    @Test func classOfTheContainersNameThatIsThereIsAnError() throws {
        try withMount { mount in
            try Files.makeDirectories("\(mount)/c")
            #expect(throws: SystemError.self) { try CacheAllocation(settings(), id: "c", mountPoint: mount).prepare() }
            #expect(Files.isDirectory("\(mount)/c"))
        }
    }

    @Test func classThatIsThereMustHaveTheSameSchemata() throws {
        try withMount { mount in
            try Files.makeDirectories("\(mount)/gold")
            try Files.write("\(mount)/gold/schemata", "L3:0=f\n")
            try CacheAllocation(settings("gold", ["L3:0=f"]), id: "c", mountPoint: mount).prepare()
            try CacheAllocation(settings("gold"), id: "c", mountPoint: mount).prepare()
            #expect(throws: SpecError.self) { try CacheAllocation(settings("gold", ["L3:0=1"]), id: "c", mountPoint: mount).prepare() }
            // Never written to: other containers use it.
            #expect(try Files.readText("\(mount)/gold/schemata") == "L3:0=f\n")
            CacheAllocation(settings("gold"), id: "c", mountPoint: mount).remove()
            #expect(Files.isDirectory("\(mount)/gold"))
        }
    }

    @Test func monitoringGroupIsTheContainersAndGoesWithIt() throws {
        try withMount { mount in
            try Files.makeDirectories("\(mount)/mon_groups")
            let allocation = CacheAllocation(settings("/", monitoring: true), id: "c", mountPoint: mount)
            try allocation.prepare()
            #expect(Files.isDirectory("\(mount)/mon_groups/c"))
            try Files.write("\(mount)/tasks", "")
            try Files.write("\(mount)/mon_groups/c/tasks", "")
            try allocation.enter(5)
            #expect(try Files.readText("\(mount)/mon_groups/c/tasks") == "5")
            try Files.removeTree("\(mount)/mon_groups/c/tasks")
            allocation.remove()
            #expect(!Files.exists("\(mount)/mon_groups/c"))
            #expect(Files.isDirectory(mount))
        }
    }

    @Test func classIsTakenAwayAgainWhenMonitoringFails() throws {
        try withMount { mount in
            // In a plain directory a new class has no mon_groups.
            let allocation = CacheAllocation(settings(monitoring: true), id: "c", mountPoint: mount)
            #expect(throws: SystemError.self) { try allocation.prepare() }
            #expect(!Files.exists("\(mount)/c"))
        }
    }
}

@Suite struct SchedulingSpecTests {
    @Test func policiesAreTheKernelsNumbers() {
        let wanted: [(Spec.Scheduler.Policy, UInt32)] = [
            (.other, 0), (.fifo, 1), (.roundRobin, 2), (.batch, 3), (.iso, 4), (.idle, 5), (.deadline, 6),
        ]
        for (policy, number) in wanted { #expect(SchedulingAttributes(Spec.Scheduler(policy)).policy == number) }
        #expect(wanted.count == Spec.Scheduler.Policy.allCases.count)
    }

    @Test func flagsAreTheKernelsBits() {
        var scheduler = Spec.Scheduler(.other)
        scheduler.flags = Spec.Scheduler.Flag.allCases
        #expect(SchedulingAttributes(scheduler).flags == 0x7f)
        scheduler.flags = [.reclaim]
        #expect(SchedulingAttributes(scheduler).flags == 2)
    }

    @Test func memoryPoliciesAreTheKernelsNumbers() {
        #expect(Spec.MemoryPolicy(.standard).number == 0)
        #expect(Spec.MemoryPolicy(.preferred).number == 1)
        #expect(Spec.MemoryPolicy(.bind, flags: [.staticNodes]).number == 2 | 1 << 15)
        #expect(Spec.MemoryPolicy(.interleave, flags: [.relativeNodes]).number == 3 | 1 << 14)
        #expect(Spec.MemoryPolicy(.local).number == 4)
        #expect(Spec.MemoryPolicy(.preferredMany).number == 5)
        #expect(Spec.MemoryPolicy(.weightedInterleave, flags: [.numaBalancing]).number == 6 | 1 << 13)
    }
}
