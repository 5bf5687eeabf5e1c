import EngineTypes
import JSON
import Testing

@testable import EngineAPI

@Suite struct Listings {
    private func summary(_ id: String, status: String = "Created", annotations: [String: String]? = nil) -> ContainerSummary {
        ContainerSummary(
            Id: id, Names: ["/\(id)"], Image: "i", ImageID: "sha256:0", Command: "true", Created: 0, Ports: [], Labels: [:],
            State: "created", Status: status, HostConfig: .init(NetworkMode: "none", Annotations: annotations),
            NetworkSettings: .init(Networks: [:]), Mounts: [])
    }

    private func plain(_ summaries: [ContainerSummary], _ version: APIVersion = .newest) throws -> [UInt8] {
        JSONValue.array(try summaries.map { FieldGates.containerSummary(try JSON.value($0), for: version) }).serialized()
    }

    @Test func answersAreThoseOfAnEncodingAnew() throws {
        let listings = ContainerListings()
        #expect(try listings.encode([], for: .newest) == Array("[]".utf8))
        var all = [summary("a"), summary("b"), summary("c")]
        for _ in 0..<2 { #expect(try listings.encode(all, for: .newest) == plain(all)) }
        all[1] = summary("b", status: "Up 3 seconds")
        all.append(summary("d"))
        all.remove(at: 0)
        #expect(try listings.encode(all, for: .newest) == plain(all))
    }

    @Test func clientsOfTwoVersionsGetTheirOwn() throws {
        let listings = ContainerListings()
        let all = [summary("a", annotations: ["k": "v"])]
        let old = APIVersion("1.45")
        #expect(try plain(all) != plain(all, old))
        for _ in 0..<2 {
            #expect(try listings.encode(all, for: .newest) == plain(all))
            #expect(try listings.encode(all, for: old) == plain(all, old))
        }
        for minor in 30..<40 {
            let version = APIVersion("1.\(minor)")
            #expect(try listings.encode(all, for: version) == plain(all, version))
        }
    }
}
