internal import AsyncHTTPClient
internal import JSON
internal import NIOCore
internal import NIOHTTP1

/// A registry's refusal: its status, and the first error of its body (`{"errors": [{"code": …, "message": …}]}`).
struct RegistryFailure: Error, Sendable {
    let status: Int
    /// `MANIFEST_UNKNOWN`; empty when the body has none.
    let code: String
    /// In words of distribution's library, which Docker shows: `manifest unknown: manifest unknown`.
    let text: String

    /// Reads the rest of an answer whose status is no success.
    init(_ response: HTTPClientResponse) async throws(CancellationError) {
        var body: [UInt8] = []
        do { body = Array(try await response.body.collect(upTo: 1 << 20).readableBytesView) } catch {
            if error is CancellationError || Task.isCancelled { throw CancellationError() }
        }
        let challenges = response.headers["WWW-Authenticate"].flatMap { AuthenticationChallenge.parse($0) }
        self.init(status: Int(response.status.code), reason: response.status.reasonPhrase, body: body, challenges: challenges)
    }

    init(status: Int, reason: String, body: [UInt8], challenges: [AuthenticationChallenge] = []) {
        self.status = status
        let document = try? JSONValue(parsing: body)
        var (code, message) = ("", "")
        if let error = document?["errors"]?.arrayValue?.first {
            code = error["code"]?.stringValue ?? ""
            message = error["message"]?.stringValue ?? ""
        } else if status == 401 || status == 403 || status == 429 {
            code = ["UNAUTHORIZED", "DENIED", "TOOMANYREQUESTS"][status == 401 ? 0 : status == 403 ? 1 : 2]
            // Token servers of several makes.
            message = ["details", "error_description", "message", "error"].compactMap { document?[$0]?.stringValue }.first ?? ""
        }
        // What the challenge says of a token counts more than the body.
        if status == 401, let error = challenges.first(where: { $0.scheme == "bearer" })?.parameters["error"] {
            if error == "insufficient_scope" { (code, message) = ("DENIED", "") }
            if error == "invalid_token" { (code, message) = ("UNAUTHORIZED", "") }
        }
        self.code = code
        if code.isEmpty {
            text =
                document == nil && !body.isEmpty && (400..<500).contains(status)
                ? "error parsing HTTP \(status) response body: \"\(Self.shown(body))\""
                : "received unexpected HTTP status: \(status) \(reason)"
        } else {
            let standard = Self.standardMessages[code] ?? code.lowercased()
            let words = String(code.lowercased().map { $0 == "_" ? " " : $0 })
            text = "\(words): \(message.isEmpty ? standard : message)"
        }
    }

    /// Printable, and not more than a user reads.
    private static func shown(_ body: [UInt8]) -> String {
        String(String(decoding: body.prefix(200), as: UTF8.self).map { $0.isNewline ? " " : $0 })
    }

    private static let standardMessages = [
        "UNAUTHORIZED": "authentication required", "DENIED": "requested access to the resource is denied",
        "MANIFEST_UNKNOWN": "manifest unknown", "NAME_UNKNOWN": "repository name not known to registry",
        "BLOB_UNKNOWN": "blob unknown to registry", "TOOMANYREQUESTS": "too many requests",
    ]

    var isNotFound: Bool { status == 404 || ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN"].contains(code) }

    /// In the registry's own words.
    var error: RegistryError { RegistryError(kind, text) }

    var kind: RegistryError.Code {
        switch code {
        case "UNAUTHORIZED": .unauthorized
        case "DENIED": .denied
        case _ where isNotFound: .notFound
        case "TOOMANYREQUESTS": .limited
        default: status == 401 ? .unauthorized : status == 403 ? .denied : status == 429 ? .limited : .failed
        }
    }

    /// What a user is told who wanted to read something of a repository, in dockerd's words.
    /// - Parameters:
    ///   - name: the repository as people write it.
    ///   - what: what was asked for in it (`manifest for x:1`); nil for the repository itself.
    func reading(_ name: String, _ what: String? = nil) -> RegistryError {
        switch code {
        case "DENIED":
            RegistryError(kind, "pull access denied for \(name), repository does not exist or may require 'docker login': \(text)")
        case "NAME_UNKNOWN": RegistryError(kind, "repository \(name) not found: \(text)")
        case _ where isNotFound:
            // Some registries send 404 without a body, or with a page.
            RegistryError(kind, "\(what ?? "repository \(name)") not found: \(code.isEmpty ? "manifest unknown: manifest unknown" : text)")
        default: RegistryError(kind, text)
        }
    }
}
