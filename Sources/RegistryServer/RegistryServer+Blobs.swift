internal import CLinux
internal import HTTPServer
internal import Linux
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec

// Blobs and their uploads (distribution-spec, "Pulling blobs", "Pushing blobs").
extension RegistryServer {
    func blob(_ name: String, _ digest: Digest, _ request: Request) throws -> Response {
        let file: OwnedFD
        do { file = try OwnedFD.open(store.blobPath(name, digest)) } catch { throw RegistryError.unknownBlob(digest) }
        let size = Int(try file.status().st_size)
        var headers: HTTPHeaders = [
            "Content-Type": "application/octet-stream", "Docker-Content-Digest": digest.description, "Accept-Ranges": "bytes",
            "Etag": "\"\(digest)\"",
        ]
        guard request.method == .GET, let text = request.headers.first(name: "Range"), text.hasPrefix("bytes="), !text.contains(",") else {
            return Response(status: .ok, headers: headers, body: .file(SharedDescriptor(owning: file.take()), offset: 0, length: size))
        }
        guard let range = Self.range(text.dropFirst(6), size: size) else {
            throw RegistryError(.rangeNotSatisfiable, "RANGE_INVALID", "invalid range \(text) of \(size) bytes")
        }
        headers.add(name: "Content-Range", value: "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)")
        return Response(
            status: .partialContent, headers: headers,
            body: .file(SharedDescriptor(owning: file.take()), offset: range.lowerBound, length: range.count))
    }

    /// `5-9`, `5-`, `-3` (RFC 9110 14.1.2); nil when it can't be satisfied.
    static func range(_ text: Substring, size: Int) -> Range<Int>? {
        let halves = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        if halves[0].isEmpty {
            guard let count = Int(halves[1]), count > 0, size > 0 else { return nil }
            return max(0, size - count)..<size
        }
        guard let first = Int(halves[0]), first >= 0, first < size else { return nil }
        if halves[1].isEmpty { return first..<size }
        guard let last = Int(halves[1]), last >= first else { return nil }
        return first..<min(last, size - 1) + 1
    }

    func deleteBlob(_ name: String, _ digest: Digest) throws -> Response {
        try store.removeBlob(name, digest)
        return Response(status: .accepted)
    }

    func startUpload(_ name: String, _ request: Request) async throws -> Response {
        let query = request.query
        if let text = query["mount"], let source = query["from"] {
            let digest = try RegistryPath.digest(text)
            if try store.mount(digest, from: try RegistryPath.checked(name: source), to: name) { return created(name, digest) }
        }
        let id = try uploads.start(in: name)
        guard let text = query["digest"] else { return accepted(name, id, size: 0) }
        do {
            let digest = try RegistryPath.digest(text)
            _ = try await uploads.append(id, of: name, at: 0, request.body)
            try uploads.finish(id, of: name, digest) { try store.adopt($0, as: digest, in: name) }
            return created(name, digest)
        } catch {
            try? uploads.remove(id, of: name)
            throw error
        }
    }

    func uploadStatus(_ name: String, _ id: String) throws -> Response {
        var response = accepted(name, id, size: try uploads.size(id, of: name))
        response.status = .noContent
        return response
    }

    func continueUpload(_ name: String, _ id: String, _ request: Request) async throws -> Response {
        accepted(name, id, size: try await uploads.append(id, of: name, at: try Self.start(of: request), request.body))
    }

    func finishUpload(_ name: String, _ id: String, _ request: Request) async throws -> Response {
        guard let text = request.query["digest"] else { throw RegistryError.badDigest("digest is missing") }
        let digest = try RegistryPath.digest(text)
        _ = try await uploads.append(id, of: name, at: try Self.start(of: request), request.body)
        try uploads.finish(id, of: name, digest) { try store.adopt($0, as: digest, in: name) }
        return created(name, digest)
    }

    /// Where a chunk says it begins: `Content-Range: 100-199`.
    private static func start(of request: Request) throws -> Int64? {
        guard let text = request.headers.first(name: "Content-Range") else { return nil }
        let bare = text.hasPrefix("bytes ") ? text.dropFirst(6) : text[...]
        guard let first = bare.split(separator: "-").first, let start = Int64(first) else {
            throw RegistryError(.rangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "invalid Content-Range: \(text)")
        }
        return start
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
