// RegistryClient: what the daemon needs to talk to a registry (OCI distribution spec 1.1).
//
// `RegistryEndpoint` chooses where a name's registry answers; `AuthenticationChallenge` reads what a registry demands.
// Names themselves are `ImageReference` (OCIImageSpec). Transfers come later: until then `RegistryClient.pull` says so.
// Used by Images.
public import OCIImageSpec

/// Why a registry could not be used.
public struct RegistryError: Error, Sendable, Equatable, CustomStringConvertible {
    public let message: String
    public init(_ message: String) { self.message = message }
    public var description: String { message }
}

/// Transfers from and to registries.
public struct RegistryClient: Sendable {
    public init() {}

    /// Not built yet.
    public func pull(_ reference: ImageReference) throws -> Never { throw RegistryError("not implemented: pulling from a registry") }

    /// Not built yet.
    public func push(_ reference: ImageReference) throws -> Never { throw RegistryError("not implemented: pushing to a registry") }
}
