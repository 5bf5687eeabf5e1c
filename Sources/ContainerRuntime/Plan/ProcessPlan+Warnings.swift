internal import Linux
internal import OCIRuntimeSpec

extension ProcessPlan {
    /// What the process was to have and cannot get: logged, and no reason to fail (config.md, "capabilities").
    /// `available` is what this host, or the process's user namespace, can give.
    func warnings(available: CapabilitySet) -> [String] {
        guard let wanted = spec.capabilities else { return [] }
        var result: [String] = []
        let all = capabilities.bounding.union(capabilities.effective).union(capabilities.permitted).union(capabilities.inheritable)
        let missing = all.subtracting(available)
        if !missing.isEmpty {
            let names = Capability.allCases.filter { missing.contains($0) }.map(\.name).joined(separator: ", ")
            result.append("process.capabilities: this host cannot grant \(names)")
        }
        for name in wanted.ambient {
            guard let capability = Capability(name: name), !capabilities.ambient.contains(capability) else { continue }
            result.append("process.capabilities.ambient: can't raise ambient capability \(name): it is not permitted and inheritable")
        }
        return result
    }
}
