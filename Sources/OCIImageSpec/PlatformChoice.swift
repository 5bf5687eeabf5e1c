// Which of an index's images a machine takes. The order of preference is containerd's (`platforms.Only`), which Docker uses.
extension Platform {
    /// Without what goes without saying: `arm64` is `v8`, `arm` is `v7`, `amd64` is `v1`.
    var plain: Platform {
        var plain = self
        switch (architecture, variant?.lowercased()) {
        case ("arm64", "v8"?), ("arm64", "8"?), ("amd64", "v1"?), (_, ""?): plain.variant = nil
        case ("arm", nil), ("arm", "7"?): plain.variant = "v7"
        case ("arm", let number?) where number == "5" || number == "6" || number == "8": plain.variant = "v\(number)"
        default: plain.variant = variant?.lowercased()
        }
        return plain
    }

    /// What runs where `self` was asked for, best first.
    private var choices: [Platform] {
        let wanted = plain
        func with(_ architecture: String, _ variant: String?) -> Platform {
            Platform(os: wanted.os, architecture: architecture, variant: variant)
        }
        func variants(of architecture: String, down version: Int, to lowest: Int) -> [Platform] {
            version < lowest ? [] : stride(from: version, through: lowest, by: -1).map { with(architecture, "v\($0)").plain }
        }
        let version = wanted.variant.flatMap { $0.hasPrefix("v") ? Int($0.dropFirst()) : nil }
        switch wanted.architecture {
        case "amd64":
            return (version.map { variants(of: "amd64", down: min($0, 9), to: 2) } ?? []) + [with("amd64", nil), with("386", nil)]
        case "arm": return variants(of: "arm", down: min(version ?? 7, 8), to: 5)
        case "arm64":
            return (version.map { variants(of: "arm64", down: min($0, 9), to: 9) } ?? [])
                + [with("arm64", nil)] + variants(of: "arm", down: 8, to: 5)
        default: return [with(wanted.architecture, wanted.variant)]
        }
    }

    /// The best of an index's entries for a machine of this kind; nil when none fits. An entry that does not say what it is
    /// for comes last.
    public func choose(from manifests: [Descriptor]) -> Descriptor? {
        for choice in choices {
            if let found = manifests.first(where: { entry in
                guard let platform = entry.platform?.plain else { return false }
                return platform.os == choice.os && platform.architecture == choice.architecture && platform.variant == choice.variant
            }) {
                return found
            }
        }
        return manifests.first { $0.platform == nil && ($0.artifactType ?? "").isEmpty }
    }
}
