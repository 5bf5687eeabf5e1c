internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import NIOHTTP1

// What belongs to a swarm, to plugins, and to BuildKit.
extension EngineAPI {
    static let otherRoutes: [Route] = [
        Route(.GET, "/plugins") { _ in Call.json([]) },
        Route(.GET, "/plugins/privileges", action: .notBuilt),
        Route(.POST, "/plugins/pull", action: .notBuilt),
        Route(.POST, "/plugins/create", action: .notBuilt),
        // `docker inspect` asks here last.
        Route(.GET, "/plugins/{name*}/json", noPlugin),
        Route(.DELETE, "/plugins/{name*}", noPlugin),
        Route(.POST, "/plugins/{name*}/enable", noPlugin),
        Route(.POST, "/plugins/{name*}/disable", noPlugin),
        Route(.POST, "/plugins/{name*}/upgrade", noPlugin),
        Route(.POST, "/plugins/{name*}/push", noPlugin),
        Route(.POST, "/plugins/{name*}/set", noPlugin),
        Route(.GET, "/nodes", action: .noSwarm),
        Route(.GET, "/nodes/{id}", action: .noSwarm),
        Route(.DELETE, "/nodes/{id}", action: .noSwarm),
        Route(.POST, "/nodes/{id}/update", action: .noSwarm),
        Route(.GET, "/swarm", action: .noSwarm),
        Route(.POST, "/swarm/init", action: .notBuilt),
        Route(.POST, "/swarm/join", action: .notBuilt),
        Route(.POST, "/swarm/leave", action: .notInSwarm),
        Route(.POST, "/swarm/update", action: .noSwarm),
        Route(.GET, "/swarm/unlockkey", action: .noSwarm),
        Route(.POST, "/swarm/unlock", action: .noSwarm),
        Route(.GET, "/services", action: .noSwarm),
        Route(.POST, "/services/create", action: .noSwarm),
        Route(.GET, "/services/{id}", action: .noSwarm),
        Route(.DELETE, "/services/{id}", action: .noSwarm),
        Route(.POST, "/services/{id}/update", action: .noSwarm),
        Route(.GET, "/services/{id}/logs", action: .noSwarm),
        Route(.GET, "/tasks", action: .noSwarm),
        Route(.GET, "/tasks/{id}", action: .noSwarm),
        Route(.GET, "/tasks/{id}/logs", action: .noSwarm),
        Route(.GET, "/secrets", action: .noSwarm),
        Route(.POST, "/secrets/create", action: .noSwarm),
        Route(.GET, "/secrets/{id}", action: .noSwarm),
        Route(.DELETE, "/secrets/{id}", action: .noSwarm),
        Route(.POST, "/secrets/{id}/update", action: .noSwarm),
        Route(.GET, "/configs", action: .noSwarm),
        Route(.POST, "/configs/create", action: .noSwarm),
        Route(.GET, "/configs/{id}", action: .noSwarm),
        Route(.DELETE, "/configs/{id}", action: .noSwarm),
        Route(.POST, "/configs/{id}/update", action: .noSwarm),
        Route(.GET, "/distribution/{name*}/json", distribution),
        Route(.POST, "/session", action: .notBuilt),
    ]

    /// None is ever installed.
    private static func noPlugin(_ call: Call) throws -> Response { throw EngineError.notFound("plugin \"\(call.name)\" not found") }
}
