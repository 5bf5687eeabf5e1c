import EngineTypes
import JSON
import NIOCore
import Testing

@testable import EngineAPI

@Suite struct Listings {
    private func summary(_ id: String, status: String = "Created", annotations: [String: String]? = nil) -> ContainerSummary {
        ContainerSummary(
            Id: id, Names: ["/\(id)"], Image: "i", ImageID: "sha256:0", Command: "true", Created: 0, Ports: [], Labels: [:],
            State: "created", Status: status, HostConfig: .init(NetworkMode: "none", Annotations: annotations),
            NetworkSettings: .init(Networks: [:]), Mounts: [])
    }

    private func encoded(
        _ listings: ContainerListings, _ summaries: [ContainerSummary], _ version: APIVersion = .newest
    ) throws -> [UInt8] {
        Array(try listings.encode(summaries, for: version).readableBytesView)
    }

    private func plain(_ summaries: [ContainerSummary], _ version: APIVersion = .newest) throws -> [UInt8] {
        let rows = try summaries.map { FieldGates.containerSummary(try JSON.value($0), for: version) }
        return JSONValue.array(rows).serialized() + [UInt8(ascii: "\n")]
    }

    @Test func answersAreThoseOfAnEncodingAnew() throws {
        let listings = ContainerListings()
        #expect(try encoded(listings, []) == Array("[]\n".utf8))
        var all = [summary("a"), summary("b"), summary("c")]
        for _ in 0..<2 { #expect(try encoded(listings, all) == plain(all)) }
        all[1] = summary("b", status: "Up 3 seconds")
        all.append(summary("d"))
        all.remove(at: 0)
        #expect(try encoded(listings, all) == plain(all))
    }

    @Test func clientsOfTwoVersionsGetTheirOwn() throws {
        let listings = ContainerListings()
        let all = [summary("a", annotations: ["k": "v"])]
        let old = APIVersion("1.45")
        #expect(try plain(all) != plain(all, old))
        for _ in 0..<2 {
            #expect(try encoded(listings, all) == plain(all))
            #expect(try encoded(listings, all, old) == plain(all, old))
        }
        for minor in 30..<40 {
            let version = APIVersion("1.\(minor)")
            #expect(try encoded(listings, all, version) == plain(all, version))
        }
    }
}
