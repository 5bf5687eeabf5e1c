internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import NIOHTTP1

// Commands in running containers.
extension EngineAPI {
    static let execRoutes: [Route] = [
        Route(.POST, "/containers/{id*}/exec") { call in
            var request = try await call.body(ExecCreateRequest.self)
            if call.version < APIVersion("1.42") { request.ConsoleSize = nil }
            guard let command = request.Cmd, !command.isEmpty else { throw APIError.invalid("No exec command specified") }
            let id = try await call.backends.containers.execCreate(call.id, request)
            return Call.json(["Id": .string(id)], status: .created)
        },
        Route(.POST, "/exec/{id}/start") { call in
            var request = try await call.optionalBody(ExecStartRequest.self) ?? ExecStartRequest()
            if call.version < APIVersion("1.42") { request.ConsoleSize = nil }
            guard let stream = try await call.backends.containers.execStart(call.id, request) else { return Response(status: .ok) }
            let containers = call.backends.containers
            let id = call.id
            return .hijack(socket: stream.socket, upgradedContentType: call.streamType(isTerminal: stream.isTerminal)) { writer in
                try await writer.write(await containers.execBegin(id))
            }
        },
        Route(.POST, "/exec/{id}/resize") { call in
            let (rows, columns) = try call.size()
            try await call.backends.containers.execResize(call.id, rows: rows, columns: columns)
            return Response(status: .ok)
        },
        Route(.GET, "/exec/{id}/json") { call in try call.json(await call.backends.containers.execInspect(call.id)) },
    ]
}
