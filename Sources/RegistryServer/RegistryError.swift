internal import HTTPServer
internal import JSON
internal import NIOHTTP1

/// An error in the specification's shape: `{"errors":[{"code":…,"message":…}]}`.
struct RegistryError: Error, CustomStringConvertible {
    let status: HTTPResponseStatus
    let code: String
    let message: String

    init(_ status: HTTPResponseStatus, _ code: String, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    var description: String { message }

    var response: Response {
        let body: JSONValue = ["errors": [["code": .string(code), "message": .string(message)]]]
        return .bytes(body.serialized(), contentType: "application/json", status: status)
    }

    static func unknownBlob(_ digest: some CustomStringConvertible) -> RegistryError {
        RegistryError(.notFound, "BLOB_UNKNOWN", "blob unknown to registry: \(digest)")
    }
    static func unknownName(_ name: String) -> RegistryError {
        RegistryError(.notFound, "NAME_UNKNOWN", "repository name not known to registry: \(name)")
    }
    static func unknownManifest(_ reference: some CustomStringConvertible) -> RegistryError {
        RegistryError(.notFound, "MANIFEST_UNKNOWN", "manifest unknown: \(reference)")
    }
    static let unknownUpload = RegistryError(.notFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    static func badDigest(_ text: String) -> RegistryError { RegistryError(.badRequest, "DIGEST_INVALID", text) }
}
