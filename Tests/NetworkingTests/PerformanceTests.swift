import Glibc
import Netlink
import Testing

@testable import Networking

/// What the start path costs; printed, and bounded loosely so that a slow machine does not fail.
@Suite(.serialized) struct PerformanceTests {
    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) * 1e3 + Double(time.tv_nsec) / 1e6
    }

    private static func time(_ body: () throws -> Void) rethrows -> Double {
        let start = now()
        try body()
        return now() - start
    }

    private static func text(_ values: [Double]) -> String {
        let sorted = values.sorted()
        func round(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
        return "median \(round(sorted[sorted.count / 2])) ms, best \(round(sorted[0])) ms, worst \(round(sorted[sorted.count - 1])) ms"
    }

    @Test func startingAContainersNetwork() throws {
        let (take, attach, publish, detach) = try TestHost.withManager({ $0.warmSandboxes = 4 }) { manager in
            var (take, attach, publish, detach): ([Double], [Double], [Double], [Double]) = ([], [], [], [])
            for round in 0..<30 {
                usleep(30000)
                var sandbox: NetworkSandbox?
                take.append(try Self.time { sandbox = try manager.takeSandbox() })
                var endpoint: Endpoint?
                attach.append(
                    try Self.time {
                        endpoint = try manager.attach(
                            containerID: "c\(round)", containerName: "c\(round)", hostname: "c", network: "bridge", sandbox: sandbox)
                    })
                guard let endpoint else { continue }
                var published: PublishedPorts?
                publish.append(
                    try Self.time { published = try manager.publish(endpoint, ports: [PortRequest(containerPort: 80)]) })
                detach.append(try Self.time { try manager.detach(endpoint, bindings: published?.bindings ?? []) })
            }
            return (take, attach, publish, detach)
        }
        print("take sandbox: \(Self.text(take))")
        print("attach: \(Self.text(attach))")
        print("publish one port: \(Self.text(publish))")
        print("detach: \(Self.text(detach))")
        #expect((attach.min() ?? 1000) < 20)
    }

    @Test func manyPorts() throws {
        let (add, remove) = try TestHost.withManager { manager in
            let sandbox = try manager.takeSandbox()
            let endpoint = try manager.attach(
                containerID: "c", containerName: "c", hostname: "c", network: "bridge", sandbox: sandbox)
            var published: PublishedPorts?
            let add = try Self.time {
                published = try manager.publish(
                    endpoint, ports: (0..<500).map { PortRequest(containerPort: 1000 + $0, hostPorts: (20000 + $0)...(20000 + $0)) })
            }
            let count = try NFTables().elements(table: "clipper", set: "ports4").count
            #expect(count == 500)
            let remove = try Self.time { try manager.detach(endpoint, bindings: published?.bindings ?? []) }
            return (add, remove)
        }
        print("publish 500 ports: \(add) ms; detach: \(remove) ms")
        #expect(add < 500)
    }
}
