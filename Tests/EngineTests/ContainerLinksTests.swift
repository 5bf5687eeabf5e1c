import EngineTypes
import Testing

@testable import Engine

@Suite struct ContainerLinksTests {
    @Test(arguments: [
        ("db", "db", "db"), ("db:store", "db", "store"), ("/db:/web/store", "db", "store"),
    ])
    func reads(_ text: String, _ container: String, _ alias: String) throws {
        let link = try ContainerLinks.parse(text)
        #expect(link.container == container && link.alias == alias)
    }

    @Test(arguments: [
        ("", "empty string specified for links"), ("a:b:c", "bad format for links: a:b:c"), (":b", "bad format for links: :b"),
        ("a:", "bad format for links: a:"),
    ])
    func refuses(_ text: String, _ words: String) { #expect(message { _ = try ContainerLinks.parse(text) } == words) }

    private func linked(_ alias: String, ports: [String], environment: [String] = []) -> ContainerLinks.Linked {
        var config = ContainerConfig()
        config.Hostname = "abcdef"
        config.Env = environment
        config.ExposedPorts = Dictionary(uniqueKeysWithValues: ports.map { ($0, EmptyObject()) })
        return ContainerLinks.Linked(alias: alias, record: makeRecord(config: config, host: HostConfig()), address: "172.17.0.2")
    }

    @Test func variables() {
        let variables = linked("my-db", ports: ["5432/tcp"], environment: ["PATH=/x", "HOME=/y", "POSTGRES_DB=a=b"]).environment(for: "web")
        #expect(
            variables == [
                "MY_DB_PORT=tcp://172.17.0.2:5432", "MY_DB_PORT_5432_TCP=tcp://172.17.0.2:5432", "MY_DB_PORT_5432_TCP_ADDR=172.17.0.2",
                "MY_DB_PORT_5432_TCP_PORT=5432", "MY_DB_PORT_5432_TCP_PROTO=tcp", "MY_DB_NAME=/web/my-db",
                "MY_DB_ENV_POSTGRES_DB=a=b",
            ])
    }

    @Test func portsThatFollowEachOther() {
        let variables = linked("db", ports: ["81/tcp", "82/tcp", "80/tcp", "53/udp", "90/tcp", "91/tcp"]).environment(for: "web")
        #expect(variables.first == "DB_PORT=udp://172.17.0.2:53")
        #expect(variables.contains("DB_PORT_80_TCP_START=tcp://172.17.0.2:80"))
        #expect(variables.contains("DB_PORT_80_TCP_END=tcp://172.17.0.2:82") && !variables.contains { $0.contains("90_TCP_START") })
        #expect(variables.contains("DB_PORT_80_TCP_PORT_START=80") && variables.contains("DB_PORT_80_TCP_PORT_END=82"))
        #expect(variables.contains("DB_PORT_53_UDP_PROTO=udp") && !variables.contains { $0.contains("53_UDP_START") })
    }

    @Test func linesOfHosts() {
        let name = makeRecord(config: ContainerConfig(), host: HostConfig()).name
        #expect(ContainerLinks.hosts([linked("db", ports: [])]) == "172.17.0.2\tdb abcdef \(name)\n")
    }
}
