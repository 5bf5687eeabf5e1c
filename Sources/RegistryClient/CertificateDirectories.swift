internal import Glibc
internal import Linux
internal import NIOSSL

/// The certificates of single registries: directories `HOST[:PORT]` with `*.crt` (authorities besides the system's) and pairs of
/// `*.cert` and `*.key` (who we are). Docker's rules; read anew for each use of a repository.
struct CertificateDirectories: Sendable {
    let parents: [String]

    /// The TLS of a connection to a registry. Throws `RegistryError` that names the file that cannot be used.
    func configuration(for authority: String, verifies: Bool) throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.certificateVerification = verifies ? .fullVerification : .none
        var authorities: [NIOSSLCertificate] = []
        var pairs: [(certificate: String, key: String)] = []
        for parent in parents where Self.isPlain(authority) {
            let directory = "\(parent)/\(authority)"
            for file in try Self.list(directory) {
                let path = "\(directory)/\(file)"
                if file.hasSuffix(".crt") {
                    authorities += try Self.reading(path) { try NIOSSLCertificate.fromPEMFile(path) }
                } else if file.hasSuffix(".cert") {
                    let key = path.dropLast(5) + ".key"
                    guard Files.exists(String(key)) else {
                        throw RegistryError(
                            .unreachable,
                            "missing key \(file.dropLast(5)).key for client certificate \(file). CA certificates must use the extension .crt"
                        )
                    }
                    pairs.append((path, String(key)))
                } else if file.hasSuffix(".key"), !Files.exists("\(path.dropLast(4)).cert") {
                    throw RegistryError(.unreachable, "missing client certificate \(file.dropLast(4)).cert for key \(file)")
                }
            }
        }
        if !authorities.isEmpty { configuration.additionalTrustRoots = [.certificates(authorities)] }
        if let pair = pairs.first {
            guard pairs.count == 1 else {
                throw RegistryError(.unsupported, "not implemented: several client certificates for \(authority)")
            }
            configuration.certificateChain = try Self.reading(pair.certificate) {
                try NIOSSLCertificate.fromPEMFile(pair.certificate).map { .certificate($0) }
            }
            configuration.privateKey = .privateKey(
                try Self.reading(pair.key) { try NIOSSLPrivateKey(file: pair.key, format: .pem) })
        }
        return configuration
    }

    /// No way out of the parent.
    private static func isPlain(_ name: String) -> Bool { !name.contains("/") && name != "." && name != ".." }

    private static func list(_ directory: String) throws -> [String] {
        do throws(SystemError) { return try Files.list(directory).sorted() } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return [] }
            throw RegistryError(.unreachable, "\(error)")
        }
    }

    private static func reading<Value>(_ path: String, _ body: () throws -> Value) throws -> Value {
        do { return try body() } catch { throw RegistryError(.unreachable, "cannot use \(path): \(error)") }
    }
}
