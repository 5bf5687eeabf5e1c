internal import HTTPServer
internal import JSON
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec

// Content discovery (distribution-spec, "Listing Tags", "Listing Referrers"; the catalog of Docker's registry).
extension RegistryServer {
    func tags(_ name: String, _ call: Call) async throws -> Response {
        var all = try await upstream?.remoteTags(of: name)?.sorted()
        if all == nil { all = try await storage.tags(in: name) }
        guard let tags = all else { throw RegistryError.unknownName(name) }
        return try page("tags", of: tags, at: "/v2/\(name)/tags/list", call.request, also: [.init(name: "name", value: .string(name))])
    }

    /// Those that the client may pull from.
    func catalog(_ call: Call) async throws -> Response {
        let names = try await storage.repositories().filter { isAllowed([.pull], $0, call.identity) }
        return try page("repositories", of: names.sorted(), at: "/v2/_catalog", call.request)
    }

    /// Referrers are found by what the manifests themselves say; so those that were pushed together with a referrers tag, by
    /// clients of registries without this endpoint, are among them. Bytes in one answer are bounded: `Link` leads on.
    func referrers(_ name: String, _ digest: Digest, _ call: Call) async throws -> Response {
        let query = call.request.query
        var found = try await storage.referrers(to: digest, in: name)
        var headers: HTTPHeaders = ["Content-Type": MediaType.ociIndex]
        if let type = query["artifactType"] {
            found.removeAll { $0.artifactType != type }
            headers.add(name: "OCI-Filters-Applied", value: "artifactType")
        }
        if let last = query["last"] { found.removeAll { $0.digest.description <= last } }
        var descriptors: [JSONValue] = []
        var size = 0
        for (index, entry) in found.enumerated() {
            let descriptor = JSONValue.object(entry.descriptor)
            size += descriptor.serialized().count
            if size > manifestLimit, index > 0 {
                let filter = query["artifactType"].map { "&artifactType=\(Self.escaped($0))" } ?? ""
                headers.add(name: "Link", value: "</v2/\(name)/referrers/\(digest)?last=\(found[index - 1].digest)\(filter)>; rel=\"next\"")
                break
            }
            descriptors.append(descriptor)
        }
        let document: JSONValue = ["schemaVersion": 2, "mediaType": .string(MediaType.ociIndex), "manifests": .array(descriptors)]
        return Response(status: .ok, headers: headers, body: .bytes(.init(bytes: document.serialized())))
    }

    /// One page of a sorted list: `n` entries behind `last`, and a Link to the next page.
    private func page(
        _ member: String, of all: [String], at path: String, _ request: Request, also: [JSONObject.Member] = []
    ) throws -> Response {
        let query = request.query
        var names = all
        if let last = query["last"] { names.removeAll { !last.utf8.lexicographicallyPrecedes($0.utf8) } }
        var link: String?
        if let text = query["n"] {
            guard let count = Int(text), count >= 0 else {
                throw RegistryError(.badRequest, "PAGINATION_NUMBER_INVALID", "invalid n: \(text)", detail: ["n": .string(text)])
            }
            if names.count > count {
                names.removeLast(names.count - count)
                if let last = names.last { link = "<\(path)?n=\(count)&last=\(Self.escaped(last))>; rel=\"next\"" }
            }
        }
        var object = JSONObject(also)
        object.append(member, .array(names.map { .string($0) }))
        var response = Self.json(.object(object))
        if let link { response.headers.add(name: "Link", value: link) }
        return response
    }

    /// For a URL's query (RFC 3986).
    static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 95, 126: result.append(byte)
            default: result += [37, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
