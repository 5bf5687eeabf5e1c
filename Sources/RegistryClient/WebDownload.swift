internal import AsyncHTTPClient
public import NIOCore
internal import NIOHTTP1

/// What a web server sends under an address.
public struct WebDownload: Sendable {
    /// As it was asked for, with the scheme.
    public let address: String
    /// Bytes of the body, when the server tells.
    public let size: Int64?
    public let body: any AsyncSequence<ByteBuffer, any Error> & Sendable

    public init(address: String, size: Int64?, body: any AsyncSequence<ByteBuffer, any Error> & Sendable) {
        self.address = address
        self.size = size
        self.body = body
    }
}

extension RegistryClient {
    /// Gets what lies under an http or https address (without a scheme: http), through the proxy that the settings name, and
    /// follows redirects, but never from https to http. A certificate must be good, also that of an insecure registry.
    ///
    /// Throws `RegistryError` in dockerd's words: `notFound`, `unauthorized`, `denied` or `invalid` when the server says so.
    public func download(_ text: String) async throws -> WebDownload {
        let text = text.contains("://") ? text : "http://\(text)"
        guard let address = WebAddress(text) else { throw RegistryError(.invalid, "invalid URL: \(text): not an http or https address") }
        let session = RegistrySession(self)
        let endpoint = RegistryEndpoint(address, verifiesCertificate: true, isMirror: false)
        let response: HTTPClientResponse
        do { response = try await session.follow(RegistryCall(.GET, address, scopes: []), endpoint, authorization: nil) } catch let failure
            as ConnectionFailure
        {
            throw RegistryError(failure.isUnknownHost ? .notFound : .unreachable, failure.description)
        }
        guard response.status.code < 400 else { throw try await Self.refusal(response, address) }
        let size = response.headers.first(name: "Content-Length").flatMap { Int64($0) }
        return WebDownload(
            address: address.description, size: size, body: BlobBody(response.body, skipping: 0, from: address.description))
    }

    private static func refusal(_ response: HTTPClientResponse, _ address: WebAddress) async throws -> RegistryError {
        let status = "\(response.status.code) \(response.status.reasonPhrase)"
        let message = "failed to GET \(address) with status \(status)"
        let said: String
        do { said = String(buffer: try await response.body.collect(upTo: 64 << 10)).trimmingWhitespace } catch {
            if error is CancellationError || Task.isCancelled { throw CancellationError() }
            said = "error reading body"
        }
        let code: RegistryError.Code =
            switch response.status.code {
            case 400: .invalid
            case 401: .unauthorized
            case 403: .denied
            case 404: .notFound
            default: .failed
            }
        return RegistryError(code, "\(message): \(said)")
    }
}

extension String {
    fileprivate var trimmingWhitespace: String {
        let isSpace = { (character: Character) in character.isWhitespace }
        return String(drop(while: isSpace).reversed().drop(while: isSpace).reversed())
    }
}
