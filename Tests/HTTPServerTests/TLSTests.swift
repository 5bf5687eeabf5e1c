import Glibc
import HTTPServer
import Logging
import NIOCore
import Testing

/// Runs a shell command; its exit code and what it printed.
private func shell(_ command: String) async throws -> (code: Int32, output: String) {
    try await blocking {
        guard let pipe = popen("(\(command)) 2>&1", "re") else { throw Failure("popen: \(errno)") }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = fread(&buffer, 1, buffer.count, pipe), count > 0 { output += buffer[..<count] }
        return (pclose(pipe) >> 8, String(decoding: output, as: UTF8.self))
    }
}

/// An authority, and a server's and a client's certificate that it has signed; another authority with a client of its own.
private func withCertificates(_ body: (String) async throws -> Void) async throws {
    let directory = "/tmp/clp-tls-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    func signed(_ name: String, by authority: String, _ extensions: String) -> String {
        """
        openssl req -newkey rsa:2048 -nodes -keyout \(name).key -out \(name).csr -subj /CN=\(name) &&
        printf '\(extensions)' > \(name).ext &&
        openssl x509 -req -in \(name).csr -CA \(authority).pem -CAkey \(authority).key -CAcreateserial -days 2 -extfile \(name).ext -out \(name).pem
        """
    }
    func authority(_ name: String) -> String {
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout \(name).key -out \(name).pem -days 2 -subj /CN=\(name)"
    }
    let steps = [
        "mkdir \(directory) && cd \(directory)", authority("ca"), authority("other"),
        signed("server", by: "ca", "subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth"),
        signed("client", by: "ca", "extendedKeyUsage=clientAuth"), signed("stranger", by: "other", "extendedKeyUsage=clientAuth"),
    ]
    let made = try await shell(steps.joined(separator: " && "))
    guard made.code == 0 else { throw Failure(made.output) }
    do { try await body(directory) } catch {
        _ = try await shell("rm -r \(directory)")
        throw error
    }
    _ = try await shell("rm -r \(directory)")
}

private func withTLSServer(_ tls: ServerTLS, body: (String) async throws -> Void) async throws {
    let server = HTTPServer(logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })) { request in
        let body = try await request.body.collect(limit: 1 << 24)
        return .bytes(body.readableBytesView, contentType: "text/plain")
    }
    guard case .tcp(_, let port) = try await server.listen(on: .tcp(host: "127.0.0.1", port: 0), tls: tls) else { throw Failure("no port") }
    do { try await body("127.0.0.1:\(port)") } catch {
        await server.stop(grace: .zero)
        throw error
    }
    await server.stop(grace: .zero)
}

@Suite struct TLSTests {
    @Test func answersOnlyClientsWithACertificateOfTheAuthority() async throws {
        try await withCertificates { files in
            let tls = try ServerTLS(certificate: "\(files)/server.pem", key: "\(files)/server.key", clientAuthorities: "\(files)/ca.pem")
            try await withTLSServer(tls) { address in
                let curl = "curl -sS -m 10 --cacert \(files)/ca.pem -d hello"
                let known = "--cert \(files)/client.pem --key \(files)/client.key"
                #expect(try await shell("\(curl) \(known) https://\(address)/").output == "hello")
                #expect(try await shell("\(curl) \(known) --tlsv1.3 https://\(address)/").output == "hello")
                // Most of a large body is read behind the handshake, and answered in many records.
                let large = try await shell(
                    "head -c 3000000 /dev/zero | curl -sS -m 10 --cacert \(files)/ca.pem \(known) --data-binary @- https://\(address)/ | wc -c"
                )
                #expect(large.output.contains("3000000"))
                #expect(try await shell("\(curl) https://\(address)/").output.contains("certificate required"))
                let stranger = "--cert \(files)/stranger.pem --key \(files)/stranger.key"
                #expect(try await shell("\(curl) \(stranger) https://\(address)/").output.contains("alert unknown ca"))
                let wrongPurpose = "--cert \(files)/server.pem --key \(files)/server.key"
                #expect(try await shell("\(curl) \(wrongPurpose) https://\(address)/").code != 0)
                #expect(try await shell("\(curl) \(known) --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 https://\(address)/").code != 0)
            }
        }
    }

    @Test func encryptsForAnybodyWithoutAnAuthorityAndTellsPlainClientsSo() async throws {
        try await withCertificates { files in
            try await withTLSServer(try ServerTLS(certificate: "\(files)/server.pem", key: "\(files)/server.key")) { address in
                #expect(try await shell("curl -sS -m 10 --cacert \(files)/ca.pem -d hello https://\(address)/").output == "hello")
                let plain = try await shell("curl -sS -m 10 -i -d hello http://\(address)/")
                #expect(plain.output.contains("400 Bad Request"))
                #expect(plain.output.contains("Client sent an HTTP request to an HTTPS server."))
            }
        }
    }

    @Test func namesTheFileThatDoesNotFit() async throws {
        try await withCertificates { files in
            func failure(_ certificate: String, _ key: String, _ authorities: String? = nil) -> String {
                do {
                    _ = try ServerTLS(certificate: certificate, key: key, clientAuthorities: authorities)
                    return "none"
                } catch { return "\(error)" }
            }
            let (server, key) = ("\(files)/server.pem", "\(files)/server.key")
            let pair = "could not load X509 key pair (cert: \"\(server)\", key: "
            #expect(failure(server, "\(files)/none") == "\(pair)\"\(files)/none\"): open \(files)/none: no such file or directory")
            #expect(
                failure(server, "\(files)/client.key") == "\(pair)\"\(files)/client.key\"): private key does not match the certificate")
            #expect(failure(server, server) == "\(pair)\"\(server)\"): no PEM private key without passphrase in \(server)")
            #expect(failure(key, key).hasSuffix("no PEM certificate in \(key)"))
            #expect(
                failure(server, key, "\(files)/none")
                    == "could not read CA certificate \"\(files)/none\": open \(files)/none: no such file or directory")
            #expect(failure(server, key, key).hasSuffix("no PEM certificate in \(key)"))
            #expect(failure(server, key, "\(files)/ca.pem") == "none")
        }
    }
}
