internal import AsyncHTTPClient
internal import Glibc
internal import Linux
internal import NIOCore
internal import NIOHTTP1

// Files: one PUT for small ones, for larger ones parts ("Uploading and copying objects using multipart upload").
extension S3Client {
    /// S3's own limit.
    private static let maximumParts = 10_000
    /// Parts under way at once.
    private static let width = 3

    func put(_ key: String, file path: String) async throws {
        let file = SharedFile(try await offloaded { try OwnedFD.open(path).take() })
        let size = try await offloaded { try file.size() }
        guard size > Int64(configuration.part) else {
            let whole = FileChunks(file: file, range: 0..<size)
            _ = try await send(.PUT, key, body: .file(file, whole.range, digest: try await whole.digest()))
            return
        }
        let begun = try await document(of: try await send(.POST, key, query: [("uploads", "")]), "begin upload of \(key)")
        guard let id = begun["UploadId"] else { throw ObjectStoreError(kind: .refused, description: "begin upload of \(key): no UploadId") }
        do {
            let tags = try await putParts(key, id, file, size)
            try await complete(key, id, tags)
        } catch {
            // What can't be let go now goes with the garbage.
            _ = try? await send(.DELETE, key, query: [("uploadId", id)], allowing: [404])
            throw error
        }
    }

    /// The tags of the parts, in their order.
    private func putParts(_ key: String, _ id: String, _ file: SharedFile, _ size: Int64) async throws -> [String] {
        let part = max(Int64(configuration.part), (size + Int64(Self.maximumParts) - 1) / Int64(Self.maximumParts))
        let count = Int((size + part - 1) / part)
        return try await withThrowingTaskGroup(of: (Int, String).self) { group in
            var tags = [String](repeating: "", count: count)
            for number in 0..<count {
                if number >= Self.width, let (done, tag) = try await group.next() { tags[done] = tag }
                group.addTask {
                    let chunks = FileChunks(file: file, range: Int64(number) * part..<min(size, Int64(number + 1) * part))
                    let response = try await self.send(
                        .PUT, key, query: [("partNumber", "\(number + 1)"), ("uploadId", id)],
                        body: .file(file, chunks.range, digest: try await chunks.digest()))
                    return (number, response.headers.first(name: "ETag") ?? "")
                }
            }
            for try await (done, tag) in group { tags[done] = tag }
            return tags
        }
    }

    private func complete(_ key: String, _ id: String, _ tags: [String]) async throws {
        let parts = tags.enumerated().map { "<Part><PartNumber>\($0 + 1)</PartNumber><ETag>\(XMLElement.escaped($1))</ETag></Part>" }
        let request = "<CompleteMultipartUpload>\(parts.joined())</CompleteMultipartUpload>"
        let response = try await send(.POST, key, query: [("uploadId", id)], body: .bytes(Array(request.utf8)))
        // It may fail after its head, with status 200, has been sent.
        let answer = try await document(of: response, "complete upload of \(key)")
        if answer.name == "Error" { throw Self.failure(status: 500, answer, "complete upload of \(key)") }
    }

    func abandonUploads(_ prefix: String, olderThan deadline: Int64) async throws {
        var (keyMarker, idMarker): (String?, String?)
        repeat {
            var query = [("uploads", ""), ("prefix", fullPrefix + prefix)]
            if let keyMarker { query.append(("key-marker", keyMarker)) }
            if let idMarker { query.append(("upload-id-marker", idMarker)) }
            let page = try await document(of: try await send(.GET, nil, query: query), "list uploads")
            for upload in page.all("Upload") {
                guard let key = upload["Key"].flatMap({ own($0) }), let id = upload["UploadId"],
                    let begun = Timestamp(upload["Initiated"] ?? ""), begun.seconds < deadline
                else { continue }
                _ = try await send(.DELETE, key, query: [("uploadId", id)], allowing: [404])
            }
            let isMore = page["IsTruncated"] == "true" && page["NextKeyMarker"] != keyMarker
            keyMarker = isMore ? page["NextKeyMarker"] : nil
            idMarker = isMore ? page["NextUploadIdMarker"] : nil
        } while keyMarker != nil
    }
}
