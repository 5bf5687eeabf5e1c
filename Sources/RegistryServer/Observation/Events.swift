internal import Glibc
internal import HTTPServer
internal import JSON
internal import Linux
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec

/// Tells the world what has happened to content: one event of Docker distribution's notification format ("Registry
/// notifications", `application/vnd.docker.distribution.events.v2+json`) for each push, pull, mount and deletion.
struct Events: Sendable {
    let notifiers: [Notifier]
    /// This server, and this run of it.
    let source: (address: String, instance: String)

    private enum Kind: String { case push, pull, mount, delete }

    func manifestPushed(_ entry: ManifestEntry, _ reference: RegistryPath.Reference, tags: [String], in name: String, _ call: Call) {
        for tag in tags.isEmpty ? [nil] : tags.map(Optional.some) {
            send(.push, call) { target(entry.digest, entry.size, entry.mediaType, in: name, "manifests", tag: tag) }
        }
    }

    func manifestPulled(_ entry: ManifestEntry, _ reference: RegistryPath.Reference, in name: String, _ call: Call) {
        var tag: String?
        if case .tag(let text) = reference { tag = text }
        send(.pull, call) { target(entry.digest, entry.size, entry.mediaType, in: name, "manifests", tag: tag) }
    }

    func blobPushed(_ digest: Digest, size: Int, in name: String, _ call: Call) {
        send(.push, call) { target(digest, size, "application/octet-stream", in: name, "blobs") }
    }

    func blobPulled(_ digest: Digest, size: Int, in name: String, _ call: Call) {
        send(.pull, call) { target(digest, size, "application/octet-stream", in: name, "blobs") }
    }

    func mounted(_ digest: Digest, from: String, in name: String, _ call: Call) {
        send(.mount, call) {
            var object = target(digest, nil, "application/octet-stream", in: name, "blobs")
            object.append("fromRepository", .string(from))
            return object
        }
    }

    func deleted(_ digest: Digest?, tag: String?, in name: String, _ call: Call) {
        send(.delete, call) {
            var object = JSONObject()
            if let digest { object.append("digest", .string(digest.description)) }
            object.append("repository", .string(name))
            if let tag { object.append("tag", .string(tag)) }
            return object
        }
    }

    private func target(
        _ digest: Digest, _ size: Int?, _ mediaType: String, in name: String, _ kind: String, tag: String? = nil
    ) -> JSONObject {
        var object = JSONObject()
        object.append("mediaType", .string(mediaType))
        if let size {
            object.append("size", .integer(Int64(size)))
            object.append("length", .integer(Int64(size)))
        }
        object.append("digest", .string(digest.description))
        object.append("repository", .string(name))
        object.append("url", .string("/v2/\(name)/\(kind)/\(digest)"))
        if let tag { object.append("tag", .string(tag)) }
        return object
    }

    private func send(_ kind: Kind, _ call: Call, _ target: () -> JSONObject) {
        let interested = notifiers.filter { $0.actions.contains(kind.rawValue) }
        guard !interested.isEmpty, let id = try? Uploads.randomName() else { return }
        let headers = call.request.headers
        let event: JSONValue = [
            "id": .string(id), "timestamp": .string(Timestamp.now().description), "action": .string(kind.rawValue),
            "target": .object(target()),
            "request": [
                "id": .string(call.id), "addr": .string(call.request.clientAddress), "host": .string(headers.first(name: "Host") ?? ""),
                "method": .string(call.request.method.rawValue), "useragent": .string(headers.first(name: "User-Agent") ?? ""),
            ],
            "actor": call.identity.user.map { ["name": .string($0)] } ?? .object(JSONObject()),
            "source": ["addr": .string(source.address), "instanceID": .string(source.instance)],
        ]
        for notifier in interested { notifier.enqueue(event) }
    }
}
