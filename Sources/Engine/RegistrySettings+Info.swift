internal import JSON
internal import RegistryClient

extension RegistrySettings {
    /// `RegistryConfig` of `GET /info`. Mirrors of other registries than Docker Hub stand in `IndexConfigs`.
    var document: JSONValue {
        func index(_ name: String, isSecure: Bool) -> JSONValue {
            [
                "Name": .string(name), "Mirrors": .array((mirrors[name] ?? []).map { .string($0) }), "Secure": .bool(isSecure),
                "Official": .bool(name == "docker.io"),
            ]
        }
        var configs = JSONObject()
        for name in Set(mirrors.keys).union(insecureHosts).union(["docker.io"]).sorted() {
            configs[name] = index(name, isSecure: !insecureHosts.contains(name))
        }
        return [
            "InsecureRegistryCIDRs": .array(insecureNetworks.map { .string($0) }), "IndexConfigs": .object(configs),
            "Mirrors": .array((mirrors["docker.io"] ?? []).map { .string($0) }),
        ]
    }
}
