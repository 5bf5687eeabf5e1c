/// What the daemon is told about registries (daemon.json).
public struct RegistrySettings: Sendable, Equatable {
    /// Other places of a registry's images, asked before the registry itself: addresses by domain (`docker.io`, `ghcr.io`).
    public var mirrors: [String: [String]] = [:]
    /// Registries whose certificates are not verified and that may answer without TLS: domains with optional port, `*.suffix`, or
    /// networks as 10.0.0.0/8. Loopback addresses always are.
    public var insecure: [String] = []
    public var proxies = ProxySettings()
    /// Where certificates lie, in directories named after the registry's host and port.
    public var certificateDirectories = ["/etc/clipper/certs.d", "/etc/docker/certs.d"]
    /// Where images are looked for by words.
    public var searchIndex = "https://index.docker.io"

    public init() {}

    /// The networks among `insecure`, and those of loopback.
    public var insecureNetworks: [String] { insecure.filter { HostAddress.Network($0) != nil } + ["::1/128", "127.0.0.0/8"] }

    /// The rest of `insecure`.
    public var insecureHosts: [String] { insecure.filter { HostAddress.Network($0) == nil } }

    /// Why an address cannot be a mirror, in dockerd's words; nil when it can.
    public static func objection(toMirror text: String) -> String? {
        guard let separator = text.firstRange(of: "://") else {
            return "invalid mirror: no scheme specified for \"\(text)\": must use either 'https://' or 'http://'"
        }
        let scheme = text[..<separator.lowerBound]
        guard scheme == "https" || scheme == "http" else {
            return "invalid mirror: unsupported scheme \"\(scheme)\" in \"\(text)\": must use either 'https://' or 'http://'"
        }
        if text.contains("?") || text.contains("#") { return "invalid mirror: query or fragment at end of the URI \"\(text)\"" }
        let authority = text[separator.upperBound...].prefix { $0 != "/" }
        if authority.contains("@") {
            return
                "invalid mirror: username/password not allowed in URI \"\(scheme)://xxxxx:xxxxx@\(authority.split(separator: "@").last ?? "")/\""
        }
        return WebAddress(text) == nil ? "invalid mirror: \"\(text)\" is not a valid URI" : nil
    }

    /// Why a text cannot stand in `insecure-registries`; nil when it can.
    public static func objection(toInsecure text: String) -> String? {
        if text.contains("://") { return "insecure registry \(text) should not contain '://'" }
        if HostAddress.Network(text) != nil { return nil }
        let name = text.hasPrefix("*.") ? String(text.dropFirst(2)) : text
        let isHost = WebAddress("http://\(name)").map { $0.authority == name.lowercased() && (1...65535).contains($0.port) } ?? false
        return isHost ? nil : "insecure registry \(text) is not valid: invalid host \"\(text)\""
    }

    /// Whether a registry may be spoken to without verified TLS. Names are looked up, as dockerd does: one that means a loopback
    /// address, or one of an insecure network, is insecure too.
    func isInsecure(_ authority: String) async -> Bool {
        let host = WebAddress.host(of: authority)
        if host == "localhost" { return true }
        let isNamed = insecureHosts.contains { entry in
            entry == authority || entry == host || (entry.hasPrefix("*.") && host.hasSuffix(entry.dropFirst()))
        }
        if isNamed { return true }
        let networks = insecureNetworks
        if let address = HostAddress(host) { return networks.contains { address.isIn(network: $0) } }
        return await HostAddress.addresses(of: host).contains { address in networks.contains { address.isIn(network: $0) } }
    }

    /// The endpoints of a registry, to be tried in this order: its mirrors unless something is to be changed there, then itself;
    /// an insecure one with unverified TLS, then without TLS, as Docker does.
    func endpoints(of domain: String, withMirrors: Bool = true) async -> [RegistryEndpoint] {
        var endpoints: [RegistryEndpoint] = []
        for address in (withMirrors ? mirrors[domain] ?? [] : []).compactMap({ WebAddress($0) }) {
            let isInsecure = address.usesTLS ? await isInsecure(address.authority) : true
            endpoints.append(RegistryEndpoint(address, verifiesCertificate: !isInsecure, isMirror: true))
        }
        let host = domain == "docker.io" ? "registry-1.docker.io" : domain
        let isInsecure = await isInsecure(host)
        for usesTLS in isInsecure ? [true, false] : [true] {
            let address = WebAddress(usesTLS: usesTLS, authority: host, target: "/")
            endpoints.append(RegistryEndpoint(address, verifiesCertificate: !isInsecure, isMirror: false))
        }
        return endpoints
    }
}
