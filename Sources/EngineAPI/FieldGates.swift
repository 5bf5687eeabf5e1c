internal import JSON

/// Members of answers that came or went with a version of the API, and those that Docker sends as null: what a Go program has no
/// value for is there all the same, and scripts look for the name.
enum FieldGates {
    // MARK: Containers

    /// `GET /containers/{id}/json`.
    static func container(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        changing(value) { object in
            addNulls(&object, ["ExecIDs"])
            change(&object, "HostConfig") { hostConfig(&$0, for: version) }
            change(&object, "Config") { addNulls(&$0, ["Cmd", "Entrypoint", "Env", "OnBuild", "Volumes"]) }
            let (id, config, mode) = (object["Id"]?.stringValue ?? "", object["Config"], object["HostConfig"]?["NetworkMode"]?.stringValue)
            change(&object, "NetworkSettings") { settings in
                addNulls(&settings, ["SecondaryIPAddresses", "SecondaryIPv6Addresses"])
                change(&settings, "Networks") { networks in
                    for name in networks.members.map(\.name) {
                        change(&networks, name) { endpoint(&$0, for: version) }
                        // Up to 1.44 the container's short ID and host name stood among its aliases.
                        guard version < APIVersion("1.45"), name == mode, !["bridge", "default", "host", "none"].contains(name) else {
                            continue
                        }
                        change(&networks, name) { aliases(&$0, adding: [String(id.prefix(12)), config?["Hostname"]?.stringValue ?? ""]) }
                    }
                }
            }
        }
    }

    /// One of `GET /containers/json`.
    static func containerSummary(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        changing(value) { object in
            if version < APIVersion("1.46") { change(&object, "HostConfig") { $0["Annotations"] = nil } }
            change(&object, "NetworkSettings") { settings in
                change(&settings, "Networks") { networks in
                    for name in networks.members.map(\.name) { change(&networks, name) { endpoint(&$0, for: version) } }
                }
            }
        }
    }

    private static func hostConfig(_ object: inout JSONObject, for version: APIVersion) {
        // A container that an older client made may have it.
        if version >= APIVersion("1.42") { object["KernelMemory"] = nil }
        addNulls(
            &object,
            [
                "Binds", "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps", "CapAdd", "CapDrop",
                "DeviceCgroupRules", "DeviceRequests", "ExtraHosts", "GroupAdd", "Links", "MemorySwappiness", "PidsLimit", "SecurityOpt",
                "Ulimits", "VolumesFrom",
            ])
        // What clients send for "no value of mine".
        if object["MemorySwappiness"] == -1 { object["MemorySwappiness"] = .some(.null) }
        if let limit = object["PidsLimit"]?.intValue, limit <= 0 { object["PidsLimit"] = .some(.null) }
    }

    private static func endpoint(_ object: inout JSONObject, for version: APIVersion) {
        addNulls(&object, ["IPAMConfig", "Links", "Aliases", "DriverOpts", "DNSNames"])
        for name in ["IPv6Gateway", "GlobalIPv6Address"] where object[name] == nil { object[name] = "" }
        for name in ["GlobalIPv6PrefixLen", "GwPriority"] where object[name] == nil { object[name] = 0 }
        if version < APIVersion("1.44") { object["DNSNames"] = nil }
        if version < APIVersion("1.48") { object["GwPriority"] = nil }
    }

    private static func aliases(_ object: inout JSONObject, adding names: [String]) {
        var aliases = object["Aliases"]?.arrayValue ?? []
        for name in names where !name.isEmpty && !aliases.contains(.string(name)) { aliases.append(.string(name)) }
        object["Aliases"] = .array(aliases)
    }

    // MARK: Images

    /// What belongs to a container was in an image's Config up to 1.49, without a value.
    private static let containersOwn: [(name: String, value: JSONValue)] = [
        ("Hostname", ""), ("Domainname", ""), ("AttachStdin", false), ("AttachStdout", false), ("AttachStderr", false), ("Tty", false),
        ("OpenStdin", false), ("StdinOnce", false), ("Image", ""),
    ]

    /// `GET /images/{name}/json`.
    static func image(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        changing(value) { object in
            virtualSize(&object, version)
            change(&object, "Config") { config in
                for name in ["NetworkDisabled", "MacAddress", "StopTimeout"] { config[name] = nil }
                if version < APIVersion("1.50") {
                    for (name, empty) in containersOwn where config[name] == nil { config[name] = .some(empty) }
                    for name in ["User", "WorkingDir"] where config[name] == nil { config[name] = "" }
                    addNulls(&config, ["Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes"])
                } else {
                    for (name, _) in containersOwn { config[name] = nil }
                }
            }
            if version < APIVersion("1.44"), object["Created"] == "" { object["Created"] = "0001-01-01T00:00:00Z" }
            if version < APIVersion("1.45") {
                // The container that a step of a build ran in is not kept; what was in its configuration is the image's.
                object["Container"] = ""
                object["ContainerConfig"] = object["Config"]
            }
        }
    }

    /// One of `GET /images/json`.
    static func imageSummary(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        changing(value) { object in
            addNulls(&object, ["Labels"])
            virtualSize(&object, version)
            if version < APIVersion("1.43"), object["RepoTags"] == [], object["RepoDigests"] == [] {
                object["RepoTags"] = ["<none>:<none>"]
                object["RepoDigests"] = ["<none>@<none>"]
            }
        }
    }

    private static func virtualSize(_ object: inout JSONObject, _ version: APIVersion) {
        object["VirtualSize"] = version < APIVersion("1.44") ? object["Size"] : nil
    }

    // MARK: The system

    /// `GET /info`.
    static func info(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        changing(value) { object in
            addNulls(&object, ["GenericResources"])
            change(&object, "Plugins") { addNulls(&$0, ["Authorization"]) }
            change(&object, "Swarm") { addNulls(&$0, ["RemoteManagers"]) }
            if version < APIVersion("1.25"), let options = object["SecurityOptions"]?.arrayValue {
                // `name=seccomp,profile=builtin` was `seccomp`.
                object["SecurityOptions"] = .array(
                    options.map { option in
                        let name = (option.stringValue ?? "").split(separator: ",").first { $0.hasPrefix("name=") }
                        return name.map { .string(String($0.dropFirst("name=".count))) } ?? option
                    })
            }
            if version < APIVersion("1.47") {
                change(&object, "RegistryConfig") {
                    addNulls(&$0, ["AllowNondistributableArtifactsCIDRs", "AllowNondistributableArtifactsHostnames"])
                }
            }
            if version < APIVersion("1.49") {
                for name in ["ContainerdCommit", "RuncCommit", "InitCommit"] { change(&object, name) { $0["Expected"] = $0["ID"] } }
            }
            if version < APIVersion("1.50") {
                for name in ["BridgeNfIptables", "BridgeNfIp6tables"] { object[name] = false }
            }
        }
    }

    /// `GET /system/df`: images, containers and volumes as their own lists show them.
    static func diskUsage(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        changing(value) { object in
            if let images = object["Images"]?.arrayValue { object["Images"] = .array(images.map { imageSummary($0, for: version) }) }
            if let all = object["Containers"]?.arrayValue { object["Containers"] = .array(all.map { containerSummary($0, for: version) }) }
            if let volumes = object["Volumes"]?.arrayValue { object["Volumes"] = .array(volumes.map(volume)) }
            if version < APIVersion("1.42") { object["BuilderSize"] = 0 }
        }
    }

    // MARK: Networks and volumes

    /// Networks: `EnableIPv4` came with 1.47.
    static func network(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        changing(value) { if version < APIVersion("1.47") { $0["EnableIPv4"] = nil } }
    }

    static func volume(_ value: JSONValue) -> JSONValue { changing(value) { addNulls(&$0, ["Labels", "Options"]) } }

    // MARK: Parts

    private static func addNulls(_ object: inout JSONObject, _ names: [String]) {
        for name in names where object[name] == nil { object[name] = .some(.null) }
    }

    private static func changing(_ value: JSONValue, _ body: (inout JSONObject) -> Void) -> JSONValue {
        guard case .object(var object) = value else { return value }
        body(&object)
        return .object(object)
    }

    private static func change(_ object: inout JSONObject, _ name: String, _ body: (inout JSONObject) -> Void) {
        guard case .object(var member)? = object[name] else { return }
        body(&member)
        object[name] = .object(member)
    }
}
