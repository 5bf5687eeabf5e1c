// RegistryServer: the OCI distribution protocol (distribution-spec 1.1) over directories.
//
// `RegistryServer.handle` is the HTTPServer's handler: it takes a path apart into repository name and resource
// (`RegistryPath`) and calls the endpoints (RegistryServer+Blobs, +Uploads, +Manifests). `RegistryStore` keeps each
// repository as an OCI image layout, so that other tools can read it in place. Used by clipper-registry.
//
// Not built: authentication, TLS, referrers (clients fall back to the tag schema), garbage collection of blobs that no
// manifest names, pull-through. See docs/registry.md.
public import HTTPServer
internal import JSON
internal import Linux
public import Logging
internal import NIOCore
internal import NIOHTTP1

/// A registry over one directory.
public struct RegistryServer: Sendable {
    let store: RegistryStore
    let uploads: Uploads
    let logger: Logger

    /// Opens or makes the registry in `root`. Uploads that an earlier server left unfinished are removed.
    public init(root: String, logger: Logger) throws {
        store = try RegistryStore(root: root)
        uploads = try Uploads(directory: "\(root)/uploads")
        self.logger = logger
    }

    /// Answers one request; throws only `CancellationError`.
    @Sendable public func handle(_ request: Request) async throws -> Response {
        var response: Response
        do {
            response = try await dispatch(request)
        } catch let error as CancellationError {
            throw error
        } catch let error as RegistryError {
            response = error.response
        } catch let error as HTTPServerError {
            response = RegistryError(.badRequest, "BLOB_UPLOAD_INVALID", error.description).response
        } catch {
            logger.error("request failed", metadata: ["target": "\(request.target)", "error": "\(error)"])
            response = RegistryError(.internalServerError, "UNKNOWN", "internal error").response
        }
        response.headers.add(name: "Docker-Distribution-Api-Version", value: "registry/2.0")
        return response
    }

    private func dispatch(_ request: Request) async throws -> Response {
        let isRead = request.method == .GET || request.method == .HEAD
        switch (try RegistryPath(request.path), request.method) {
        case (.base, _) where isRead: return Self.json([:])
        case (.catalog, .GET): return try page("repositories", of: store.repositories(), at: "/v2/_catalog", request)
        case (.tags(let name), .GET): return try tags(name, request)
        case (.manifest(let name, let reference), _) where isRead: return try manifest(name, reference)
        case (.manifest(let name, let reference), .PUT): return try await putManifest(name, reference, request)
        case (.manifest(let name, let reference), .DELETE): return try deleteManifest(name, reference)
        case (.blob(let name, let digest), _) where isRead: return try blob(name, digest, request)
        case (.blob(let name, let digest), .DELETE): return try deleteBlob(name, digest)
        case (.uploads(let name), .POST): return try await startUpload(name, request)
        case (.upload(let name, let id), .GET): return try uploadStatus(name, id)
        case (.upload(let name, let id), .PATCH): return try await continueUpload(name, id, request)
        case (.upload(let name, let id), .PUT): return try await finishUpload(name, id, request)
        case (.upload(let name, let id), .DELETE):
            try uploads.remove(id, of: name)
            return Response(status: .noContent)
        default: throw RegistryError(.methodNotAllowed, "UNSUPPORTED", "\(request.method) is not supported here")
        }
    }

    static func json(_ value: JSONValue) -> Response { .bytes(value.serialized(), contentType: "application/json") }

    /// One page of a sorted list: `n` entries behind `last`, and a Link to the next page.
    func page(_ member: String, of all: [String], at path: String, _ request: Request, also: JSONObject = JSONObject()) throws -> Response {
        let query = request.query
        var names = all.sorted()
        if let last = query["last"] { names.removeAll { $0 <= last } }
        var response: Response
        var link: String?
        if let text = query["n"] {
            guard let count = Int(text), count >= 0 else {
                throw RegistryError(.badRequest, "PAGINATION_NUMBER_INVALID", "invalid n: \(text)")
            }
            if names.count > count {
                names.removeLast(names.count - count)
                if let last = names.last { link = "<\(path)?n=\(count)&last=\(last)>; rel=\"next\"" }
            }
        }
        var object = also
        object.append(member, .array(names.map { .string($0) }))
        response = Self.json(.object(object))
        if let link { response.headers.add(name: "Link", value: link) }
        return response
    }
}
