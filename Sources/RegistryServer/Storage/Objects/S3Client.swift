internal import AsyncHTTPClient
internal import CCrypto
internal import Glibc
internal import HTTPServer
internal import JSON
internal import Linux
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec
internal import Synchronization

/// An S3 bucket, or one of a service that speaks as S3 does (Amazon S3 API reference, 2006-03-01).
///
/// Each request is signed with the digest of its body. What failed for a reason that may pass (no connection, 429, 5xx) is
/// tried again, three times in all.
final class S3Client: ObjectStore {
    let configuration: RegistryConfiguration.S3
    private let http: HTTPClient
    private let signature: S3Signature
    /// `https://HOST[:PORT]`, without a port that goes without saying.
    private let origin: String
    let host: String
    /// Before each key's own: `/BUCKET/PREFIX/` or `/PREFIX/`, escaped.
    private let base: String
    /// Whether the service doesn't know conditions of PUT.
    private let lacksConditions = Mutex(false)

    static let emptyDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    init(_ configuration: RegistryConfiguration.S3, http: HTTPClient) {
        self.configuration = configuration
        self.http = http
        signature = S3Signature(
            accessKey: configuration.accessKey, secretKey: configuration.secretKey, sessionToken: configuration.sessionToken,
            region: configuration.region)
        let scheme = configuration.endpoint.hasPrefix("https://") ? "https://" : "http://"
        var host = String(configuration.endpoint.dropFirst(scheme.utf8.count).prefix { $0 != "/" })
        let standardPort = scheme == "https://" ? ":443" : ":80"
        if host.hasSuffix(standardPort) { host.removeLast(standardPort.utf8.count) }
        self.host = configuration.usesPathStyle ? host : "\(configuration.bucket).\(host)"
        origin = scheme + self.host
        let bucket = configuration.usesPathStyle ? "/\(Self.escaped(path: configuration.bucket))" : ""
        base = configuration.prefix.isEmpty ? "\(bucket)/" : "\(bucket)/\(Self.escaped(path: configuration.prefix))/"
    }

    /// Before each key in the bucket.
    var fullPrefix: String { configuration.prefix.isEmpty ? "" : configuration.prefix + "/" }

    /// A key without what stands before all of this registry's; nil for one of somebody else.
    func own(_ key: String) -> String? {
        key.utf8.starts(with: fullPrefix.utf8) ? String(key.utf8.dropFirst(fullPrefix.utf8.count)) : nil
    }

    /// What a request names: an object, or with nil the bucket. Escaped.
    func path(of key: String?) -> String {
        if let key { return base + Self.escaped(path: key) }
        return configuration.usesPathStyle ? "/\(Self.escaped(path: configuration.bucket))" : "/"
    }

    static func escaped(path: String) -> String {
        path.split(separator: "/", omittingEmptySubsequences: false).map { RegistryServer.escaped(String($0)) }.joined(separator: "/")
    }

    // MARK: Objects

    func head(_ key: String) async throws -> ObjectInfo? {
        let response = try await send(.HEAD, key, allowing: [404])
        guard response.status != .notFound else { return nil }
        var metadata: [String: String] = [:]
        for (name, value) in response.headers where name.lowercased().hasPrefix("x-amz-meta-") {
            metadata[String(name.lowercased().dropFirst(11))] = value
        }
        return ObjectInfo(
            size: response.headers.first(name: "Content-Length").flatMap { Int($0) } ?? 0,
            modified: Self.seconds(httpDate: response.headers.first(name: "Last-Modified") ?? ""), metadata: metadata)
    }

    func get(_ key: String, unless known: String?) async throws -> ObjectContent {
        var headers: HTTPHeaders = [:]
        if let known { headers.add(name: "If-None-Match", value: known) }
        let response = try await send(.GET, key, headers: headers, allowing: [304, 404])
        if response.status == .notFound {
            // No object, or no bucket?
            let failure = await failure(of: response, .GET, key)
            if failure.code == "NoSuchBucket" { throw failure }
            return .missing
        }
        if response.status == .notModified { return .same }
        let body = try await reaching("GET \(key)") { try await response.body.collect(upTo: 1 << 28) }
        return .found(Array(body.readableBytesView), tag: response.headers.first(name: "ETag") ?? "")
    }

    func read(_ key: String, _ range: Range<Int>, _ body: (ByteBuffer) async throws -> Void) async throws {
        let response = try await send(.GET, key, headers: ["Range": "bytes=\(range.lowerBound)-\(range.upperBound - 1)"])
        var rest = range.count
        for try await chunk in response.body {
            rest -= chunk.readableBytes
            guard rest >= 0 else { throw ObjectStoreError(kind: .refused, description: "GET \(key): more bytes than \(range)") }
            try await body(chunk)
        }
        guard rest == 0 else { throw ObjectStoreError(kind: .unavailable, description: "GET \(key): \(rest) bytes are missing") }
    }

    @discardableResult
    func put(_ key: String, _ bytes: [UInt8], metadata: [String: String], if condition: ObjectCondition) async throws -> String {
        var headers: HTTPHeaders = [:]
        for (name, value) in metadata { headers.add(name: "x-amz-meta-\(name)", value: value) }
        if !lacksConditions.withLock({ $0 }) {
            switch condition {
            case .always: break
            case .isMissing: headers.add(name: "If-None-Match", value: "*")
            case .has(let tag): headers.add(name: "If-Match", value: tag)
            }
        }
        let isConditional = headers.contains(name: "If-None-Match") || headers.contains(name: "If-Match")
        let response = try await send(
            .PUT, key, headers: headers, body: .bytes(bytes), allowing: isConditional ? [404, 409, 412, 501] : [])
        switch response.status.code {
        case 404, 409, 412: throw ObjectStoreError.changed
        case 501:
            lacksConditions.withLock { $0 = true }
            return try await put(key, bytes, metadata: metadata, if: condition)
        default: return response.headers.first(name: "ETag") ?? ""
        }
    }

    func delete(_ key: String) async throws { _ = try await send(.DELETE, key, allowing: [404]) }

    func list(_ prefix: String, _ page: ([ObjectListing]) async throws -> Void) async throws {
        var token: String?
        repeat {
            var query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", fullPrefix + prefix)]
            if let token { query.append(("continuation-token", token)) }
            let document = try await document(of: try await send(.GET, nil, query: query), "list \(prefix)")
            try await page(
                document.all("Contents").compactMap { entry in
                    guard let key = entry["Key"].flatMap({ own(Percent.decode($0, plusIsSpace: true)) }) else { return nil }
                    return ObjectListing(
                        key: key, size: entry["Size"].flatMap { Int($0) } ?? 0,
                        modified: Timestamp(entry["LastModified"] ?? "")?.seconds ?? 0)
                })
            let next = document["IsTruncated"] == "true" ? document["NextContinuationToken"] : nil
            guard next == nil || next != token else {
                throw ObjectStoreError(kind: .refused, description: "list \(prefix): the same page twice")
            }
            token = next
        } while token != nil
    }

    // MARK: Requests

    enum Body: Sendable {
        case none
        case bytes([UInt8])
        /// A part of a file, and its SHA-256.
        case file(SharedFile, Range<Int64>, digest: String)
    }

    /// - Parameter key: nil for the bucket.
    /// - Parameter allowing: statuses beside success that the caller understands.
    func send(
        _ method: HTTPMethod, _ key: String?, query: [(String, String)] = [], headers: HTTPHeaders = [:], body: Body = .none,
        allowing: Set<UInt> = []
    ) async throws -> HTTPClientResponse {
        var attempt = 0
        while true {
            attempt += 1
            do {
                let response = try await once(method, key, query, headers, body)
                if 200..<300 ~= response.status.code || allowing.contains(response.status.code) { return response }
                throw await failure(of: response, method, key)
            } catch let error as ObjectStoreError where error.kind == .unavailable && attempt < 3 {
                try await Task.sleep(for: .milliseconds(100 << (2 * attempt - 2)))
            }
        }
    }

    private func once(_ method: HTTPMethod, _ key: String?, _ query: [(String, String)], _ headers: HTTPHeaders, _ body: Body) async throws
        -> HTTPClientResponse
    {
        let path = path(of: key)
        let digest =
            switch body {
            case .none: Self.emptyDigest
            case .bytes(let bytes): Signing.hex(Signing.sha256(bytes))
            case .file(_, _, let digest): digest
            }
        var headers = headers
        headers.replaceOrAdd(name: "Host", value: host)
        let named = query.map { (name: $0.0, value: $0.1) }
        // Digits alone, to the second.
        let time = Timestamp.now().description.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z"
        signature.sign(method, path: path, query: named, headers: &headers, payload: digest, time: time)
        var request = HTTPClientRequest(url: origin + path + (named.isEmpty ? "" : "?" + S3Signature.text(of: named)))
        request.method = method
        request.headers = headers
        switch body {
        case .none: break
        case .bytes(let bytes): request.body = .bytes(ByteBuffer(bytes: bytes))
        case .file(let file, let range, _):
            request.body = .stream(FileChunks(file: file, range: range), length: .known(Int64(range.count)))
        }
        let ready = request
        return try await reaching("\(method) \(key ?? configuration.bucket)") { try await http.execute(ready, timeout: .hours(1)) }
    }

    /// Whatever fails on the way is a store that can't be reached.
    private func reaching<Result>(_ what: String, _ body: () async throws -> Result) async throws -> Result {
        do { return try await body() } catch let error as CancellationError {
            throw error
        } catch {
            throw ObjectStoreError(kind: .unavailable, description: "\(what) at \(origin): \(error)")
        }
    }

    /// An answer's XML.
    func document(of response: HTTPClientResponse, _ what: String) async throws -> XMLElement {
        let body = try await reaching(what) { try await response.body.collect(upTo: 16 << 20) }
        guard let root = XMLElement(parsing: Array(body.readableBytesView)) else {
            throw ObjectStoreError(kind: .refused, description: "\(what): the answer is no XML")
        }
        return root
    }

    private func failure(of response: HTTPClientResponse, _ method: HTTPMethod, _ key: String?) async -> ObjectStoreError {
        let body = try? await response.body.collect(upTo: 1 << 20)
        let error = body.flatMap { XMLElement(parsing: Array($0.readableBytesView)) }
        return Self.failure(
            status: response.status.code, error, "\(method) \(key ?? "") in bucket \(configuration.bucket): \(response.status)")
    }

    static func failure(status: UInt, _ error: XMLElement?, _ what: String) -> ObjectStoreError {
        let code = error?["Code"] ?? ""
        let mayPass =
            status == 429 || (500...599).contains(status) && status != 501
            || ["SlowDown", "InternalError", "RequestTimeout"].contains(code)
        let reason = error.map { ": \($0["Code"] ?? ""): \($0["Message"] ?? "")" } ?? ""
        return ObjectStoreError(kind: mayPass ? .unavailable : .refused, description: what + reason, code: code)
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7) in seconds since 1970; 0 for anything else.
    static func seconds(httpDate text: String) -> Int64 {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let parts = text.split(separator: " ")
        guard parts.count == 6, let month = months.firstIndex(of: String(parts[2])) else { return 0 }
        let number = month < 9 ? "0\(month + 1)" : "\(month + 1)"
        return Timestamp("\(parts[3])-\(number)-\(parts[1])T\(parts[4])Z")?.seconds ?? 0
    }
}

/// A part of a file in pieces, for a request's body.
struct FileChunks: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    let file: SharedFile
    let range: Range<Int64>

    struct AsyncIterator: AsyncIteratorProtocol {
        let file: SharedFile
        var position: Int64
        let end: Int64

        mutating func next() async throws -> ByteBuffer? {
            guard position < end else { return nil }
            let (file, from, count) = (file, position, Int(Swift.min(256 * 1024, end - position)))
            let buffer = try await offloaded { try file.read(at: from, count: count) }
            guard buffer.readableBytes > 0 else { throw SystemError("read", code: EIO) }
            position += Int64(buffer.readableBytes)
            return buffer
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(file: file, position: range.lowerBound, end: range.upperBound) }

    /// SHA-256 of the whole, in hexadecimal digits.
    func digest() async throws -> String {
        let hasher = ContentHasher(.sha256)
        for try await chunk in self { hasher.update(chunk) }
        return hasher.finish().hex
    }
}
