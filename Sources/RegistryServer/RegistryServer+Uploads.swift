internal import HTTPServer
internal import JSON
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec

// Uploads of blobs (distribution-spec, "Pushing blobs").
extension RegistryServer {
    func startUpload(_ name: String, _ call: Call) async throws -> Response {
        let query = call.request.query
        if let text = query["mount"], let response = try await mount(try RegistryPath.digest(text), to: name, query["from"], call) {
            return response
        }
        var algorithm = Digest.Algorithm.sha256
        if let text = query["digest-algorithm"] {
            guard let known = Digest.Algorithm(rawValue: text) else {
                throw RegistryError.badDigest("unsupported digest algorithm: \(text)")
            }
            algorithm = known
        }
        guard query["mount"] == nil, let text = query["digest"] else {
            return accepted(name, try await uploads.start(in: name, algorithm), size: 0)
        }
        let digest = try RegistryPath.digest(text)
        let id = try await uploads.start(in: name, digest.algorithm)
        do {
            _ = try await uploads.append(id, of: name, at: nil, call.request.body)
            return try await finish(id, name, digest, call)
        } catch {
            try? await uploads.remove(id, of: name)
            throw error
        }
    }

    /// Cross-repository mount. Without `from` any repository that the client may read counts. Nil: the client has to upload.
    private func mount(_ digest: Digest, to name: String, _ from: String?, _ call: Call) async throws -> Response? {
        var source = try from.map { try RegistryPath.checked(name: $0) }
        if let given = source {
            guard isAllowed([.pull], given, call.identity) else { return nil }
        } else {
            source = try await storage.repository(with: digest) { isAllowed([.pull], $0, call.identity) }
        }
        guard let source, try await gate.pass({ try await storage.mount(digest, from: source, to: name) }) else { return nil }
        events.mounted(digest, from: source, in: name, call)
        return created(name, digest)
    }

    func uploadStatus(_ name: String, _ id: String) async throws -> Response {
        var response = accepted(name, id, size: try await uploads.size(id, of: name))
        response.status = .noContent
        return response
    }

    func continueUpload(_ name: String, _ id: String, _ call: Call) async throws -> Response {
        let size = try await uploads.append(id, of: name, at: try Self.range(of: call.request), call.request.body)
        return accepted(name, id, size: size)
    }

    func finishUpload(_ name: String, _ id: String, _ call: Call) async throws -> Response {
        guard let text = call.request.query["digest"] else { throw RegistryError.badDigest("digest is missing") }
        let digest = try RegistryPath.digest(text)
        _ = try await uploads.append(id, of: name, at: try Self.range(of: call.request), call.request.body)
        return try await finish(id, name, digest, call)
    }

    func cancelUpload(_ name: String, _ id: String) async throws -> Response {
        try await uploads.remove(id, of: name)
        return Response(status: .noContent)
    }

    private func finish(_ id: String, _ name: String, _ digest: Digest, _ call: Call) async throws -> Response {
        let size = try await uploads.finish(id, of: name, digest) { file in
            try await gate.pass { try await storage.adopt(file, as: digest, in: name) }
        }
        events.blobPushed(digest, size: Int(size), in: name, call)
        return created(name, digest)
    }

    /// Where a chunk says it lies: `Content-Range: 100-199`, `bytes 100-199/*` too.
    static func range(of request: Request) throws -> Uploads.ChunkRange? {
        guard let text = request.headers.first(name: "Content-Range") else { return nil }
        let bare = (text.hasPrefix("bytes ") ? text.dropFirst(6) : text[...]).prefix { $0 != "/" }
        let halves = bare.split(separator: "-", omittingEmptySubsequences: false)
        guard halves.count == 2, let first = Int64(halves[0]), let last = Int64(halves[1]), first >= 0, last >= first - 1 else {
            throw RegistryError(.rangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "invalid Content-Range: \(text)")
        }
        // Docker's client sends `0-0` with an empty body; the length is checked only where there is one.
        let isEmpty = request.headers.first(name: "Content-Length") == "0"
        return Uploads.ChunkRange(start: first, count: isEmpty ? nil : last - first + 1)
    }

    private func accepted(_ name: String, _ id: String, size: Int64) -> Response {
        Response(
            status: .accepted,
            headers: ["Location": "/v2/\(name)/blobs/uploads/\(id)", "Range": "0-\(max(0, size - 1))", "Docker-Upload-UUID": id])
    }

    private func created(_ name: String, _ digest: Digest) -> Response {
        Response(
            status: .created, headers: ["Location": "/v2/\(name)/blobs/\(digest)", "Docker-Content-Digest": digest.description])
    }
}
