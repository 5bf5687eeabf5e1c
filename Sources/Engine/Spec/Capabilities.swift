internal import EngineTypes
internal import Linux

/// Which capabilities a container has, from `--cap-add`, `--cap-drop` and `--privileged`, as Docker combines them.
enum CapabilitySet {
    static func resolve(add: [String], drop: [String], isPrivileged: Bool) throws(EngineError) -> [String] {
        if isPrivileged { return available }
        let added = try names(add, "CapAdd")
        let dropped = try names(drop, "CapDrop")
        let base = added.contains("ALL") ? available : dropped.contains("ALL") ? [] : SpecDefaults.capabilities
        var result = base.filter { !dropped.contains($0) }
        // With ALL, what is dropped by name stays dropped, also when it is added by name.
        for name in added where !added.contains("ALL") && !result.contains(name) { result.append(name) }
        let given = Set(available)
        return result.filter(given.contains)
    }

    /// What is asked for by name and this host cannot give.
    static func missing(_ add: [String]) -> [String] {
        let given = Set(available)
        return ((try? names(add, "CapAdd")) ?? []).filter { $0 != "ALL" && !given.contains($0) }
    }

    /// All that this host can give, which is what "all" means: some runtimes fail over a capability that they cannot give.
    static var available: [String] {
        SpecDefaults.allCapabilities.filter { name in Capability(name: name).map(HostFacts.capabilities.contains) ?? false }
    }

    private static func names(_ list: [String], _ field: String) throws(EngineError) -> [String] {
        var result: [String] = []
        for text in list {
            let upper = text.uppercased()
            let name = upper == "ALL" || upper.hasPrefix("CAP_") ? upper : "CAP_\(upper)"
            guard name == "ALL" || SpecDefaults.allCapabilities.contains(name) else {
                throw .invalid("invalid \(field): unknown capability: \"\(name)\"")
            }
            result.append(name)
        }
        return result
    }
}
