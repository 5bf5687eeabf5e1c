internal import AsyncHTTPClient
internal import NIOHTTP1

/// One request to a registry.
struct RegistryCall: Sendable {
    var method: HTTPMethod
    var address: WebAddress
    var headers: HTTPHeaders = [:]
    /// Made anew for each attempt.
    var body: (@Sendable () -> HTTPClientRequest.Body)?
    /// What a token must allow: `repository:library/busybox:pull`.
    var scopes: [String] = []
    /// Whether it may be sent again when it is not known what became of it.
    var isRepeatable: Bool

    init(_ method: HTTPMethod, _ address: WebAddress, scopes: [String], headers: HTTPHeaders = [:]) {
        self.method = method
        self.address = address
        self.scopes = scopes
        self.headers = headers
        isRepeatable = method == .GET || method == .HEAD
    }
}
