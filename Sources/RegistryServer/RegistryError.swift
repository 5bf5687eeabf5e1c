internal import HTTPServer
internal import JSON
internal import NIOHTTP1

/// An error in the specification's shape: `{"errors":[{"code":…,"message":…,"detail":…}]}`.
///
/// | code | status | when |
/// |---|---|---|
/// | BLOB_UNKNOWN | 404 | no such blob in the repository |
/// | BLOB_UPLOAD_INVALID | 416, 409, 400 | a chunk out of order; two requests for one upload; a body that broke off |
/// | BLOB_UPLOAD_UNKNOWN | 404 | no such upload |
/// | DIGEST_INVALID | 400 | malformed, unsupported, or not the content's |
/// | MANIFEST_BLOB_UNKNOWN | 404 | a manifest names content that isn't there |
/// | MANIFEST_INVALID | 400, 413 | no manifest; too large |
/// | MANIFEST_UNKNOWN | 404 | no such manifest in the repository |
/// | NAME_INVALID, NAME_UNKNOWN | 400, 404 | malformed; no such repository |
/// | TAG_INVALID | 400 | malformed |
/// | SIZE_INVALID | 400 | a body shorter or longer than its Content-Range |
/// | RANGE_INVALID | 416 | a Range outside the blob |
/// | PAGINATION_NUMBER_INVALID | 400 | `n` is no number |
/// | UNAUTHORIZED, DENIED | 401, 403 | no or wrong credentials; no right to it |
/// | UNSUPPORTED | 405, 404 | switched off (read-only, no deletion), or no such endpoint |
/// | TOOMANYREQUESTS | 429 | the registry behind the cache said so |
/// | UNKNOWN | 500, 502, 503, 504 | the store or the registry behind the cache failed |
struct RegistryError: Error, CustomStringConvertible {
    let status: HTTPResponseStatus
    let code: String
    let message: String
    var detail: JSONValue?
    var headers: HTTPHeaders = [:]

    init(_ status: HTTPResponseStatus, _ code: String, _ message: String, detail: JSONValue? = nil, headers: HTTPHeaders = [:]) {
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.headers = headers
    }

    var description: String { message }

    var response: Response {
        var error = JSONObject([.init(name: "code", value: .string(code)), .init(name: "message", value: .string(message))])
        if let detail { error.append("detail", detail) }
        let body: JSONValue = ["errors": [.object(error)]]
        var response = Response.bytes(body.serialized(), contentType: "application/json", status: status)
        response.headers.add(contentsOf: headers)
        return response
    }

    static func unknownBlob(_ digest: some CustomStringConvertible) -> RegistryError {
        RegistryError(.notFound, "BLOB_UNKNOWN", "blob unknown to registry: \(digest)", detail: ["digest": .string("\(digest)")])
    }
    static func unknownName(_ name: String) -> RegistryError {
        RegistryError(.notFound, "NAME_UNKNOWN", "repository name not known to registry: \(name)", detail: ["name": .string(name)])
    }
    static func unknownManifest(_ reference: some CustomStringConvertible) -> RegistryError {
        RegistryError(.notFound, "MANIFEST_UNKNOWN", "manifest unknown: \(reference)", detail: ["reference": .string("\(reference)")])
    }
    static let unknownUpload = RegistryError(.notFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    static func badDigest(_ text: String) -> RegistryError { RegistryError(.badRequest, "DIGEST_INVALID", text) }
    static func badManifest(_ reason: String) -> RegistryError {
        RegistryError(.badRequest, "MANIFEST_INVALID", "invalid manifest: \(reason)")
    }
}
