internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec

// Images.
extension EngineAPI {
    static let imageRoutes: [Route] = [
        Route(.GET, "/images/json") { call in
            var filters = try call.filters()
            // Up to 1.40 a plain name could be asked for.
            if let name = call.text("filter"), call.version < APIVersion("1.41") { filters.values["reference", default: []].append(name) }
            let images = try await call.backends.images.list(
                all: call.flag("all"), filters: filters, sharedSize: call.version >= APIVersion("1.42") && call.flag("shared-size"),
                descriptor: call.version >= APIVersion("1.48"), manifests: call.version >= APIVersion("1.47") && call.flag("manifests"))
            return Call.json(.array(try images.map { FieldGates.imageSummary(try JSON.value($0), for: call.version) }))
        },
        Route(.POST, "/images/create", create),
        Route(.POST, "/images/load") { call in
            let (images, quiet, platform) = (call.backends.images, call.flag("quiet"), try call.platform(since: "1.48"))
            let source = try call.request.body.descriptor()
            return try await DelayedStream.progress { emit in
                try await images.load(source: source, quiet: quiet, platform: platform, emit: emit)
            }
        },
        Route(.GET, "/images/get") { call in
            let names = call.query.all("names")
            guard !names.isEmpty else { throw APIError.invalid("no image names given") }
            return try await save(names, call)
        },
        Route(.GET, "/images/search", search),
        Route(.POST, "/images/prune", since: "1.25") { call in
            let report = try await call.backends.images.prune(filters: call.filters())
            let deleted = try report.ImagesDeleted.map { JSONValue.array(try $0.map { try JSON.value($0) }) } ?? .null
            return Call.json(["ImagesDeleted": deleted, "SpaceReclaimed": .integer(report.SpaceReclaimed ?? 0)])
        },
        Route(.GET, "/images/{name*}/json") { call in
            let (manifests, platform) = (call.version >= APIVersion("1.48") && call.flag("manifests"), try call.platform(since: "1.49"))
            if manifests && platform != nil {
                throw APIError.invalid("conflicting options: manifests and platform options cannot both be set")
            }
            let image = try await call.backends.images.inspect(
                call.name, platform: platform, descriptor: call.version >= APIVersion("1.48"), manifests: manifests)
            return Call.json(FieldGates.image(try JSON.value(image), for: call.version))
        },
        Route(.GET, "/images/{name*}/history") { call in
            try call.json(await call.backends.images.history(call.name, platform: call.platform(since: "1.48")))
        },
        Route(.GET, "/images/{name*}/get") { call in
            try await save([call.name], call)
        },
        Route(.POST, "/images/{name*}/push", push),
        Route(.POST, "/images/{name*}/tag") { call in
            guard let repository = call.text("repo") else { throw APIError.invalid("invalid reference format: repo is empty") }
            try await call.backends.images.tag(call.name, repository: repository, tag: call.text("tag") ?? "")
            return Response(status: .created)
        },
        Route(.DELETE, "/images/{name*}") { call in
            try call.json(
                await call.backends.images.remove(
                    call.name, platforms: call.platforms("platforms", since: "1.50"), force: call.flag("force"),
                    noPrune: call.flag("noprune")))
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
        let (repository, message, changes) = (call.text("repo"), call.text("message"), call.query.all("changes"))
        guard source == "-" else {
            return try await DelayedStream.progress { emit in
                try await images.importRootfs(
                    url: source, repository: repository, tag: tag, message: message, changes: changes, platform: platform, emit: emit)
            }
        }
        let rootfs = try call.request.body.descriptor()
        return try await DelayedStream.progress { emit in
            try await images.importRootfs(
                source: rootfs, repository: repository, tag: tag, message: message, changes: changes, platform: platform, emit: emit)
        }
    }
}

extension EngineAPI {
    private static func save(_ names: [String], _ call: Call) async throws -> Response {
        let tar = try await call.backends.images.save(names: names, platform: call.platform(since: "1.48"))
        return .stream(descriptor: tar, contentType: "application/x-tar")
    }

    private static func push(_ call: Call) async throws -> Response {
        let (images, name, tag, platform) = (call.backends.images, call.name, call.text("tag"), try call.platform(since: "1.46"))
        let credentials = try await call.registryCredentialsOrBody()
        return try await DelayedStream.progress { emit in
            try await images.push(name: name, tag: tag, platform: platform, credentials: credentials, emit: emit)
        }
    }
}

extension Call {
    /// The platform that a call names; nil when it names none.
    func platform(since version: String) throws -> Platform? {
        let platforms = try platforms("platform", since: version)
        if platforms.count > 1 { throw APIError.invalid("multiple platform parameters are not supported") }
        return platforms.first
    }

    /// The platforms that a call names as JSON (`{"os": "linux", "architecture": "arm", "variant": "v7"}`).
    /// - Parameter version: since when there is the parameter; who speaks an older one is not heard, as with dockerd.
    func platforms(_ name: String, since version: String) throws -> [Platform] {
        self.version < APIVersion(version) ? [] : try query.all(name).filter { !$0.isEmpty }.map { try platform(parsing: $0, name) }
    }

    /// Refuses `os.version` and `os.features`, by which no image is chosen here.
    private func platform(parsing text: String, _ parameter: String) throws -> Platform {
        let document: JSONValue
        do { document = try JSONValue(parsing: text) } catch { throw APIError.invalid("failed to parse platform: \(error)") }
        guard case .object = document else { throw APIError.invalid("failed to parse platform: \(text) is no object") }
        func member(_ name: String) -> String { document[name]?.stringValue ?? "" }
        let (os, architecture, variant) = (member("os"), member("architecture"), member("variant"))
        let unknown = ["os.version", "os.features"].filter { document[$0].map { ![.null, "", []].contains($0) } ?? false }
        if os.isEmpty && architecture.isEmpty && !(variant.isEmpty && unknown.isEmpty) {
            throw APIError.invalid("optional platform fields provided, but OS and Architecture are missing")
        }
        if os.isEmpty || architecture.isEmpty { throw APIError.invalid("both OS and Architecture must be provided") }
        if let name = unknown.first { throw notImplemented("\(name) in query parameter \(parameter)") }
        return Platform(os: os, architecture: architecture, variant: variant.isEmpty ? nil : variant)
    }

    private func notImplemented(_ what: String) -> APIError {
        APIError(.notImplemented, "not implemented: \(what) of \(request.method) \(request.path)")
    }
}
