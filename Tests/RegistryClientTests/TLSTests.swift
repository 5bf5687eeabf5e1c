import Glibc
import HTTPServer
import Linux
import NIOCore
import NIOHTTP1
import OCIImageSpec
import Testing

@testable import RegistryClient

/// An authority, a server's certificate for 127.0.0.1 and a client's.
private let certificates = """
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
    for name in server client; do
        openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
        echo subjectAltName=IP:127.0.0.1 >$name.ext
        openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.pem
    done
    """

@Suite struct TLS {
    private func ask(_ registry: FakeRegistry, _ directory: String, _ body: (HTTPRepository) async throws -> Void) async throws {
        var settings = RegistrySettings()
        settings.certificateDirectories = [directory]
        try await withClient(settings) { client in
            try await body(client.repository("team/app", at: "https://\(registry.authority)", credentials: .anonymous))
        }
    }

    @Test func certificatesOfOneRegistry() async throws {
        try await withDirectory { directory in
            try await shell(certificates, in: directory)
            let tls = try ServerTLS(
                certificate: "\(directory)/server.pem", key: "\(directory)/server.key", clientAuthorities: "\(directory)/ca.pem")
            try await FakeRegistry.run(tls: tls, { _, _ in manifestAnswer() }) { registry in
                let own = "\(directory)/certs.d/\(registry.authority)"
                try Files.makeDirectories(own)
                try await ask(registry, "\(directory)/certs.d") { repository in
                    let error = await #expect(throws: RegistryError.self) { try await repository.manifest(.tag("1")) }
                    #expect(error?.message.hasSuffix("x509: certificate signed by unknown authority") == true)
                }
                try await shell("cp ca.pem '\(own)/ca.crt'; cp client.pem '\(own)/client.cert'", in: directory)
                try await ask(registry, "\(directory)/certs.d") { repository in
                    let error = await #expect(throws: RegistryError.self) { try await repository.manifest(.tag("1")) }
                    #expect(
                        error?.message
                            == "missing key client.key for client certificate client.cert. CA certificates must use the extension .crt")
                }
                try await shell("cp client.key '\(own)/'", in: directory)
                try await ask(registry, "\(directory)/certs.d") { _ = try await $0.manifest(.tag("1")) }
                try await shell("rm '\(own)/client.cert'", in: directory)
                try await ask(registry, "\(directory)/certs.d") { repository in
                    let error = await #expect(throws: RegistryError.self) { try await repository.manifest(.tag("1")) }
                    #expect(error?.message == "missing client certificate client.cert for key client.key")
                }
            }
        }
    }

    @Test func unverifiedOnLoopback() async throws {
        try await withDirectory { directory in
            try await shell(certificates, in: directory)
            let tls = try ServerTLS(certificate: "\(directory)/server.pem", key: "\(directory)/server.key")
            try await FakeRegistry.run(tls: tls, { _, _ in manifestAnswer() }) { registry in
                try await withClient { client in
                    let repository = client.repository(named: try ImageReference("\(registry.authority)/team/app"), credentials: .anonymous)
                    _ = try await repository.manifest(.tag("1"))
                }
            }
        }
    }

    @Test func plainServersAreNamed() async throws {
        try await FakeRegistry.run({ _, _ in manifestAnswer() }) { registry in
            try await ask(registry, "/nonexistent") { repository in
                let error = await #expect(throws: RegistryError.self) { try await repository.manifest(.tag("1")) }
                #expect(error?.message.hasSuffix("http: server gave HTTP response to HTTPS client") == true)
            }
        }
    }
}
