import Testing

@testable import ContainerRuntime
@testable import Linux

@Suite struct MountLabelTests {
    static let label = "system_u:object_r:container_file_t:s0:c1,c2"

    /// The label's own comma parts no options, whichever way the filesystem is mounted.
    @Test func isOneOptionWithItsCommas() {
        #expect(SecurityLabels.withContext("mode=755", nil) == "mode=755")
        #expect(SecurityLabels.withContext("", Self.label) == "context=\"\(Self.label)\"")
        let data = SecurityLabels.withContext("mode=755,size=64k", Self.label)
        #expect(data == "mode=755,size=64k,context=\"\(Self.label)\"")
        #expect(MountOptions.split(data) == ["mode=755", "size=64k", "context=\(Self.label)"])
        #expect(MountOptions.split("") == [])
    }
}
