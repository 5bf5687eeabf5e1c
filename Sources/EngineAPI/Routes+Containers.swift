internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import NIOCore
internal import NIOHTTP1

// Containers: life cycle, lists, streams.
extension EngineAPI {
    static let containerRoutes: [Route] = [
        Route(.GET, "/containers/json") { call in
            let limit = try call.number("limit").flatMap { $0 > 0 ? $0 : nil }
            let containers = try await call.backends.containers.list(
                all: call.flag("all"), limit: limit, size: call.flag("size"), filters: call.filters())
            return Response(
                status: .ok, headers: ["Content-Type": "application/json"],
                body: .bytes(try call.listings.encode(containers, for: call.version)))
        },
        Route(.POST, "/containers/create") { call in
            var request = try await call.body(ContainerCreateRequest.self)
            let warnings = try RequestGates.create(&request, for: call.version)
            let platform = call.version < APIVersion("1.41") ? nil : call.text("platform")
            var answer = try await call.backends.containers.create(name: call.text("name"), platform: platform, request: request)
            answer.Warnings += warnings
            return try call.json(answer, status: .created)
        },
        Route(.GET, "/containers/{id*}/json") { call in
            let inspect = try await call.backends.containers.inspect(call.id, size: call.flag("size"))
            return Call.json(FieldGates.container(try JSON.value(inspect), for: call.version))
        },
        Route(.GET, "/containers/{id*}/top") { call in
            try call.json(await call.backends.containers.top(call.id, arguments: call.text("ps_args") ?? "-ef"))
        },
        Route(.GET, "/containers/{id*}/logs", logs),
        Route(.GET, "/containers/{id*}/changes") { call in
            let changes = try await call.backends.containers.changes(call.id)
            // Go's nil slice, as an unchanged container has it.
            return changes.isEmpty ? Call.json(.null) : try call.json(changes)
        },
        Route(.GET, "/containers/{id*}/export") { call in
            .stream(descriptor: try await call.backends.containers.export(call.id), contentType: "application/octet-stream")
        },
        Route(.GET, "/containers/{id*}/stats", stats),
        Route(.POST, "/containers/{id*}/resize") { call in
            let (rows, columns) = try call.size()
            try await call.backends.containers.resize(call.id, rows: rows, columns: columns)
            return Response(status: .ok)
        },
        Route(.POST, "/containers/{id*}/start") { call in
            if let body = try await call.optionalBody(JSONValue.self), body != [:], !body.isNull {
                if call.version < APIVersion("1.24") { throw APIError(.notImplemented, "not implemented: HostConfig in a start") }
                throw APIError.invalid("starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24")
            }
            try await call.backends.containers.start(call.id, detachKeys: try call.detachKeys())
            return Call.noContent
        },
        Route(.POST, "/containers/{id*}/stop") { call in
            try await call.backends.containers.stop(call.id, timeout: call.number("t"), signal: call.stopSignal())
            return Call.noContent
        },
        Route(.POST, "/containers/{id*}/restart") { call in
            try await call.backends.containers.restart(call.id, timeout: call.number("t"), signal: call.stopSignal())
            return Call.noContent
        },
        Route(.POST, "/containers/{id*}/kill") { call in
            try await call.backends.containers.kill(call.id, signal: call.text("signal"))
            return Call.noContent
        },
        Route(.POST, "/containers/{id*}/update") { call in
            var request = try await call.body(HostConfig.self)
            if call.version < APIVersion("1.40") { request.PidsLimit = nil }
            if call.version >= APIVersion("1.42") { request.KernelMemory = nil }
            let warnings = try await call.backends.containers.update(call.id, request)
            return Call.json(["Warnings": .names(warnings.isEmpty ? nil : warnings)])
        },
        Route(.POST, "/containers/{id*}/rename") { call in
            guard let name = call.text("name") else { throw APIError.invalid("Neither old nor new names may be empty") }
            try await call.backends.containers.rename(call.id, to: name)
            return Call.noContent
        },
        Route(.POST, "/containers/{id*}/pause") { call in
            try await call.backends.containers.pause(call.id)
            return Call.noContent
        },
        Route(.POST, "/containers/{id*}/unpause") { call in
            try await call.backends.containers.unpause(call.id)
            return Call.noContent
        },
        Route(.POST, "/containers/{id*}/attach", attach),
        Route(.GET, "/containers/{id*}/attach/ws", attachWebSocket),
        Route(.POST, "/containers/{id*}/wait", wait),
        Route(.DELETE, "/containers/{id*}") { call in
            try await call.backends.containers.remove(
                call.id, force: call.flag("force"), volumes: call.flag("v"), link: call.flag("link"))
            return Call.noContent
        },
        Route(.HEAD, "/containers/{id*}/archive") { call in
            let status = try await call.backends.containers.archiveStatus(call.id, path: call.archivePath())
            return Response(status: .ok, headers: ["X-Docker-Container-Path-Stat": Base64.encode(status.serialized())])
        },
        Route(.GET, "/containers/{id*}/archive") { call in
            let (status, tar) = try await call.backends.containers.archiveGet(call.id, path: call.archivePath())
            var response = Response.stream(descriptor: tar, contentType: "application/x-tar")
            response.headers.add(name: "X-Docker-Container-Path-Stat", value: Base64.encode(status.serialized()))
            return response
        },
        Route(.PUT, "/containers/{id*}/archive") { call in
            let path = try call.archivePath()
            try await call.backends.containers.archivePut(
                call.id, path: path, noOverwriteDirNonDir: call.flag("noOverwriteDirNonDir"), copyUIDGID: call.flag("copyUIDGID"),
                tar: call.request.body.descriptor())
            return Response(status: .ok)
        },
        Route(.POST, "/containers/prune") { call in
            let report = try await call.backends.containers.prune(filters: call.filters())
            return Call.json([
                "ContainersDeleted": .names(report.ContainersDeleted), "SpaceReclaimed": .integer(report.SpaceReclaimed ?? 0),
            ])
        },
    ]

    private static func wait(_ call: Call) async throws -> Response {
        var condition = WaitCondition.notRunning
        if call.version >= APIVersion("1.30"), let text = call.text("condition") {
            guard let known = WaitCondition(rawValue: text) else { throw APIError.invalid("invalid condition: \"\(text)\"") }
            condition = known
        }
        let exit = try await call.backends.containers.wait(call.id, condition: condition)
        // The head goes out at once: the client starts the container only when it knows that the wait has begun.
        return Response(
            status: .ok, headers: ["Content-Type": "application/json"],
            body: .stream { writer in
                let answer: ContainerWaitResponse
                do { answer = try await exit() } catch let error as CancellationError { throw error } catch {
                    answer = ContainerWaitResponse(StatusCode: -1, Error: .init(Message: APIError.describe(error).message))
                }
                try await writer.write(try JSON.encode(answer) + [10])
            })
    }

    private static func stats(_ call: Call) async throws -> Response {
        let (stream, oneShot) = (call.flag("stream", default: true), call.version >= APIVersion("1.41") && call.flag("one-shot"))
        if stream && oneShot { throw APIError.invalid("cannot have stream=true and one-shot=true") }
        let (id, containers) = (call.id, call.backends.containers)
        // Whether it is there is told by the status.
        _ = try await containers.hasTerminal(id)
        return Response(
            status: .ok, headers: ["Content-Type": "application/json"],
            body: .stream { writer in
                try await containers.stats(id, stream: stream, oneShot: oneShot) { try await writer.write($0.serialized() + [10]) }
            })
    }

    private static func logs(_ call: Call) async throws -> Response {
        let (stdout, stderr) = (call.flag("stdout"), call.flag("stderr"))
        guard stdout || stderr else { throw APIError.invalid("Bad parameters: you must choose at least one stream") }
        let tail = call.text("tail").flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil }
        let request = LogRequest(
            stdout: stdout, stderr: stderr, follow: call.flag("follow"), since: try call.moment("since"), until: try call.moment("until"),
            timestamps: call.flag("timestamps"), tail: tail, details: call.flag("details"))
        let isTerminal = try await call.backends.containers.hasTerminal(call.id)
        let (id, containers) = (call.id, call.backends.containers)
        try await containers.checkLogs(id)
        return Response(
            status: .ok, headers: ["Content-Type": call.streamType(isTerminal: isTerminal)],
            body: .stream { writer in
                do { try await containers.logs(id, request) { try await writer.write($0) } } catch let error as EngineError {
                    // The status has gone out; as dockerd, the reason goes into the stream.
                    let text = Array("Error grabbing logs: \(error.message)\n".utf8)
                    try await writer.write(isTerminal ? text : Multiplexed.frame(text, stream: 2))
                }
            })
    }
}

extension Call {
    /// The keys that detach, checked.
    func detachKeys() throws -> String? {
        guard let keys = text("detachKeys") else { return nil }
        do { _ = try KeySequence(parsing: keys) } catch { throw APIError.invalid("Invalid detach keys (\(keys)) provided") }
        return keys
    }

    /// The signal of a stop came with 1.42.
    func stopSignal() -> String? { version < APIVersion("1.42") ? nil : text("signal") }

    /// The query of both resize calls.
    func size() throws -> (rows: Int, columns: Int) {
        guard let rows = try number("h"), let columns = try number("w"), (0...65535).contains(rows), (0...65535).contains(columns) else {
            throw APIError.invalid("invalid size: h and w must be numbers from 0 to 65535")
        }
        return (rows, columns)
    }

    func archivePath() throws -> String {
        guard let path = text("path") else { throw APIError.invalid("name or path cannot be empty") }
        return path
    }

    /// The media type of a container's streams.
    func streamType(isTerminal: Bool) -> String {
        version >= APIVersion("1.42") && !isTerminal
            ? "application/vnd.docker.multiplexed-stream" : "application/vnd.docker.raw-stream"
    }
}

/// Docker's framing of stdout and stderr: one byte stream, three zeros, four bytes length, data.
enum Multiplexed {
    static func frame(_ bytes: [UInt8], stream: UInt8) -> [UInt8] {
        let count = UInt32(bytes.count)
        return [
            stream, 0, 0, 0, UInt8(truncatingIfNeeded: count >> 24), UInt8(truncatingIfNeeded: count >> 16),
            UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count),
        ] + bytes
    }
}

extension JSONValue {
    /// A list of names; null when there is none, as Go encodes a nil slice.
    static func names(_ names: [String]?) -> JSONValue { names.map { .array($0.map { .string($0) }) } ?? .null }
}
