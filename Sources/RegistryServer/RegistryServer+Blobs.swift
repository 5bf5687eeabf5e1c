internal import HTTPServer
internal import Linux
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec

// Blobs (distribution-spec, "Pulling blobs", "Deleting Blobs").
extension RegistryServer {
    func blob(_ name: String, _ digest: Digest, _ call: Call) async throws -> Response {
        var found = try await storage.blob(digest, in: name)
        let etag = "\"\(digest)\""
        var headers: HTTPHeaders = [
            "Content-Type": "application/octet-stream", "Docker-Content-Digest": digest.description, "Accept-Ranges": "bytes",
            "Etag": etag, "Cache-Control": "max-age=31536000",
        ]
        if found == nil, let upstream {
            if call.request.method == .HEAD {
                guard let size = try await upstream.blobSize(digest, in: name) else { throw RegistryError.unknownBlob(digest) }
                headers.add(name: "Content-Length", value: "\(size)")
                return Response(status: .ok, headers: headers, body: .none)
            }
            found = try await upstream.blob(digest, in: name)
        }
        guard let found else { throw RegistryError.unknownBlob(digest) }
        if call.has(etag) { return Response(status: .notModified, headers: headers) }
        if call.request.method == .HEAD {
            headers.add(name: "Content-Length", value: "\(found.size)")
            // Who asks for a blob may be about to push a manifest that names it: it counts as just pushed.
            if !isReadOnly { try await gate.pass { try await storage.touch(digest, in: name, ifOlderThan: touchAge) } }
            return Response(status: .ok, headers: headers, body: .none)
        }
        events.blobPulled(digest, size: found.size, in: name, call)
        func answer(_ status: HTTPResponseStatus, _ range: Range<Int>) -> Response {
            headers.add(name: "Content-Length", value: "\(range.count)")
            return Response(status: status, headers: headers, body: found.body(range))
        }
        let whole = 0..<found.size
        // Several ranges at once may be answered with the whole (RFC 9110, 14.2).
        guard let text = call.request.headers.first(name: "Range"), text.hasPrefix("bytes="), !text.contains(",") else {
            return answer(.ok, whole)
        }
        if let condition = call.request.headers.first(name: "If-Range"), condition != etag { return answer(.ok, whole) }
        guard let range = Self.range(text.dropFirst(6), size: found.size) else {
            throw RegistryError(
                .rangeNotSatisfiable, "RANGE_INVALID", "invalid range \(text) of \(found.size) bytes",
                headers: ["Content-Range": "bytes */\(found.size)"])
        }
        headers.add(name: "Content-Range", value: "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(found.size)")
        return answer(.partialContent, range)
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

    func deleteBlob(_ name: String, _ digest: Digest, _ call: Call) async throws -> Response {
        guard try await gate.pass({ try await storage.removeBlob(digest, from: name) }) else { throw RegistryError.unknownBlob(digest) }
        events.deleted(digest, tag: nil, in: name, call)
        return Response(status: .accepted)
    }
}
