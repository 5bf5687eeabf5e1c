// Which of an index's images a machine takes. The order of preference is containerd's (`platforms.Only`), which Docker uses.
extension Platform {
    /// In one spelling, without what goes without saying: `arm64` is `v8`, `arm` is `v7`, `amd64` is `v1`.
    var plain: Platform {
        let (architecture, variant) = PlatformNames.plain(architecture, variant ?? "")
        return Platform(os: PlatformNames.plain(os: os), architecture: architecture, variant: variant.isEmpty ? nil : variant)
    }

    /// What runs where `self` was asked for, best first.
    private var choices: [Platform] {
        let wanted = plain
        func with(_ architecture: String, _ variants: [String]) -> [Platform] {
            variants.map { Platform(os: wanted.os, architecture: architecture, variant: $0).plain }
        }
        func downTo(_ lowest: Int, from variant: String) -> [String] {
            guard variant.hasPrefix("v"), let version = Int(variant.dropFirst()), (lowest...9).contains(version) else { return [variant] }
            return stride(from: version, through: lowest, by: -1).map { "v\($0)" }
        }
        switch wanted.architecture {
        case "amd64": return with("amd64", downTo(1, from: wanted.variant ?? "v1")) + with("386", [""])
        case "arm": return with("arm", downTo(5, from: wanted.variant ?? "v7"))
        case "arm64":
            let variants = Self.arm64Variants(wanted.variant ?? "v8")
            return variants.isEmpty ? [wanted] : with("arm64", variants) + with("arm", downTo(5, from: "v8"))
        default: return [wanted]
        }
    }

    /// Armv9.n has all that is in v8.(n+5) (Arm Architecture Reference Manual, A3). Empty for no known variant.
    private static func arm64Variants(_ variant: String) -> [String] {
        let numbers = variant.dropFirst().split(separator: ".", omittingEmptySubsequences: false).map { Int($0) ?? -1 }
        let minor = numbers.count == 2 ? numbers[1] : 0
        func versions(_ major: Int, from minor: Int) -> [String] {
            stride(from: minor, through: 0, by: -1).map { $0 == 0 ? "v\(major)" : "v\(major).\($0)" }
        }
        return switch (variant.first, numbers.first, minor) {
        case ("v", 8, 0...9): versions(8, from: minor)
        case ("v", 9, 0...7): versions(9, from: minor) + versions(8, from: min(minor + 5, 9))
        default: []
        }
    }

    /// Whether an image for `self` runs where `wanted` was asked for. One that does not tell its variant may be any, as with Docker.
    public func satisfies(_ wanted: Platform) -> Bool {
        let (own, wanted) = (plain, wanted)
        return wanted.choices.contains { $0.isSame(own) }
            || (variant ?? "").isEmpty && own.os == wanted.plain.os && own.architecture == wanted.plain.architecture
    }

    private func isSame(_ other: Platform) -> Bool { os == other.os && architecture == other.architecture && variant == other.variant }

    /// The best of an index's entries for a machine of this kind; nil when none fits. An entry that does not say what it is
    /// for comes last.
    public func choose(from manifests: [Descriptor]) -> Descriptor? {
        for choice in choices {
            if let found = manifests.first(where: { $0.platform?.plain.isSame(choice) ?? false }) { return found }
        }
        return manifests.first { $0.platform == nil && ($0.artifactType ?? "").isEmpty }
    }
}
