import EngineTypes
import JSON
import RegistryClient
import Testing

@testable import Engine

@Suite struct SearchFilters {
    private let all = [
        SearchResult(name: "a", description: "", stars: 3, isOfficial: true, isAutomated: false),
        SearchResult(name: "b", description: "", stars: 9, isOfficial: false, isAutomated: true),
    ]

    @Test(
        arguments: [
            ([:], "ab"), (["stars": ["4"]], "b"), (["stars": ["1", "10"]], ""), (["is-official": ["true"]], "a"),
            (["is-official": ["0"]], "b"), (["is-automated": ["true"]], ""), (["is-automated": ["false"]], "ab"),
        ] as [([String: [String]], String)])
    func choose(_ filters: [String: [String]], _ expected: String) throws {
        let filter = try SearchFilter(Filters(filters))
        #expect(all.filter(filter.matches).map(\.name).joined() == expected)
    }

    @Test(
        arguments: [
            (["x": ["1"]], "invalid filter 'x'"), (["stars": ["many"]], "invalid filter 'stars=[many]'"),
            (["is-official": ["maybe"]], "invalid filter 'is-official=[maybe]'"),
            (["is-official": ["true", "false"]], "invalid filter 'is-official=[false true]'"),
        ] as [([String: [String]], String)])
    func refused(_ filters: [String: [String]], _ expected: String) {
        #expect(throws: EngineError.self) { try SearchFilter(Filters(filters)) }
        do { _ = try SearchFilter(Filters(filters)) } catch { #expect(error.message == expected) }
    }
}

@Test func registriesInInfo() {
    var settings = RegistrySettings()
    settings.mirrors = ["docker.io": ["https://m/"], "ghcr.io": ["https://g/"]]
    settings.insecure = ["10.0.0.0/8", "reg:5000"]
    let document = settings.document
    #expect(document["Mirrors"] == ["https://m/"])
    #expect(document["InsecureRegistryCIDRs"] == ["10.0.0.0/8", "::1/128", "127.0.0.0/8"])
    #expect(document["IndexConfigs"]?["docker.io"] == ["Name": "docker.io", "Mirrors": ["https://m/"], "Secure": true, "Official": true])
    #expect(document["IndexConfigs"]?["ghcr.io"]?["Mirrors"] == ["https://g/"])
    #expect(document["IndexConfigs"]?["reg:5000"] == ["Name": "reg:5000", "Mirrors": [], "Secure": false, "Official": false])
}
