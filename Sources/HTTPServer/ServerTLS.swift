internal import Glibc
internal import NIOCore
internal import NIOSSL

/// What a server shows and asks for on TCP connections: TLS 1.2 or 1.3 (RFC 8446). Read from PEM files once; a server that is to
/// take changed files makes a new one.
public struct ServerTLS: Sendable {
    let context: NIOSSLContext

    /// Throws `HTTPServerError` naming the file that is missing, unreadable or does not fit the others.
    /// - Parameters:
    ///   - certificate: The server's certificate, followed by those between it and its authority.
    ///   - key: Its private key, without a passphrase.
    ///   - clientAuthorities: When given, every client must show a certificate that one of these has signed.
    public init(certificate: String, key: String, clientAuthorities: String? = nil) throws {
        let pair = "could not load X509 key pair (cert: \"\(certificate)\", key: \"\(key)\")"
        let chain = try Self.certificates(in: certificate, for: pair)
        let privateKey = try Self.key(in: key, for: pair)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(privateKey))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        configuration.shutdownTimeout = .seconds(1)
        if let clientAuthorities {
            let authorities = try Self.certificates(in: clientAuthorities, for: "could not read CA certificate \"\(clientAuthorities)\"")
            configuration.trustRoots = .certificates(authorities)
            configuration.certificateVerification = .noHostnameVerification
            configuration.sendCANameList = true
        }
        do { context = try NIOSSLContext(configuration: configuration) } catch {
            throw HTTPServerError("\(pair): private key does not match the certificate")
        }
    }

    private static func certificates(in path: String, for purpose: String) throws -> [NIOSSLCertificate] {
        try checkReadable(path, for: purpose)
        do { return try NIOSSLCertificate.fromPEMFile(path) } catch {
            throw HTTPServerError("\(purpose): no PEM certificate in \(path)")
        }
    }

    private static func key(in path: String, for purpose: String) throws -> NIOSSLPrivateKey {
        try checkReadable(path, for: purpose)
        do { return try NIOSSLPrivateKey(file: path, format: .pem) } catch {
            throw HTTPServerError("\(purpose): no PEM private key without passphrase in \(path)")
        }
    }

    private static func checkReadable(_ path: String, for purpose: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw HTTPServerError("\(purpose): open \(path): \(String(cString: strerror(errno)).lowercased())") }
        _ = close(descriptor)
    }
}
