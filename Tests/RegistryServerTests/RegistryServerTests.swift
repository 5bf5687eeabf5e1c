import Glibc
import HTTPServer
import Linux
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import RegistryServer

/// Threads of their own: blocked Dispatch workers would starve the tasks under test.
private let threads = {
    let pool = NIOThreadPool(numberOfThreads: 16)
    pool.start()
    return pool
}()

private func shell(_ command: String) async throws -> (output: String, status: Int32) {
    try await threads.runIfActive {
        guard let stream = popen("{ \(command)\n} 2>&1", "re") else { throw SystemError("popen", command) }
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = fread(&chunk, 1, chunk.count, stream)
            if count == 0 { break }
            output += chunk[..<count]
        }
        return (String(decoding: output, as: UTF8.self), pclose(stream) >> 8 & 255)
    }
}

private func withRegistry(_ body: (_ port: Int, _ scratch: String) async throws -> Void) async throws {
    let scratch = "/tmp/clp-registry-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    var configuration = RegistryConfiguration()
    configuration.root = "\(scratch)/root"
    configuration.log.access = false
    let registry = try RegistryServer(configuration: configuration, logger: logger)
    let server = HTTPServer(logger: logger, handler: registry.handle)
    guard case .tcp(_, let port) = try await server.listen(on: .tcp(host: "127.0.0.1", port: 0)) else { return }
    do { try await body(port, scratch) } catch {
        await server.stop(grace: .milliseconds(100))
        await registry.close()
        throw error
    }
    await server.stop(grace: .milliseconds(100))
    await registry.close()
    try Files.removeTree(scratch)
}

private let hello = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

@Suite struct RegistryServerTests {
    @Test func speaksTheProtocol() async throws {
        try await withRegistry { port, scratch in
            let manifest = #"{"schemaVersion":2,"config":{"digest":"\#(hello)"},"layers":[]}"#
            let child = #"{"schemaVersion":2,"manifests":[{"digest":"\#(hello)"}]}"#
            let type = "-H 'Content-Type: application/vnd.oci.image.manifest.v1+json'"
            // path and curl arguments, status, text of the answer
            let calls: [(String, String, String)] = [
                ("/v2/", "200", "registry/2.0"), ("/v2/a/b/tags/list", "404", "NAME_UNKNOWN"), ("/v2/A/tags/list", "400", "NAME_INVALID"),
                ("/v2/a/../../etc/blobs/\(hello) --path-as-is", "400", "NAME_INVALID"), ("/v2/a/blobs/sha256:12", "400", "DIGEST_INVALID"),
                ("/v2/a/blobs/\(hello)", "404", "BLOB_UNKNOWN"), ("/v2/a/blobs/uploads/nope -X PATCH -d x", "404", "BLOB_UPLOAD_UNKNOWN"),
                ("'/v2/a/blobs/uploads/?digest=\(hello)' -X POST -d hell", "400", "DIGEST_INVALID"),
                ("/v2/a/blobs/\(hello)", "404", "BLOB_UNKNOWN"),
                ("'/v2/a/blobs/uploads/?digest=\(hello)' -X POST -d hello", "201", "Docker-Content-Digest: \(hello)"),
                ("/v2/a/blobs/\(hello)", "200", "\r\n\r\nhello"), ("/v2/a/blobs/\(hello) -r 1-2", "206", "Content-Range: bytes 1-2/5"),
                ("/v2/a/blobs/\(hello) -r 1-", "206", "\r\n\r\nello"), ("/v2/a/blobs/\(hello) -r -2", "206", "\r\n\r\nlo"),
                ("/v2/a/blobs/\(hello) -r 9-", "416", "RANGE_INVALID"), ("/v2/a/blobs/\(hello) -I", "200", "Content-Length: 5"),
                ("'/v2/b/c/blobs/uploads/?mount=\(hello)&from=a' -X POST", "201", "/v2/b/c/blobs/\(hello)"),
                ("'/v2/b/c/blobs/uploads/?mount=\(hello)&from=zz' -X POST", "202", "Range: 0-0"),
                ("/v2/a/manifests/v1 -X PUT \(type) -d '{'", "400", "MANIFEST_INVALID"),
                ("/v2/x/manifests/v1 -X PUT \(type) -d '\(manifest)'", "404", "MANIFEST_BLOB_UNKNOWN"),
                ("/v2/a/manifests/v1 -X PUT -H 'Content-Type: text/plain' -d '\(manifest)'", "400", "unsupported media type text/plain"),
                (
                    "/v2/a/manifests/v1 -X PUT -H 'Content-Type: application/vnd.oci.image.index.v1+json' -d '\(child)'", "404",
                    "MANIFEST_BLOB_UNKNOWN"
                ),
                ("/v2/a/manifests/-x", "400", "TAG_INVALID"), ("'/v2/a/blobs/uploads/?mount=\(hello)' -X POST", "201", ""),
                ("'/v2/a/blobs/uploads/?digest-algorithm=md5' -X POST", "400", "DIGEST_INVALID"),
                ("'/v2/a/tags/list?n=x'", "400", "PAGINATION_NUMBER_INVALID"),
                ("/v2/a/blobs/\(hello) -H 'If-None-Match: \"\(hello)\"'", "304", "Etag"),
                ("/v2/a/manifests/\(hello) -X PUT \(type) -d '\(manifest)'", "400", "DIGEST_INVALID"),
                ("/v2/a/manifests/v1 -X PUT \(type) -d '\(manifest)'", "201", "/v2/a/manifests/v1"),
                ("/v2/a/manifests/v2 -X PUT \(type) -d '\(manifest)'", "201", ""), ("/v2/a/manifests/v1", "200", "image.manifest.v1+json"),
                ("/v2/a/manifests/v3", "404", "MANIFEST_UNKNOWN"),
                ("'/v2/a/tags/list?n=1'", "200", "</v2/a/tags/list?n=1&last=v1>; rel=\"next\""),
                ("'/v2/a/tags/list?last=v1'", "200", #"{"name":"a","tags":["v2"]}"#), ("/v2/_catalog", "200", #"{"repositories":["a"]}"#),
                ("/v2/a/manifests/v1 -X DELETE", "202", ""), ("/v2/a/tags/list", "200", #"["v2"]"#),
                ("/v2/a/referrers/\(hello)", "200", #""manifests":[]"#), ("/v2/a/blobs/\(hello) -X DELETE", "202", ""),
                ("/v2/a/blobs/\(hello)", "404", "BLOB_UNKNOWN"), ("/v2/b/c/blobs/\(hello)", "200", "hello"), ("/ -X POST", "404", "errors"),
            ]
            for (call, status, text) in calls {
                let quoted = call.hasPrefix("'") ? "'http://127.0.0.1:\(port)\(call.dropFirst())" : "http://127.0.0.1:\(port)\(call)"
                let answer = try await shell("curl -s -i --max-time 10 \(quoted)")
                #expect(answer.output.hasPrefix("HTTP/1.1 \(status) ") && answer.output.contains(text), "\(call): \(answer.output)")
            }
            #expect(try Files.list("\(scratch)/root/uploads").count == 1)
        }
    }

    @Test func chunkedUploadsGoOnWhereTheyStand() async throws {
        try await withRegistry { port, scratch in
            let base = "http://127.0.0.1:\(port)"
            let output = try await shell(
                """
                location=$(curl -s -i -X POST \(base)/v2/r/blobs/uploads/ | tr -d '\\r' | sed -n 's/^Location: //p')
                curl -s -o /dev/null -w '%{http_code} ' -X PATCH -H 'Content-Range: 0-1' -d he \(base)$location
                curl -s -o /dev/null -w '%{http_code} ' -X PATCH -H 'Content-Range: 3-4' -d lo \(base)$location
                curl -s -i \(base)$location | grep -i '^range' | tr -d '\\r\\n'
                curl -s -o /dev/null -w ' %{http_code} ' -X PATCH -d l \(base)$location
                curl -s -o /dev/null -w '%{http_code} ' -X PUT -d lo "\(base)$location?digest=\(hello)"
                curl -s -o /dev/null -w '%{http_code} ' -X DELETE \(base)$location
                """)
            #expect(output.output == "202 416 Range: 0-1 202 201 404 ")
            #expect(try Files.list("\(scratch)/root/uploads").isEmpty)
        }
    }

    @Test(.enabled(if: Files.exists("/usr/bin/skopeo"), "skopeo is not installed"))
    func skopeoPushesAndPulls() async throws {
        try await withRegistry { port, scratch in
            let script = """
                set -e; mkdir -p \(scratch)/d; cd \(scratch)
                head -c 3000000 /dev/urandom > layer; tar cf layer.tar layer; gzip -k layer.tar
                mkdir -p in/blobs/sha256; put() { h=$(sha256sum < $1 | cut -d' ' -f1); cp $1 in/blobs/sha256/$h; echo $h; }
                diff=$(sha256sum < layer.tar | cut -d' ' -f1); L=$(put layer.tar.gz)
                printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"config":{}}' $diff > c; C=$(put c)
                printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%s","size":%s}]}' $C $(stat -c %s c) $L $(stat -c %s layer.tar.gz) > m; M=$(put m)
                printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}' $M $(stat -c %s m) > in/index.json
                echo '{"imageLayoutVersion":"1.0.0"}' > in/oci-layout
                echo '{"default":[{"type":"insecureAcceptAnything"}]}' > policy
                skopeo --policy policy copy --dest-tls-verify=false oci:in:v1 docker://127.0.0.1:\(port)/team/x:v1
                skopeo --policy policy copy --src-tls-verify=false docker://127.0.0.1:\(port)/team/x:v1 oci:out:v1
                skopeo inspect --tls-verify=false docker://127.0.0.1:\(port)/team/x:v1
                skopeo --policy policy copy oci:root/repositories/team/x/_layout:v1 oci:out2:v1
                skopeo delete --tls-verify=false docker://127.0.0.1:\(port)/team/x:v1
                cmp in/blobs/sha256/$L out/blobs/sha256/$L && cmp in/blobs/sha256/$M out2/blobs/sha256/$M && echo same
                """
            let answer = try await shell("(\(script)\n)")
            #expect(answer.status == 0 && answer.output.hasSuffix("same\n"), "\(answer.output)")
        }
    }

    /// The program lies beside the test bundle.
    private static let program: String = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        return Files.parent(of: String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self))
            + "/clipper-registry"
    }()

    @Test(.enabled(if: Files.exists(program), "clipper-registry is not built"))
    func theProgramStopsCleanlyOnSIGTERM() async throws {
        let scratch = "/tmp/clp-registry-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { try? Files.removeTree(scratch) }
        let answer = try await shell(
            """
            \(Self.program) serve --address 127.0.0.1:0 --root \(scratch) 2>&1 &
            sleep 0.5; kill -TERM $!; wait $!; echo "exit $?"
            \(Self.program) serve --address nonsense; echo "exit $?"
            """)
        #expect(answer.output.contains("listening") && answer.output.contains("exit 0\n"), "\(answer.output)")
        #expect(answer.output.hasSuffix("clipper-registry: invalid address: nonsense: must be HOST:PORT\nexit 1\n"), "\(answer.output)")
    }
}
