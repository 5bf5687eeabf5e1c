import Linux
import Testing

@testable import Systemd

@Suite struct SystemdUnitTests {
    @Test(arguments: [
        ("system.slice:docker:abc", "system.slice", "docker-abc.scope", "/system.slice/docker-abc.scope"),
        ("a-b-c.slice:p:n", "a-b-c.slice", "p-n.scope", "/a.slice/a-b.slice/a-b-c.slice/p-n.scope"),
        ("-.slice:p:n", "-.slice", "p-n.scope", "/p-n.scope"),
        (":p:n", "system.slice", "p-n.scope", "/system.slice/p-n.scope"),
        ("x.slice::n", "x.slice", "n.scope", "/x.slice/n.scope"),
    ])
    func paths(_ path: String, _ slice: String, _ name: String, _ group: String) throws {
        let unit = try SystemdUnit(cgroupsPath: path, id: "id", isUser: false)
        #expect(unit.slice == slice && unit.name == name && unit.path == group)
    }

    @Test func defaults() throws {
        #expect(try SystemdUnit(cgroupsPath: nil, id: "one", isUser: false).path == "/system.slice/clipper-one.scope")
        #expect(try SystemdUnit(cgroupsPath: nil, id: "one", isUser: true).path == "/user.slice/clipper-one.scope")
    }

    @Test(arguments: [
        "/docker/abc", "a:b", "a:b:c:d", "system.slice:p:n.slice", "noslice:p:n", "a/b.slice:p:n", "a--b.slice:p:n", "-a.slice:p:n",
        "a-.slice:p:n", ".slice:p:n", "..slice:p:n", "x.slice:p:../n", "x.slice:p:a b", "x.slice:p:ä",
    ])
    func refused(_ path: String) {
        #expect(throws: BusError.self) { try SystemdUnit(cgroupsPath: path, id: "id", isUser: false) }
    }
}

@Suite struct ScopePropertiesTests {
    private func value(_ name: String, unified: Bool = true, version: Int = 252, _ change: (inout CgroupResources) -> Void) throws
        -> BusValue?
    {
        var resources = CgroupResources()
        change(&resources)
        return try ScopeProperties.properties(resources, isUnified: unified, version: version).last { $0.name == name }?.value
    }

    @Test func memory() throws {
        func set(_ resources: inout CgroupResources) {
            resources.memory.limit = 100
            resources.memory.swap = 150
            resources.memory.reservation = 50
        }
        #expect(try value("MemoryMax", set) == .uint64(100))
        #expect(try value("MemorySwapMax", set) == .uint64(50))
        #expect(try value("MemoryLow", set) == .uint64(50))
        #expect(try value("MemoryLimit", unified: false, set) == .uint64(100))
        #expect(try value("MemoryMax", unified: false, set) == nil)
        #expect(try value("MemoryMax") { $0.memory.limit = -1 } == .uint64(.max))
        #expect(try value("MemoryMax") { _ in } == nil)
    }

    @Test func tasks() throws {
        #expect(try value("TasksMax") { $0.pidsLimit = 12 } == .uint64(12))
        #expect(try value("TasksMax") { $0.pidsLimit = -1 } == .uint64(.max))
        #expect(try value("TasksMax") { $0.pidsLimit = 0 } == .uint64(1))
    }

    @Test func processorTime() throws {
        #expect(try value("CPUWeight") { $0.cpu.shares = 1024 } == .uint64(100))
        #expect(try value("CPUShares", unified: false) { $0.cpu.shares = 1024 } == .uint64(1024))
        let idle = try value("CPUWeight") {
            $0.cpu.shares = 1024
            $0.cpu.idle = 1
        }
        #expect(idle == .uint64(0))
        func quota(_ resources: inout CgroupResources) {
            resources.cpu.quota = 25_500
            resources.cpu.period = 100_000
        }
        #expect(try value("CPUQuotaPerSecUSec", quota) == .uint64(260_000))
        #expect(try value("CPUQuotaPeriodUSec", quota) == .uint64(100_000))
        #expect(try value("CPUQuotaPeriodUSec", version: 241, quota) == nil)
        #expect(try value("CPUQuotaPerSecUSec") { $0.cpu.quota = -1 } == .uint64(.max))
        #expect(try value("AllowedCPUs") { $0.cpu.cpus = "0-2,9" } == .array(of: "y", [.byte(7), .byte(2)]))
        #expect(try value("AllowedCPUs", version: 243) { $0.cpu.cpus = "0" } == nil)
    }

    @Test func unifiedFiles() throws {
        #expect(try value("MemoryHigh") { $0.unified = ["memory.high": "max"] } == .uint64(.max))
        #expect(try value("TasksMax") { $0.unified = ["pids.max": "7\n"] } == .uint64(7))
        #expect(try value("CPUQuotaPerSecUSec") { $0.unified = ["cpu.max": "50000 100000"] } == .uint64(500_000))
        #expect(throws: CgroupError.self) { try value("MemoryHigh") { $0.unified = ["memory.high": "much"] } }
    }

    @Test func devices() {
        let list = ScopeProperties.devices(
            [
                DeviceRule(allow: false), DeviceRule(allow: true, kind: .character, access: .mknod),
                DeviceRule(allow: true, kind: .character, major: 136),
                DeviceRule(allow: true, kind: .block, major: 8, minor: 0, access: .read),
                DeviceRule(allow: true, kind: .character, major: 999),
            ], names: { $1 == 136 ? "pts" : nil })
        func entry(_ name: String, _ access: String) -> BusValue { .structure([.string(name), .string(access)]) }
        #expect(
            list == [
                .init("DevicePolicy", .string("strict")),
                .init("DeviceAllow", .array(of: "(ss)", [entry("char-*", "m"), entry("char-pts", "rwm"), entry("/dev/block/8:0", "r")])),
            ])
        #expect(ScopeProperties.devices([DeviceRule(allow: true)])[0] == .init("DevicePolicy", .string("auto")))
        #expect(ScopeProperties.devices([]).isEmpty)
    }

    @Test func annotations() throws {
        let properties = try UnitAnnotations.properties([
            "org.systemd.property.TimeoutStopSec": "uint64 5", "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "org.systemd.property.After": "['a.service', 'b.service']", "org.systemd.property.SendSIGHUP": "true", "other": "x",
        ])
        #expect(
            properties == [
                .init("After", .array(of: "s", [.string("a.service"), .string("b.service")])),
                .init("CollectMode", .string("inactive-or-failed")), .init("SendSIGHUP", .bool(true)),
                .init("TimeoutStopUSec", .uint64(5_000_000)),
            ])
        #expect(throws: BusError.self) { try UnitAnnotations.properties(["org.systemd.property.A.b": "true"]) }
        #expect(throws: BusError.self) { try UnitAnnotations.properties(["org.systemd.property.After": "[what"]) }
    }

    @Test func addresses() {
        let none: (String) -> String? = { _ in nil }
        #expect(
            SystemdManager.addresses(of: .system, environment: none).map(\.path) == [
                "/run/systemd/private", "/run/dbus/system_bus_socket",
            ])
        let named = SystemdManager.addresses(of: .system) { $0 == "DBUS_SYSTEM_BUS_ADDRESS" ? "tcp:x;unix:guid=1,path=/my/bus" : nil }
        #expect(named == [.init(path: "/my/bus", isBroker: true)])
        let user = SystemdManager.addresses(of: .user) { $0 == "XDG_RUNTIME_DIR" ? "/run/user/5" : nil }
        #expect(user.map(\.path) == ["/run/user/5/systemd/private", "/run/user/5/bus"])
    }
}
