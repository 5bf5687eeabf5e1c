// RegistryClient: what the daemon needs to talk to a registry (OCI distribution spec 1.1).
//
// `RegistryRepository` is what can be done with one repository, `RegistryAccess` where to get one; `RegistryClient` does both
// over HTTP. `RegistryEndpoint` chooses where a name's registry answers; `AuthenticationChallenge` reads what a registry
// demands. Names themselves are `ImageReference` (OCIImageSpec). Used by Images, Engine and RegistryServer.
public import OCIImageSpec

/// Why a registry could not be used.
public struct RegistryError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure.
    public struct Code: Sendable, Hashable {
        private enum Value: Sendable { case notFound, unauthorized, denied, invalid, unreachable, unsupported, failed }
        private let value: Value

        /// No such manifest, blob or repository (404).
        public static let notFound = Code(value: .notFound)
        /// The registry wants credentials, or other ones (401).
        public static let unauthorized = Code(value: .unauthorized)
        /// The credentials do not suffice (403).
        public static let denied = Code(value: .denied)
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

/// Repositories over HTTP.
public struct RegistryClient: RegistryAccess {
    public init() {}

    /// Not built yet.
    public func repository(_ reference: ImageReference, credentials: RegistryCredentials) throws -> any RegistryRepository {
        throw RegistryError(.unsupported, "not implemented: transfers from and to registries")
    }
}
