internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import NIOCore
internal import NIOHTTP1

// The daemon itself.
extension EngineAPI {
    static let systemRoutes: [Route] = [
        Route(.POST, "/auth", logIn),
        Route(.GET, "/info") { call in
            Call.json(FieldGates.info(try JSON.value(await call.backends.system.info()), for: call.version))
        },
        Route(.GET, "/version") { call in try call.json(await call.backends.system.version()) },
        Route(.GET, "/_ping") { _ in Response(status: .ok, headers: pingHeaders, body: .bytes(ByteBuffer(string: "OK"))) },
        Route(.HEAD, "/_ping") { _ in
            var headers = pingHeaders
            headers.add(name: "Content-Length", value: "0")
            return Response(status: .ok, headers: headers)
        },
        Route(.GET, "/events") { call in
            let (since, until, filters) = (try call.moment("since"), try call.moment("until"), try call.filters())
            // Before the answer begins: afterwards it could only be cut.
            try filters.requireOnly(Filters.eventNames)
            if let since, let until, until < since {
                throw APIError.invalid(
                    "`since` time (\(call.query["since"] ?? "")) cannot be after `until` time (\(call.query["until"] ?? ""))")
            }
            let showsImagesMade = call.version >= APIVersion("1.46")
            let system = call.backends.system
            return Response(
                status: .ok, headers: ["Content-Type": "application/json"],
                body: .stream { writer in
                    try await system.events(since: since, until: until, filters: filters) { event in
                        guard showsImagesMade || event.Type != "image" || event.Action != "create" else { return }
                        try await writer.write(try JSON.encode(event) + [10])
                    }
                })
        },
        Route(.GET, "/system/df") { call in
            let known: Set<String> = ["container", "image", "volume", "build-cache"]
            let asked = call.version >= APIVersion("1.42") ? call.query.all("type") : []
            if let wrong = asked.first(where: { !known.contains($0) }) { throw APIError.invalid("unknown object type: \(wrong)") }
            let usage = try await call.backends.system.diskUsage(kinds: asked.isEmpty ? known : Set(asked))
            return Call.json(FieldGates.diskUsage(try JSON.value(usage), for: call.version))
        },
    ]

    /// Clients ask for the classic builder (1) or BuildKit (2) by this.
    private static let pingHeaders: HTTPHeaders = [
        "Builder-Version": "1", "Swarm": "inactive", "Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache",
        "Content-Type": "text/plain; charset=utf-8",
    ]
}
