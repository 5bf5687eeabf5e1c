internal import AsyncHTTPClient
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL
internal import Synchronization

/// One user at the endpoints of registries: sends calls, with the credentials where they belong, as often as it takes.
final class RegistrySession: Sendable {
    let settings: RegistrySettings
    private let transport: HTTPTransport
    private let tokens: TokenStore
    private let userAgent: String
    private let retries: RetryPolicy
    private let certificates: CertificateDirectories
    /// The endpoints that the settings mean: names have been looked up for them, once for all calls.
    private let endpoints = Mutex<[String: [RegistryEndpoint]]>([:])
    /// What was read of the directories, by endpoint, or by host and port of others.
    private let configurations = Mutex<[String: TLSConfiguration]>([:])
    private let logger: Logger

    init(_ client: RegistryClient) {
        settings = client.settings
        transport = client.transport
        tokens = client.tokens
        userAgent = client.userAgent
        retries = client.retries
        logger = client.logger
        certificates = CertificateDirectories(parents: settings.certificateDirectories)
    }

    /// Those of a domain, in the order in which they are to be tried.
    func endpoints(of domain: String, withMirrors: Bool) async -> [RegistryEndpoint] {
        let key = "\(withMirrors) \(domain)"
        if let known = endpoints.withLock({ $0[key] }) { return known }
        let found = await settings.endpoints(of: domain, withMirrors: withMirrors)
        endpoints.withLock { $0[key] = found }
        return found
    }

    /// Answers what the registry says in the end, whatever its status is: credentials are given when they are asked for, redirects
    /// are followed, and what may pass is tried again. Throws `ConnectionFailure`, `RegistryError` or `CancellationError`.
    func send(_ call: RegistryCall, to endpoint: RegistryEndpoint, as user: RegistryCredentials) async throws -> HTTPClientResponse {
        var attempt = 0
        while true {
            attempt += 1
            do {
                let response = try await authorized(call, endpoint, endpoint.isMirror ? .anonymous : user)
                guard let pause = retries.pause(after: response, of: call, attempt: attempt) else { return response }
                logger.info(
                    "registry asks for another attempt",
                    metadata: ["url": "\(call.address)", "status": "\(response.status.code)", "attempt": "\(attempt)"])
                try await Self.drain(response)
                try await Task.sleep(for: pause)
            } catch let failure as ConnectionFailure {
                guard failure.isTransient, call.isRepeatable, let pause = retries.pause(after: attempt) else { throw failure }
                logger.info(
                    "registry gave no answer",
                    metadata: ["url": "\(call.address)", "error": "\(failure)", "attempt": "\(attempt)"])
                try await Task.sleep(for: pause)
            }
        }
    }

    /// With what the registry is known to want, and once more with what it says it wants.
    private func authorized(_ call: RegistryCall, _ endpoint: RegistryEndpoint, _ user: RegistryCredentials) async throws
        -> HTTPClientResponse
    {
        let authorizer = Authorizer(session: self, tokens: tokens, endpoint: endpoint, user: user)
        // What is known may be out of date: the registry says what it wants now.
        let known = try? await authorizer.header(for: call)
        try Task.checkCancellation()
        let response = try await follow(call, endpoint, authorization: known)
        guard response.status == .unauthorized, call.address.hasSameOrigin(as: endpoint.address) else { return response }
        let header: String?
        do { header = try await authorizer.header(for: call, challenged: response, refused: known) } catch let error as RegistryError {
            throw RegistryError(error.code, "\(Self.verb(call.method)) \"\(call.address)\": \(error.message)")
        }
        guard let header, header != known else { return response }
        try await Self.drain(response)
        return try await follow(call, endpoint, authorization: header)
    }

    /// Redirects lead to other hosts, which are not to see the credentials.
    func follow(_ call: RegistryCall, _ endpoint: RegistryEndpoint, authorization: String?) async throws -> HTTPClientResponse {
        var address = call.address
        for _ in 0..<10 {
            var headers = call.headers
            if let authorization, address.hasSameOrigin(as: endpoint.address) { headers.add(name: "Authorization", value: authorization) }
            let response = try await once(call.method, address, headers: headers, body: call.body?(), endpoint: endpoint)
            let isRedirect = [301, 302, 303, 307, 308].contains(response.status.code) && (call.method == .GET || call.method == .HEAD)
            guard isRedirect, let location = response.headers.first(name: "Location"), let next = address.resolving(location) else {
                return response
            }
            if address.usesTLS && !next.usesTLS && endpoint.verifiesCertificate {
                throw RegistryError(.unreachable, "refused to follow a redirect from \(address.authority) without TLS to \(next.authority)")
            }
            try await Self.drain(response)
            address = next
        }
        throw RegistryError(.unreachable, "\(Self.verb(call.method)) \"\(call.address)\": stopped after 10 redirects")
    }

    /// One request and its answer's head. Also for token servers, which are no part of the registry.
    func once(
        _ method: HTTPMethod, _ address: WebAddress, headers: HTTPHeaders, body: HTTPClientRequest.Body? = nil,
        endpoint: RegistryEndpoint, deadline: NIODeadline = .distantFuture
    ) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: address.description)
        request.method = method
        request.headers = headers
        request.headers.replaceOrAdd(name: "User-Agent", value: userAgent)
        request.body = body
        if address.usesTLS { request.tlsConfiguration = try await tls(address, endpoint) }
        do { return try await transport.client(settings.proxies.proxy(for: address)).execute(request, deadline: deadline) } catch let error
            as RegistryError
        {
            throw error
        } catch {
            let failure = try ConnectionFailure(error, to: address)
            throw ConnectionFailure(
                "\(Self.verb(method)) \"\(address)\": \(failure)", isTransient: failure.isTransient, isUnknownHost: failure.isUnknownHost)
        }
    }

    private func tls(_ address: WebAddress, _ endpoint: RegistryEndpoint) async throws -> TLSConfiguration {
        let isRegistry = address.hasSameOrigin(as: endpoint.address)
        let key = isRegistry ? endpoint.description : address.authority
        if let known = configurations.withLock({ $0[key] }) { return known }
        let verifies = isRegistry ? endpoint.verifiesCertificate : await !settings.isInsecure(address.authority)
        let configuration = try certificates.configuration(for: address.authority, verifies: verifies)
        configurations.withLock { $0[key] = configuration }
        return configuration
    }

    /// Reads what is left of an answer, so that its connection can be used again; a long one is let go.
    static func drain(_ response: HTTPClientResponse) async throws {
        do { _ = try await response.body.collect(upTo: 64 << 10) } catch {
            if error is CancellationError || Task.isCancelled { throw CancellationError() }
        }
    }

    /// `Get`, as Go writes a method in front of an error.
    private static func verb(_ method: HTTPMethod) -> String { method.rawValue.prefix(1) + method.rawValue.dropFirst().lowercased() }
}

/// When a call is sent again.
struct RetryPolicy: Sendable {
    /// All in all.
    var attempts = 3
    /// Before the second one; each following pause is twice as long.
    var firstPause = Duration.milliseconds(500)
    /// The longest time that a registry may ask to wait.
    var longestPause = Duration.seconds(30)

    func pause(after attempt: Int) -> Duration? {
        guard attempt < attempts else { return nil }
        // Not all layers at the same moment.
        return firstPause * (1 << (attempt - 1)) * Double.random(in: 0.75...1.25)
    }

    /// Nil when the answer is the one that counts.
    func pause(after response: HTTPClientResponse, of call: RegistryCall, attempt: Int) -> Duration? {
        switch response.status.code {
        case 429: break
        case 500, 502, 503, 504: if !call.isRepeatable { return nil }
        default: return nil
        }
        guard let pause = pause(after: attempt) else { return nil }
        guard let text = response.headers.first(name: "Retry-After"), let seconds = Int64(text), seconds >= 0 else { return pause }
        // One who must wait longer is better told so.
        return .seconds(seconds) <= longestPause ? max(.seconds(seconds), pause) : nil
    }
}
