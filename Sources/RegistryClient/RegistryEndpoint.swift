public import OCIImageSpec

/// Where a registry answers.
public struct RegistryEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// Without TLS only for loopback addresses and what the daemon's `insecure-registries` name.
    public let usesTLS: Bool
    /// Whether a certificate that can't be verified is accepted.
    public let verifiesCertificate: Bool
    /// Host and optional port.
    public let host: String

    /// The base of its API: `https://registry-1.docker.io/v2/`.
    public var description: String { "\(usesTLS ? "https" : "http")://\(host)/v2/" }

    /// The endpoints of a name's registry, to be tried in this order.
    ///
    /// Docker Hub's names live on `registry-1.docker.io`. Loopback hosts and those in `insecure` (hosts with optional port,
    /// `*.suffix`, or IPv4 networks as 10.0.0.0/8) are tried with unverified TLS, then without TLS, as Docker does.
    public static func endpoints(for reference: ImageReference, mirrors: [String] = [], insecure: [String] = []) -> [RegistryEndpoint] {
        guard reference.domain != "docker.io" else {
            return mirrors.compactMap(mirror) + [RegistryEndpoint(usesTLS: true, verifiesCertificate: true, host: "registry-1.docker.io")]
        }
        guard isInsecure(reference.domain, insecure) else {
            return [RegistryEndpoint(usesTLS: true, verifiesCertificate: true, host: reference.domain)]
        }
        return [true, false].map { RegistryEndpoint(usesTLS: $0, verifiesCertificate: false, host: reference.domain) }
    }

    /// `https://mirror.example/`; nil for what is no such address.
    private static func mirror(_ url: String) -> RegistryEndpoint? {
        for (scheme, usesTLS) in [("https://", true), ("http://", false)] where url.hasPrefix(scheme) {
            let host = url.dropFirst(scheme.count).prefix { $0 != "/" }
            return host.isEmpty ? nil : RegistryEndpoint(usesTLS: usesTLS, verifiesCertificate: usesTLS, host: String(host))
        }
        return nil
    }

    private static func isInsecure(_ domain: String, _ insecure: [String]) -> Bool {
        let host = hostOnly(domain)
        if host == "localhost" || host == "::1" || IPv4(host).map({ $0.isIn(network: "127.0.0.0/8") }) == true { return true }
        return insecure.contains { entry in
            if entry == domain || entry == host { return true }
            if entry.hasPrefix("*.") { return host.hasSuffix(entry.dropFirst()) }
            return IPv4(host).map { $0.isIn(network: entry) } ?? false
        }
    }

    private static func hostOnly(_ domain: String) -> String {
        if domain.hasPrefix("[") { return String(domain.dropFirst().prefix { $0 != "]" }) }
        return String(domain.prefix { $0 != ":" })
    }
}

/// An IPv4 address in dotted form.
private struct IPv4 {
    let value: UInt32

    init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        guard parts.count == 4, parts.allSatisfy({ $0 != nil }) else { return nil }
        value = parts.reduce(0) { $0 << 8 | UInt32($1 ?? 0) }
    }

    func isIn(network: String) -> Bool {
        let parts = network.split(separator: "/")
        guard parts.count == 2, let base = IPv4(parts[0]), let length = UInt32(parts[1]), length <= 32 else { return false }
        let mask = length == 0 ? 0 : UInt32.max << (32 - length)
        return value & mask == base.value & mask
    }
}
