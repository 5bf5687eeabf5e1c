internal import ClientUI
internal import EngineClient
internal import Linux

/// What flags, environment and contexts say about TLS, with Docker's defaults.
enum TLSOptions {
    static let flags = [
        Flag("tls", .bool, "Use TLS; implied by --tlsverify"),
        Flag("tlscacert", .string, "Trust certs signed only by this CA (default ~/.docker/ca.pem)"),
        Flag("tlscert", .string, "Path to TLS certificate file (default ~/.docker/cert.pem)"),
        Flag("tlskey", .string, "Path to TLS key file (default ~/.docker/key.pem)"),
        Flag("tlsverify", .bool, "Use TLS and verify the remote"),
    ]

    /// Nil without TLS. Naming `--tlsverify` at all turns it on; files that are not named are those of DOCKER_CERT_PATH or of the
    /// configuration's directory, and a client without a certificate comes without one.
    static func read(_ flags: FlagValues, directory: String) throws -> ClientTLS? {
        func isSet(_ variable: String) -> Bool { !(Context.environment(variable) ?? "").isEmpty }
        let verifies = flags.givenBool("tlsverify") ?? isSet("DOCKER_TLS_VERIFY")
        let usesTLS = flags.givenBool("tls") ?? isSet("DOCKER_TLS")
        guard usesTLS || verifies || flags.has("tlsverify") else { return nil }
        let files = Context.environment("DOCKER_CERT_PATH").flatMap { $0.isEmpty ? nil : $0 } ?? directory
        func file(_ flag: String, _ name: String) throws -> String? {
            if let given = flags.given(flag), !given.isEmpty { return try existing(given) }
            return Files.exists("\(files)/\(name)") ? "\(files)/\(name)" : nil
        }
        var tls = ClientTLS(certificate: try file("tlscert", "cert.pem"), key: try file("tlskey", "key.pem"), verifies: verifies)
        if verifies { tls.authorities = try file("tlscacert", "ca.pem") ?? existing("\(files)/ca.pem") }
        return tls
    }

    /// The files that a context has beside its endpoint; nil when it has none and skips nothing.
    static func read(_ context: StoredContext, in store: ContextStore) -> ClientTLS? {
        let directory = "\(store.tlsPath(context.name))/docker"
        func file(_ name: String) -> String? { Files.exists("\(directory)/\(name)") ? "\(directory)/\(name)" : nil }
        let found = (file("ca.pem"), file("cert.pem"), file("key.pem"))
        guard context.skipsVerification || found.0 != nil || found.1 != nil || found.2 != nil else { return nil }
        return ClientTLS(authorities: found.0, certificate: found.1, key: found.2, verifies: !context.skipsVerification)
    }

    private static func existing(_ path: String) throws -> String {
        guard Files.exists(path) else { throw Failure("unable to resolve docker endpoint: open \(path): no such file or directory") }
        return path
    }
}
