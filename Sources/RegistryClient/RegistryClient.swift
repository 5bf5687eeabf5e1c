// RegistryClient: what the daemon needs to talk to a registry (OCI distribution spec 1.1).
//
// `RegistryRepository` is what can be done with one repository, `RegistryAccess` where to get one; `RegistryClient` does both
// over HTTP (`HTTPRepository`), and logs in, searches and looks at manifests besides. `RegistrySettings` say where a name's
// registry answers (`RegistryEndpoint`): mirrors, insecure registries, proxies, certificates. `RegistrySession` sends a
// `RegistryCall`: it gives credentials when a registry asks for them (`AuthenticationChallenge`, `Authorizer`, `TokenStore`),
// follows redirects, and tries again what may pass (`RetryPolicy`). A refusal is a `RegistryFailure`, which knows Docker's words.
// Names themselves are `ImageReference` (OCIImageSpec). Used by Images, Engine and RegistryServer.
public import Logging
public import OCIImageSpec
internal import Synchronization

/// Why a registry could not be used.
public struct RegistryError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure.
    public struct Code: Sendable, Hashable {
        private enum Value: Sendable { case notFound, unauthorized, denied, limited, invalid, unreachable, unsupported, failed }
        private let value: Value

        /// No such manifest, blob or repository (404).
        public static let notFound = Code(value: .notFound)
        /// The registry wants credentials, or other ones (401).
        public static let unauthorized = Code(value: .unauthorized)
        /// The credentials do not suffice (403).
        public static let denied = Code(value: .denied)
        /// Too much was asked for in too short a time (429).
        public static let limited = Code(value: .limited)
        /// What came is no manifest, or its digest is another (the registry's fault or somebody's between).
        public static let invalid = Code(value: .invalid)
        /// No connection, no TLS, no answer in time: another attempt may succeed.
        public static let unreachable = Code(value: .unreachable)
        /// Something that this client does not do; the message names it.
        public static let unsupported = Code(value: .unsupported)
        /// The registry refused or failed otherwise.
        public static let failed = Code(value: .failed)
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}

/// The same for modules that have a `RegistryError` of their own.
public typealias RegistryClientError = RegistryError

/// Registries over HTTP. Connections, tokens and what registries ask for are shared by all its repositories.
public final class RegistryClient: RegistryAccess {
    let transport: HTTPTransport
    let tokens = TokenStore()
    let userAgent: String
    let retries: RetryPolicy
    let logger: Logger
    private let state: Mutex<State>

    private struct State {
        var settings: RegistrySettings
        /// The endpoint of an insecure registry that has answered, by domain.
        var answering: [String: RegistryEndpoint] = [:]
    }

    public convenience init(
        settings: RegistrySettings = RegistrySettings(), userAgent: String = "clipper", logger: Logger = Logger(label: "registry")
    ) {
        self.init(settings: settings, userAgent: userAgent, logger: logger, retries: RetryPolicy(), transport: HTTPTransport())
    }

    init(settings: RegistrySettings, userAgent: String, logger: Logger, retries: RetryPolicy, transport: HTTPTransport) {
        state = Mutex(State(settings: settings))
        self.userAgent = userAgent
        self.logger = logger
        self.retries = retries
        self.transport = transport
    }

    /// What holds for repositories that are asked for from now on.
    public var settings: RegistrySettings {
        get { state.withLock { $0.settings } }
        set { state.withLock { $0 = State(settings: newValue) } }
    }

    /// Closes all connections. Nothing can be asked for afterwards.
    public func shutdown() async { await transport.shutdown() }

    public func repository(_ reference: ImageReference, credentials: RegistryCredentials) throws -> any RegistryRepository {
        repository(named: reference, credentials: credentials)
    }

    /// The same, with what HTTP knows beyond the protocol.
    public func repository(named reference: ImageReference, credentials: RegistryCredentials) -> HTTPRepository {
        HTTPRepository(client: self, name: reference, path: reference.path, place: .domain(reference.domain), user: credentials)
    }

    /// A repository of the registry at an address (`https://HOST[:PORT]`), which alone is asked.
    /// Throws `RegistryError` for what is no such address or no name.
    public func repository(_ path: String, at address: String, credentials: RegistryCredentials) throws -> HTTPRepository {
        guard let address = WebAddress(address) else { throw RegistryError(.unsupported, "invalid address of a registry: \(address)") }
        let name: ImageReference
        do { name = try ImageReference("\(address.authority)/\(path)") } catch { throw RegistryError(.invalid, "\(error)") }
        let endpoint = RegistryEndpoint(address, verifiesCertificate: true, isMirror: false)
        return HTTPRepository(client: self, name: name, path: path, place: .endpoint(endpoint), user: credentials)
    }

    /// The endpoints of a domain; of an insecure registry only the one that has answered before.
    func endpoints(of domain: String, withMirrors: Bool, _ session: RegistrySession) async -> [RegistryEndpoint] {
        let all = await session.endpoints(of: domain, withMirrors: withMirrors)
        guard let answering = state.withLock({ $0.answering[domain] }) else { return all }
        return all.filter { $0.isMirror || $0 == answering }
    }

    func note(_ endpoint: RegistryEndpoint, answersFor domain: String) {
        state.withLock {
            if $0.answering.count > 10_000 { $0.answering = [:] }
            $0.answering[domain] = endpoint
        }
    }

    func forgetEndpoint(of domain: String) { state.withLock { $0.answering[domain] = nil } }
}
