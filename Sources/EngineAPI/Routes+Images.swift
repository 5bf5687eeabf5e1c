internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import NIOCore
internal import NIOHTTP1

// Images.
extension EngineAPI {
    static let imageRoutes: [Route] = [
        Route(.GET, "/images/json") { call in
            try call.refuse("manifests")
            var filters = try call.filters()
            // Up to 1.40 a plain name could be asked for.
            if let name = call.text("filter"), call.version < APIVersion("1.41") { filters.values["reference", default: []].append(name) }
            let images = try await call.backends.images.list(
                all: call.flag("all"), filters: filters, sharedSize: call.version >= APIVersion("1.42") && call.flag("shared-size"),
                digests: call.flag("digests"))
            return Call.json(.array(try images.map { FieldGates.imageSummary(try JSON.value($0), for: call.version) }))
        },
        Route(.POST, "/images/create", without: "fromSrc=URL", create),
        Route(.POST, "/images/load") { call in
            try call.refuse("platform")
            let (images, quiet, source) = (call.backends.images, call.flag("quiet"), try call.request.body.descriptor())
            return try await DelayedStream.progress { emit in try await images.load(source: source, quiet: quiet, emit: emit) }
        },
        Route(.GET, "/images/get") { call in
            try call.refuse("platform")
            let names = call.query.all("names")
            guard !names.isEmpty else { throw APIError.invalid("no image names given") }
            return .stream(descriptor: try await call.backends.images.save(names: names), contentType: "application/x-tar")
        },
        Route(.GET, "/images/search", search),
        Route(.POST, "/images/prune", since: "1.25") { call in
            let report = try await call.backends.images.prune(filters: call.filters())
            let deleted = try report.ImagesDeleted.map { JSONValue.array(try $0.map { try JSON.value($0) }) } ?? .null
            return Call.json(["ImagesDeleted": deleted, "SpaceReclaimed": .integer(report.SpaceReclaimed ?? 0)])
        },
        Route(.GET, "/images/{name*}/json") { call in
            try call.refuse("manifests", "platform")
            let image = try await call.backends.images.inspect(call.name)
            return Call.json(FieldGates.image(try JSON.value(image), for: call.version))
        },
        Route(.GET, "/images/{name*}/history") { call in
            try call.refuse("platform")
            return try call.json(await call.backends.images.history(call.name))
        },
        Route(.GET, "/images/{name*}/get") { call in
            try call.refuse("platform")
            return .stream(descriptor: try await call.backends.images.save(names: [call.name]), contentType: "application/x-tar")
        },
        Route(.POST, "/images/{name*}/push", without: "platform", push),
        Route(.POST, "/images/{name*}/tag") { call in
            guard let repository = call.text("repo") else { throw APIError.invalid("invalid reference format: repo is empty") }
            try await call.backends.images.tag(call.name, repository: repository, tag: call.text("tag") ?? "")
            return Response(status: .created)
        },
        Route(.DELETE, "/images/{name*}") { call in
            try call.refuse("platforms")
            return try call.json(
                await call.backends.images.remove(call.name, force: call.flag("force"), noPrune: call.flag("noprune")))
        },
    ]

    /// `docker pull` and `docker import` are one call.
    private static func create(_ call: Call) async throws -> Response {
        let images = call.backends.images
        // Before 1.32 there was no choice of platforms.
        let (tag, platform) = (call.text("tag"), call.version < APIVersion("1.32") ? nil : call.text("platform"))
        if let name = call.text("fromImage") {
            let credentials = call.registryCredentials()
            return try await DelayedStream.progress { emit in
                try await images.pull(name: name, tag: tag, platform: platform, credentials: credentials, emit: emit)
            }
        }
        guard let source = call.text("fromSrc") else { throw APIError.invalid("either fromImage or fromSrc must be given") }
        guard source == "-" else { throw APIError(.notImplemented, "not implemented: import from a URL (fromSrc=\(source))") }
        let (repository, message, changes) = (call.text("repo"), call.text("message"), call.query.all("changes"))
        let rootfs = try call.request.body.descriptor()
        return try await DelayedStream.progress { emit in
            try await images.importRootfs(
                source: rootfs, repository: repository, tag: tag, message: message, changes: changes, platform: platform, emit: emit)
        }
    }
}

extension EngineAPI {
    private static func push(_ call: Call) async throws -> Response {
        try call.refuse("platform")
        let (images, name, tag) = (call.backends.images, call.name, call.text("tag"))
        let credentials = try await call.registryCredentialsOrBody()
        return try await DelayedStream.progress { emit in
            try await images.push(name: name, tag: tag, credentials: credentials, emit: emit)
        }
    }
}

extension Call {
    /// Refuses query parameters that are known, given, and not built.
    func refuse(_ names: String...) throws {
        for name in names where flag(name) {
            throw APIError(.notImplemented, "not implemented: query parameter \(name) of \(request.method) \(request.path)")
        }
    }
}
