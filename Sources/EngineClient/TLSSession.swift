internal import CLinux
internal import COpenSSL
internal import Glibc
internal import Linux

/// The client's side of one TLS connection, by OpenSSL.
final class TLSSession {
    enum Outcome { case some(Int), wantsInput, wantsOutput, ended }

    private let context: OpaquePointer
    private let session: OpaquePointer

    /// Speaks with the server on a connected socket, which stays the caller's, until both are sure of each other.
    init(_ socket: Int32, host: String, _ tls: ClientTLS) throws {
        guard let context = SSL_CTX_new(TLS_client_method()) else { throw Self.failure("TLS is not available") }
        guard let session = Self.configure(context, tls).flatMap({ SSL_new($0) }) else {
            let failure = Self.failure("cannot use the TLS files")
            SSL_CTX_free(context)
            throw failure
        }
        self.context = context
        self.session = session
        try expect(host, tls)
        guard SSL_set_fd(session, socket) == 1 else { throw Self.failure("TLS") }
        if SSL_connect(session) == 1 { return }
        let verdict = SSL_get_verify_result(session)
        if tls.verifies && verdict != X509_V_OK {
            let reason = String(cString: X509_verify_cert_error_string(verdict))
            throw ClientError.invalid("error during connect: failed to verify the certificate of \(host): \(reason)")
        }
        throw Self.failure("error during connect: TLS handshake with \(host)")
    }

    deinit {
        SSL_free(session)
        SSL_CTX_free(context)
    }

    /// TLS 1.2 or newer, the client's certificate, the authorities; nil when a file cannot be used.
    private static func configure(_ context: OpaquePointer, _ tls: ClientTLS) -> OpaquePointer? {
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
        if let certificate = tls.certificate, SSL_CTX_use_certificate_chain_file(context, certificate) != 1 { return nil }
        if let key = tls.key, SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 { return nil }
        guard tls.verifies else {
            SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil)
            return context
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        if let authorities = tls.authorities {
            return SSL_CTX_load_verify_file(context, authorities) == 1 ? context : nil
        }
        return SSL_CTX_set_default_verify_paths(context) == 1 ? context : nil
    }

    /// The certificate has to be for this name or address.
    private func expect(_ host: String, _ tls: ClientTLS) throws {
        var address = in6_addr()
        let isAddress = inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1
        if !isAddress {
            // SSL_set_tlsext_host_name, a macro.
            _ = host.withCString { name in
                SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name), UnsafeMutableRawPointer(mutating: name))
            }
        }
        guard tls.verifies else { return }
        let isSet = isAddress ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host) : SSL_set1_host(session, host)
        guard isSet == 1 else { throw Self.failure("TLS: cannot verify \(host)") }
    }

    /// The connection has another number now, and neither reading nor writing waits any more; what is written may go in parts.
    func move(to socket: Int32) throws {
        guard SSL_set_fd(session, socket) == 1 else { throw Self.failure("TLS") }
        SSL_ctrl(session, SSL_CTRL_MODE, Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER), nil)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Outcome {
        ERR_clear_error()
        return try outcome(SSL_read(session, buffer.baseAddress, Int32(clamping: buffer.count)))
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws -> Outcome {
        ERR_clear_error()
        return try outcome(SSL_write(session, bytes.baseAddress, Int32(clamping: bytes.count)))
    }

    /// Tells the server that nothing more comes (close_notify).
    func endOutput() { SSL_shutdown(session) }

    private func outcome(_ count: Int32) throws -> Outcome {
        if count > 0 { return .some(Int(count)) }
        switch SSL_get_error(session, count) {
        case SSL_ERROR_WANT_READ: return .wantsInput
        case SSL_ERROR_WANT_WRITE: return .wantsOutput
        case SSL_ERROR_ZERO_RETURN: return .ended
        // The connection was cut without a word; whoever reads notices what is missing.
        case SSL_ERROR_SYSCALL: return .ended
        default: throw Self.failure("error during connect: TLS")
        }
    }

    /// What OpenSSL says last, in its words.
    private static func failure(_ what: String) -> ClientError {
        let code = ERR_peek_last_error()
        ERR_clear_error()
        guard code != 0, let reason = ERR_reason_error_string(code) else { return .invalid(what) }
        return .invalid("\(what): \(String(cString: reason))")
    }
}
