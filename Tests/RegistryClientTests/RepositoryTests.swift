import Glibc
import HTTPServer
import NIOCore
import NIOHTTP1
import OCIImageSpec
import Testing

@testable import RegistryClient

private func descriptor(_ text: String) -> Descriptor {
    Descriptor(mediaType: MediaType.ociLayer, digest: Digest(of: Array(text.utf8)), size: Int64(text.utf8.count))
}

@Suite struct Manifests {
    @Test func areVerified() async throws {
        try await withRepository({ _, _ in manifestAnswer() }) { repository, _ in
            let bytes = try await repository.manifest(.digest(manifestDigest)).bytes
            #expect(bytes == manifestBytes)
            let other = Digest(of: [1])
            let error = await #expect(throws: RegistryError.self) { try await repository.manifest(.digest(other)) }
            #expect(error?.code == .invalid && error?.message.contains("manifest verification failed for digest \(other)") == true)
        }
    }

    @Test func resolveAsksForNoBytes() async throws {
        try await withRepository({ asked, _ in asked.target.hasSuffix("/none") ? Response(status: .notFound) : manifestAnswer() }) {
            repository, registry in
            let found = try await repository.resolve(.tag("1"))
            #expect(found == Descriptor(mediaType: MediaType.ociManifest, digest: manifestDigest, size: Int64(manifestBytes.count)))
            #expect(try await repository.resolve(.tag("none")) == nil)
            #expect(registry.requests.map(\.method) == [.HEAD, .HEAD])
        }
    }

    @Test func registriesThatTellLittleAreAskedForTheManifest() async throws {
        try await withRepository({ _, _ in .bytes(manifestBytes, contentType: "text/plain") }) { repository, registry in
            let type = try await repository.resolve(.tag("1"))?.mediaType
            #expect(type == MediaType.ociManifest)
            #expect(registry.requests.map(\.method) == [.HEAD, .GET])
        }
    }

    @Test func schemaOneIsRefused() async throws {
        let bytes = Array(#"{"schemaVersion":1}"#.utf8)
        try await withRepository({ _, _ in
            .bytes(bytes, contentType: "application/vnd.docker.distribution.manifest.v1+prettyjws")
        }) { repository, _ in
            let error = await #expect(throws: RegistryError.self) { try await repository.manifest(.tag("1")) }
            #expect(error?.code == .unsupported && error?.message.contains("schema 1 is not supported") == true)
        }
    }

    @Test func tagsComeInPages() async throws {
        try await withRepository({ asked, registry in
            let pages = [
                "/v2/team/app/tags/list?n=1000": (["a", "b"], "</v2/team/app/tags/list?n=1000&last=b>; rel=\"next\""),
                "/v2/team/app/tags/list?n=1000&last=b": (["c"], "<http://\(registry.authority)/v2/team/app/tags/list?last=c>; rel=next"),
                "/v2/team/app/tags/list?last=c": (["d"], "<http://elsewhere.invalid/>; rel=\"next\""),
            ]
            let (tags, link) = try #require(pages[asked.target])
            var response = Response.bytes(Array("{\"name\":\"x\",\"tags\":\(tags)}".utf8), contentType: "application/json")
            response.headers.add(name: "Link", value: link)
            return response
        }) { repository, _ in
            let tags = try await repository.tags()
            #expect(tags == ["a", "b", "c", "d"])
        }
    }

    @Test func whatIsStoredHasTheRegistrysDigest() async throws {
        try await withRepository({ asked, _ in
            var response = Response(status: .created)
            response.headers.add(name: "Docker-Content-Digest", value: "\(Digest(of: Array(asked.body.utf8)))")
            return response
        }) { repository, registry in
            let digest = try await repository.putManifest(manifestBytes, mediaType: MediaType.ociManifest, as: .tag("1"))
            #expect(digest == manifestDigest)
            #expect(registry.requests.first?.headers.first(name: "Content-Type") == MediaType.ociManifest)
        }
    }
}

@Suite struct WebDownloads {
    @Test func followRedirectsWithoutCredentials() async throws {
        try await FakeRegistry.run({ asked, _ in
            if asked.target == "/a?b=1" { return Response(status: .found, headers: ["Location": "/c"]) }
            return .bytes(Array("content".utf8), contentType: "x")
        }) { server in
            let client = RegistryClient()
            let download = try await client.download("\(server.authority)/a?b=1")
            let bytes = try await collected(download.body)
            #expect(download.address == "http://\(server.authority)/a?b=1" && bytes == "content" && download.size == 7)
            #expect(server.lines == ["GET /a?b=1", "GET /c"] && server.requests.allSatisfy { $0.authorization.isEmpty })
            await client.shutdown()
        }
    }

    @Test(arguments: [
        (400, RegistryError.Code.invalid), (401, .unauthorized), (403, .denied), (404, .notFound), (410, .failed), (500, .failed),
    ])
    func refusalsSayWhatTheServerSays(_ status: Int, _ code: RegistryError.Code) async throws {
        try await FakeRegistry.run({ _, _ in
            .bytes(Array(" go away\n".utf8), contentType: "x", status: .init(statusCode: status))
        }) { server in
            let client = RegistryClient()
            let error = await #expect(throws: RegistryError.self) { try await client.download("http://\(server.authority)/x") }
            #expect(error?.code == code)
            #expect(error?.message.hasPrefix("failed to GET http://\(server.authority)/x with status \(status) ") ?? false)
            #expect(error?.message.hasSuffix(": go away") ?? false)
            await client.shutdown()
        }
    }

    @Test(arguments: ["ftp://x/y", "http://", "http://a b/", "https://user:pw@host/x"]) func whatIsNoWebAddress(_ text: String) async throws
    {
        let client = RegistryClient()
        let error = await #expect(throws: RegistryError.self) { try await client.download(text) }
        #expect(error?.code == .invalid)
        await client.shutdown()
    }
}

@Suite struct Blobs {
    private static let text = "0123456789"

    @Test func goOnWhereTheyBroke() async throws {
        try await withRepository({ asked, registry in
            if asked.headers.contains(name: "Range") {
                var rest = Response.bytes(Array(Self.text.utf8.dropFirst(4)), contentType: "x", status: .partialContent)
                rest.headers.add(name: "Content-Range", value: "bytes 4-9/10")
                return rest
            }
            return Response(
                status: .ok, headers: ["Content-Length": "10"],
                body: .stream { writer in
                    try await writer.write(Array(Self.text.utf8.prefix(4)))
                    throw CancellationError()
                })
        }) { repository, registry in
            let blob = descriptor(Self.text)
            var seen = ""
            let error = await #expect(throws: RegistryError.self) {
                for try await chunk in try await repository.blob(blob, in: 0..<10).body { seen += String(buffer: chunk) }
            }
            #expect(seen == "0123" && error?.code == .unreachable)
            let rest = try await collected(repository.blob(blob, in: 4..<10).body)
            #expect(rest == "456789")
            let nothing = try await collected(repository.blob(blob, in: 10..<10).body)
            #expect(nothing == "")
            #expect(registry.requests.map { $0.headers.first(name: "Range") } == [nil, "bytes=4-"])
        }
    }

    @Test func registriesWithoutRangesSendAll() async throws {
        try await withRepository({ _, _ in .bytes(Array(Self.text.utf8), contentType: "x") }) { repository, _ in
            let rest = try await collected(repository.blob(descriptor(Self.text), in: 7..<10).body)
            #expect(rest == "789")
        }
    }

    @Test(arguments: [true, false]) func whetherPartsAreSentIsTold(_ accepts: Bool) async throws {
        try await withRepository({ asked, _ in
            var answer = Response.bytes(Array(Self.text.utf8), contentType: "x")
            if accepts { answer.headers.add(name: "Accept-Ranges", value: "bytes") }
            guard accepts, asked.headers.first(name: "Range") == "bytes=2-4" else { return answer }
            var part = Response.bytes(Array("234".utf8), contentType: "x", status: .partialContent)
            part.headers.add(name: "Content-Range", value: "bytes 2-4/10")
            return part
        }) { repository, registry in
            let whole = try await repository.blob(descriptor(Self.text), in: 0..<10)
            #expect(whole.servesRanges == accepts)
            let bytes = try await collected(whole.body)
            #expect(bytes == Self.text)
            let part = try await repository.blob(descriptor(Self.text), in: 2..<5)
            #expect(part.servesRanges == accepts)
            let rest = try await collected(part.body)
            #expect(rest == (accepts ? "234" : "23456789"))
            #expect(registry.requests.map { $0.headers.first(name: "Range") } == [nil, "bytes=2-4"])
        }
    }

    /// It says that it sends parts, and then does not: what it said before counts no more.
    @Test func aWholeBlobForAPartIsTold() async throws {
        try await withRepository({ _, _ in
            var answer = Response.bytes(Array(Self.text.utf8), contentType: "x")
            answer.headers.add(name: "Accept-Ranges", value: "bytes")
            return answer
        }) { repository, _ in
            let part = try await repository.blob(descriptor(Self.text), in: 2..<5)
            #expect(!part.servesRanges)
        }
    }

    @Test func otherRangesThanAskedForAreRefused() async throws {
        try await withRepository({ _, _ in
            Response(status: .partialContent, headers: ["Content-Range": "bytes 2-9/10"], body: .bytes(ByteBuffer(string: "23456789")))
        }) { repository, _ in
            await #expect(throws: RegistryError.self) { try await repository.blob(descriptor(Self.text), in: 7..<10) }
        }
    }

    @Test func redirectsTakeNoCredentialsAlong() async throws {
        try await FakeRegistry.run({ _, _ in .bytes(Array(Self.text.utf8), contentType: "x") }) { storage in
            let place = storage.authority
            try await withRepository(
                credentials: RegistryCredentials(username: "me", password: "pw"),
                { asked, registry in
                    if asked.authorization.isEmpty {
                        return refusal(.unauthorized, "UNAUTHORIZED", "", headers: ["WWW-Authenticate": "Basic realm=\"r\""])
                    }
                    if asked.target == "/again" {
                        return Response(status: .temporaryRedirect, headers: ["Location": "http://\(place)/b?sig=1"])
                    }
                    return Response(status: .temporaryRedirect, headers: ["Location": "/again"])
                }
            ) { repository, registry in
                let bytes = try await collected(repository.blob(descriptor(Self.text), in: 0..<10).body)
                #expect(bytes == Self.text)
                #expect(registry.requests.map(\.authorization) == ["", "Basic bWU6cHc=", "Basic bWU6cHc="])
                #expect(storage.lines == ["GET /b?sig=1"] && storage.requests.first?.authorization == "")
            }
        }
    }

    @Test func headTellsWhetherAndHowLong() async throws {
        try await withRepository({ asked, _ in
            asked.target.contains("sha256:0") ? Response(status: .notFound) : .bytes(Array(Self.text.utf8), contentType: "x")
        }) { repository, registry in
            #expect(try await repository.blobSize(descriptor(Self.text).digest) == 10)
            let none = try Digest("sha256:" + String(repeating: "0", count: 64))
            #expect(try await !repository.hasBlob(none))
            #expect(registry.requests.allSatisfy { $0.method == .HEAD })
        }
    }
}

@Suite struct Uploads {
    private static let text = "some bytes"
    private static let digest = Digest(of: Array(text.utf8))

    private static func stream(_ text: String) -> @Sendable () -> any AsyncSequence<ByteBuffer, any Error> & Sendable {
        {
            AsyncThrowingStream { continuation in
                for byte in text.utf8 { continuation.yield(ByteBuffer(bytes: [byte])) }
                continuation.finish()
            }
        }
    }

    @Test(arguments: ["/up/1?state=x", "http://HERE/up/1?state=x"]) func goInOnePiece(location: String) async throws {
        try await withRepository({ asked, registry in
            asked.method == .POST
                ? Response(status: .accepted, headers: ["Location": location.replacing("HERE", with: registry.authority)])
                : Response(status: .created)
        }) { repository, registry in
            try await repository.uploadBlob(Self.digest, size: Int64(Self.text.utf8.count), body: Self.stream(Self.text))
            let digest = "\(Self.digest)".replacing(":", with: "%3A")
            #expect(registry.lines == ["POST /v2/team/app/blobs/uploads/", "PUT /up/1?state=x&digest=\(digest)"])
            #expect(registry.requests.last?.body == Self.text)
            #expect(registry.requests.last?.headers.first(name: "Content-Length") == "10")
        }
    }

    @Test func goInPartsWhereOnePieceIsTooMuch() async throws {
        let text = String(repeating: "0123456789abcdef", count: 1 << 19) + "end"
        let digest = Digest(of: Array(text.utf8))
        try await withRepository({ asked, registry in
            switch asked.method {
            case .POST, .PATCH:
                return Response(status: .accepted, headers: ["Location": "/up/\(registry.count("place"))"])
            default: return Response(status: registry.count("put") == 0 ? .payloadTooLarge : .created)
            }
        }) { repository, registry in
            let body: @Sendable () -> any AsyncSequence<ByteBuffer, any Error> & Sendable = {
                AsyncThrowingStream {
                    $0.yield(ByteBuffer(string: text))
                    $0.finish()
                }
            }
            try await repository.uploadBlob(digest, size: Int64(text.utf8.count), body: body)
            let size = 8 << 20
            let parts = registry.requests.filter { $0.method == .PATCH }
            #expect(parts.map { $0.headers.first(name: "Content-Range") } == ["0-\(size - 1)", "\(size)-\(size + 2)"])
            #expect(parts.map(\.body).joined() == text)
            #expect(registry.lines.last == "PUT /up/3?digest=\("\(digest)".replacing(":", with: "%3A"))")
        }
    }

    @Test func mountsFallBack() async throws {
        try await withRepository({ asked, _ in
            if asked.method == .DELETE { return Response(status: .noContent) }
            return asked.target.hasSuffix("from=has")
                ? Response(status: .created) : Response(status: .accepted, headers: ["Location": "/up/7"])
        }) { repository, registry in
            let isMounted = try await repository.mountBlob(Self.digest, from: "has")
            #expect(isMounted)
            let isForeignMounted = try await repository.mountBlob(Self.digest, from: "has/not")
            #expect(!isForeignMounted)
            #expect(registry.lines.last == "DELETE /up/7")
        }
    }

    @Test func refusalsAreTold() async throws {
        try await withRepository({ asked, _ in
            asked.method == .POST
                ? Response(status: .accepted, headers: ["Location": "/up/1"])
                : refusal(.badRequest, "DIGEST_INVALID", "provided digest did not match")
        }) { repository, _ in
            let error = await #expect(throws: RegistryError.self) {
                try await repository.uploadBlob(Self.digest, size: 10, body: Self.stream(Self.text))
            }
            #expect(error?.message == "digest invalid: provided digest did not match")
        }
    }
}

@Suite struct Attempts {
    @Test(arguments: [HTTPResponseStatus.serviceUnavailable, .tooManyRequests, .internalServerError])
    func whatMayPassIsTriedAgain(status: HTTPResponseStatus) async throws {
        try await withRepository({ _, registry in
            registry.count("call") < 2 ? Response(status: status, headers: ["Retry-After": "0"]) : manifestAnswer()
        }) { repository, registry in
            _ = try await repository.manifest(.tag("1"))
            #expect(registry.requests.count == 3)
        }
    }

    @Test func notForever() async throws {
        try await withRepository({ _, _ in refusal(.tooManyRequests, "TOOMANYREQUESTS", "pull rate limit") }) { repository, registry in
            let error = await #expect(throws: RegistryError.self) { try await repository.manifest(.tag("1")) }
            #expect(error == RegistryError(.limited, "toomanyrequests: pull rate limit"))
            #expect(registry.requests.count == 3)
        }
        try await withRepository({ _, _ in Response(status: .serviceUnavailable, headers: ["Retry-After": "3600"]) }) {
            repository, registry in
            await #expect(throws: RegistryError.self) { try await repository.manifest(.tag("1")) }
            #expect(registry.requests.count == 1)
        }
    }

    @Test func connectionsThatBreakAreMadeAnew() async throws {
        try await withRepository({ _, registry in
            if registry.count("call") < 2 { throw CancellationError() }
            return manifestAnswer()
        }) { repository, registry in
            _ = try await repository.manifest(.tag("1"))
            #expect(registry.requests.count == 3)
        }
    }

    @Test func nobodyThereIsToldAtOnce() async throws {
        try await withClient { client in
            // A port that was free a moment ago.
            var authority = ""
            try await FakeRegistry.run({ _, _ in manifestAnswer() }) { authority = $0.authority }
            let name = try ImageReference("\(authority)/team/app")
            let error = await #expect(throws: RegistryError.self) {
                try await client.repository(named: name, credentials: .anonymous).manifest(.tag("1"))
            }
            let expected = "Get \"http://\(authority)/v2/team/app/manifests/1\": dial tcp \(authority): connect: connection refused"
            #expect(error == RegistryError(.unreachable, expected))
        }
    }

    @Test func cancellingEndsIt() async throws {
        try await withRepository({ _, registry in
            _ = registry.count("call")
            try await Task.sleep(for: .seconds(60))
            return manifestAnswer()
        }) { repository, registry in
            let task = Task { try await repository.manifest(.tag("1")) }
            while registry.requests.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test func plainRegistriesOnLoopbackAreFoundAndRemembered() async throws {
        try await FakeRegistry.run({ _, _ in manifestAnswer() }) { registry in
            try await withClient { client in
                let name = try ImageReference("\(registry.authority)/team/app")
                let repository = client.repository(named: name, credentials: .anonymous)
                _ = try await repository.manifest(.tag("1"))
                #expect(await client.endpoints(of: registry.authority, withMirrors: false, RegistrySession(client)).count == 1)
            }
        }
    }

    @Test func mirrorsAreAskedFirstAndTheRegistryForTheRest() async throws {
        try await FakeRegistry.run({ asked, _ in
            asked.target.hasSuffix("/1") ? manifestAnswer() : refusal(.notFound, "MANIFEST_UNKNOWN")
        }) { mirror in
            try await FakeRegistry.run({ _, _ in manifestAnswer() }) { registry in
                var settings = RegistrySettings()
                settings.mirrors = [registry.authority: ["http://\(mirror.authority)/"]]
                try await withClient(settings) { client in
                    let repository = client.repository(named: try ImageReference("\(registry.authority)/team/app"), credentials: .anonymous)
                    _ = try await repository.manifest(.tag("1"))
                    #expect(registry.requests.isEmpty)
                    _ = try await repository.manifest(.tag("2"))
                    #expect(registry.lines == ["GET /v2/team/app/manifests/2"])
                    _ = try await repository.putManifest(manifestBytes, mediaType: MediaType.ociManifest, as: .tag("3"))
                    #expect(mirror.requests.count == 2)
                }
            }
        }
    }
}
