import EngineTypes
import JSON
import Testing

@testable import EngineAPI

@Suite struct FieldGateTests {
    @Test func containersShowWhatWasNotAskedForAsNull() throws {
        let value: JSONValue = [
            "Id": "0123456789abcdef", "Config": ["Hostname": "web"],
            "HostConfig": ["NetworkMode": "n", "MemorySwappiness": -1, "PidsLimit": 0],
            "NetworkSettings": ["Networks": ["n": ["DNSNames": ["x"], "GwPriority": 0], "bridge": [:]]],
        ]
        let new = FieldGates.container(value, for: APIVersion("1.50"))
        #expect(new["HostConfig"]?["MemorySwappiness"] == .some(.null) && new["HostConfig"]?["PidsLimit"] == .some(.null))
        #expect(new["HostConfig"]?["CapAdd"] == .some(.null) && new["Config"]?["Entrypoint"] == .some(.null))
        #expect(new["NetworkSettings"]?["Networks"]?["n"]?["Aliases"] == .some(.null))
        #expect(new["NetworkSettings"]?["Networks"]?["n"]?["DNSNames"] == ["x"])
        let old = FieldGates.container(value, for: APIVersion("1.43"))
        #expect(old["NetworkSettings"]?["Networks"]?["n"]?["Aliases"] == ["0123456789ab", "web"])
        #expect(old["NetworkSettings"]?["Networks"]?["bridge"]?["Aliases"] == .some(.null))
        let network = old["NetworkSettings"]?["Networks"]?["n"]
        #expect(network?["DNSNames"] == nil && network?["GwPriority"] == nil)
    }

    @Test func imagesHaveAContainersConfigurationForOldClients() {
        let value: JSONValue = ["Size": 7, "Created": "", "Config": ["Cmd": ["sh"], "Tty": true, "StopTimeout": 3]]
        let new = FieldGates.image(value, for: APIVersion("1.50"))
        #expect(new["Config"] == ["Cmd": ["sh"]] && new["ContainerConfig"] == nil && new["VirtualSize"] == nil)
        let middle = FieldGates.image(value, for: APIVersion("1.49"))
        #expect(middle["Config"]?["Tty"] == true && middle["Config"]?["Hostname"] == "" && middle["Config"]?["Volumes"] == .some(.null))
        #expect(middle["ContainerConfig"] == nil)
        let old = FieldGates.image(value, for: APIVersion("1.41"))
        #expect(old["VirtualSize"] == 7 && old["Container"] == "" && old["ContainerConfig"] == old["Config"])
        #expect(old["Created"] == "0001-01-01T00:00:00Z")
    }

    @Test(arguments: [("1.42", JSONValue.array(["<none>:<none>"])), ("1.43", JSONValue.array([]))])
    func imagesWithoutName(_ version: String, _ tags: JSONValue) {
        let shown = FieldGates.imageSummary(["RepoTags": [], "RepoDigests": []], for: APIVersion(version))
        #expect(shown["RepoTags"] == tags && shown["Labels"] == .some(.null))
    }

    @Test func information() {
        let value: JSONValue = [
            "SecurityOptions": ["name=seccomp,profile=builtin"], "RuncCommit": ["ID": "x"], "RegistryConfig": [:], "Plugins": [:],
        ]
        let new = FieldGates.info(value, for: APIVersion("1.50"))
        #expect(new["BridgeNfIptables"] == nil && new["RuncCommit"] == ["ID": "x"] && new["Plugins"]?["Authorization"] == .some(.null))
        let old = FieldGates.info(value, for: APIVersion("1.24"))
        #expect(old["SecurityOptions"] == ["seccomp"] && old["RuncCommit"]?["Expected"] == "x" && old["BridgeNfIptables"] == false)
        #expect(old["RegistryConfig"]?["AllowNondistributableArtifactsCIDRs"] == .some(.null))
    }
}

@Suite struct RequestGateTests {
    private func request(_ json: String) throws -> ContainerCreateRequest {
        try JSON.decode(ContainerCreateRequest.self, from: Array(json.utf8))
    }

    private static func mounts(_ mount: String) -> String { #"{"HostConfig": {"Mounts": [\#(mount)]}}"# }

    private func refusal(_ json: String, _ version: String) throws -> String? {
        var request = try request(json)
        do {
            _ = try RequestGates.create(&request, for: APIVersion(version))
            return nil
        } catch let error as APIError { return error.message }
    }

    @Test func olderClientsAreReadAsTheyMeant() throws {
        let json = """
            {"Image": "i", "Healthcheck": {"StartInterval": 5}, "HostConfig": {"AutoRemove": true, "Annotations": {"a": "b"}, "PidsLimit": 0,
             "ConsoleSize": [1, 2], "KernelMemory": 7, 
             "Mounts": [{"Type": "bind", "BindOptions": {"NonRecursive": true, "CreateMountpoint": true}}]}}
            """
        var old = try request(json)
        _ = try RequestGates.create(&old, for: APIVersion("1.24"))
        #expect(old.hostConfig?.AutoRemove == false && old.hostConfig?.Annotations == nil && old.hostConfig?.IpcMode == "shareable")
        #expect(old.hostConfig?.ConsoleSize == nil && old.hostConfig?.KernelMemory == 7 && old.hostConfig?.PidsLimit == nil)
        #expect(old.config.Healthcheck?.StartInterval == nil)
        let options = old.hostConfig?.Mounts?[0].BindOptions
        #expect(options?.NonRecursive == nil && options?.CreateMountpoint == nil)
        var new = try request(json)
        _ = try RequestGates.create(&new, for: APIVersion("1.50"))
        #expect(new.hostConfig?.AutoRemove == true && new.hostConfig?.Annotations == ["a": "b"] && new.hostConfig?.IpcMode == nil)
        #expect(new.hostConfig?.KernelMemory == nil && new.config.Healthcheck?.StartInterval == 5)
        #expect(new.hostConfig?.Mounts?[0].BindOptions?.NonRecursive == true)
    }

    @Test(arguments: [
        (mounts(#"{"Type": "volume", "VolumeOptions": {"Subpath": "x"}}"#), "1.44", "VolumeOptions.Subpath needs API v1.45 or newer"),
        (mounts(#"{"Type": "image"}"#), "1.47", #"Mount type "Image" needs API v1.48 or newer"#),
        (mounts(#"{"Type": "tmpfs", "BindOptions": {}}"#), "1.42", #"BindOptions must not be specified on mount type "tmpfs""#),
        (
            #"{"NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}}}"#, "1.43",
            "Container cannot be created with multiple network endpoints: a, b"
        ),
        (
            #"{"MacAddress": "02:42:00:00:00:01", "NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "02:42:00:00:00:02"}}}}"#,
            "1.44", "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty"
        ),
    ])
    func refused(_ json: String, _ version: String, _ text: String) throws {
        #expect(try refusal(json, version) == text)
        #expect(try refusal(json, version == "1.44" && json.contains("Mac") ? "1.43" : "1.50") == (json.contains("tmpfs") ? text : nil))
    }

    @Test func theContainersOwnAddressIsWarnedOf() throws {
        var request = try request(#"{"MacAddress": "02:42:00:00:00:01"}"#)
        #expect(try RequestGates.create(&request, for: APIVersion("1.44")).count == 1)
        #expect(try RequestGates.create(&request, for: APIVersion("1.43")) == [])
    }
}
