internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import NIOHTTP1

// Calls that Docker's API does not have, apart from the reference's in table and documentation. Clients that know only Docker
// never meet them.
extension EngineAPI {
    static let ownRoutes: [Route] =
        manifestRoutes + [
            Route(.POST, "/system/check") { call in
                try call.json(await call.backends.system.check(deep: call.flag("deep"), repair: call.flag("repair")))
            },
            Route(.POST, "/system/streams/prune") { call in try call.json(await call.backends.system.pruneStreams()) },
            Route(.GET, "/system/usage") { call in try call.json(await call.backends.system.usage()) },
        ]
}
