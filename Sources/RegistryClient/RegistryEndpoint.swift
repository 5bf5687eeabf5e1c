/// Where a registry answers.
struct RegistryEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// What stands before `/v2/`: mirrors may lie below a path.
    let address: WebAddress
    /// Whether a certificate that can't be verified is refused.
    let verifiesCertificate: Bool
    /// Not the registry itself: it gets no credentials, and what it doesn't have is asked for elsewhere.
    let isMirror: Bool

    init(_ address: WebAddress, verifiesCertificate: Bool, isMirror: Bool) {
        self.address = address
        self.verifiesCertificate = verifiesCertificate
        self.isMirror = isMirror
    }

    /// The base of its API: `https://registry-1.docker.io/v2/`.
    var description: String { url("").description }

    /// - Parameter path: below `/v2/`; escaped.
    func url(_ path: String) -> WebAddress {
        let base = address.target.hasSuffix("/") ? String(address.target.dropLast()) : address.target
        return WebAddress(usesTLS: address.usesTLS, authority: address.authority, target: "\(base)/v2/\(path)")
    }
}
