internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import NIOHTTP1

// Building images.
extension EngineAPI {
    static let buildRoutes: [Route] = [
        Route(.POST, "/build") { call in
            let query = try call.buildQuery()
            let (builds, credentials) = (call.backends.builds, call.registryConfig())
            let context = try call.request.body.descriptor()
            return try await DelayedStream.progress { emit in
                try await builds.build(query, credentials: credentials, context: context, emit: emit)
            }
        },
        Route(.POST, "/build/prune", since: "1.31") { call in
            let report = try await call.backends.builds.prune(try call.buildPruneQuery())
            return Call.json(["CachesDeleted": .names(report.CachesDeleted), "SpaceReclaimed": .integer(report.SpaceReclaimed ?? 0)])
        },
        Route(.POST, "/commit") { call in
            guard let container = call.text("container") else { throw APIError.invalid("container: name or ID is missing") }
            var request = CommitRequest(container: container)
            request.repository = call.text("repo")
            request.tag = call.text("tag")
            request.comment = call.text("comment")
            request.author = call.text("author")
            request.pauses = call.flag("pause", default: true)
            // One change a line, in any number of values.
            request.changes = call.query.all("changes").flatMap { $0.split(separator: "\n").map(String.init) }
            let override = try await call.optionalBody(ContainerConfig.self)
            return Call.json(["Id": .string(try await call.backends.images.commit(request, override: override))], status: .created)
        },
    ]
}

extension Call {
    /// The query of `POST /build`. What the classic builder can't do is refused.
    func buildQuery() throws -> BuildQuery {
        var build = BuildQuery()
        build.version = text("version") ?? "1"
        guard build.version == "1" else {
            throw APIError(.notImplemented, "not implemented: building with BuildKit (version=\(build.version)); set DOCKER_BUILDKIT=0")
        }
        if let limits = try document("ulimits", [JSONValue].self), !limits.isEmpty { throw unbuilt("ulimits") }
        if let options = try document("securityopt", [String].self), !options.isEmpty { throw unbuilt("securityopt") }
        if let isolation = text("isolation"), isolation != "default" { throw unbuilt("isolation=\(isolation)") }
        build.dockerfile = text("dockerfile") ?? build.dockerfile
        build.tags = query.all("t").filter { !$0.isEmpty }
        build.buildArguments = try document("buildargs", [String: String?].self) ?? [:]
        build.labels = try document("labels", [String: String].self) ?? [:]
        build.cacheFrom = try document("cachefrom", [String].self) ?? []
        build.target = text("target") ?? ""
        build.noCache = flag("nocache")
        build.pull = flag("pull")
        build.remove = flag("rm", default: true)
        build.forceRemove = flag("forcerm")
        build.quiet = flag("q")
        build.squash = flag("squash")
        build.networkMode = text("networkmode") ?? ""
        build.platform = text("platform") ?? ""
        build.remote = text("remote") ?? ""
        build.outputs = text("outputs") ?? ""
        build.extraHosts = query.all("extrahosts").filter { !$0.isEmpty }
        build.cgroupParent = text("cgroupparent") ?? ""
        build.cpusetCpus = text("cpusetcpus") ?? ""
        build.cpusetMems = text("cpusetmems") ?? ""
        build.memory = try number("memory", Int64.self) ?? 0
        build.memorySwap = try number("memswap", Int64.self) ?? 0
        build.cpuShares = try number("cpushares", Int64.self) ?? 0
        build.cpuPeriod = try number("cpuperiod", Int64.self) ?? 0
        build.cpuQuota = try number("cpuquota", Int64.self) ?? 0
        build.shmSize = try number("shmsize", Int64.self) ?? 0
        return build
    }

    /// The query of `POST /build/prune`. `keep-storage` is what older clients call `reserved-space`.
    func buildPruneQuery() throws -> BuildPruneQuery {
        var prune = BuildPruneQuery()
        prune.all = flag("all")
        prune.filters = try filters()
        let isOld = version < APIVersion("1.48")
        if !isOld {
            prune.reserved = try bytes("reserved-space")
            prune.maxUsed = try bytes("max-used-space")
            prune.minFree = try bytes("min-free-space")
        }
        if prune.reserved == 0 { prune.reserved = try bytes("keep-storage") }
        return prune
    }

    private func bytes(_ name: String) throws -> Int64 {
        guard let value = text(name) else { return 0 }
        guard let bytes = Int64(value) else {
            throw APIError.invalid(
                "\(name) is in bytes and expects an integer, got \(value): strconv.Atoi: parsing \"\(value)\": invalid syntax")
        }
        return bytes
    }

    private func unbuilt(_ what: String) -> APIError { APIError(.notImplemented, "not implemented: \(what) in a build") }
}
