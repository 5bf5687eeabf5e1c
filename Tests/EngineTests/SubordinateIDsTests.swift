import EngineTypes
import OCIRuntimeSpec
import Testing

@testable import Engine

@Suite struct SubordinateIDsTests {
    @Test func rangesOfOneUserFollowEachOther() throws {
        let file = try SubordinateIDs(
            parsing: "# comment\nother:100000:65536\nuser:200000:10\n\n1000:300000:65536\n", file: "/etc/subuid")
        let mapping = try file.mapping(of: ["user", "1000"])
        #expect(mapping.map(\.containerID) == [0, 10])
        #expect(mapping.map(\.hostID) == [200_000, 300_000])
        #expect(mapping.map(\.size) == [10, 65_536])
        #expect(mapping.hostID(of: 11) == 300_001)
        #expect(try file.mapping(of: ["nobody"]).isEmpty)
    }

    @Test(arguments: ["user:1", "user:x:1", "user:1:0", "user:4294967295:2", "user:1:2:3"])
    func linesThatSayNothing(line: String) {
        #expect(throws: EngineError.self) { try SubordinateIDs(parsing: line, file: "/etc/subuid") }
    }

    private static let free: [(String, UInt32)] = [
        ("", 100_000), ("a:100000:65536", 165_536), ("a:165536:65536\nb:100000:65536", 231_072), ("a:300000:65536", 100_000),
        ("a:150000:10", 150_010), ("a:200000:4294767295", 100_000), ("a:100000:4294801759", 4_294_901_759),
    ]

    @Test(arguments: free)
    func theFirstIdsThatNobodyHas(text: String, first: UInt32) throws {
        #expect(try SubordinateIDs(parsing: text, file: "/etc/subuid").firstFree() == first)
    }

    @Test(arguments: ["a:100000:4294801760", "a:100000:4294867295", "a:100000:4294867294\nb:4294967294:1"])
    func noIdsAreLeft(text: String) throws {
        let file = try SubordinateIDs(parsing: text, file: "/etc/subgid")
        #expect { try file.firstFree() } throws: { "\($0)".contains("/etc/subgid") }
    }

    @Test func moreIdsThanThereAre() throws {
        let file = try SubordinateIDs(parsing: "a:0:4294967295\na:5:1\nb:1:4294967294\nb:0:1", file: "/etc/subuid")
        #expect { try file.mapping(of: ["a"]) } throws: { "\($0)".contains("\"a\" in /etc/subuid") }
        #expect(try file.mapping(of: ["b"]).map(\.containerID) == [0, 4_294_967_294])
    }
}
