internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import NIOHTTP1

// Networks and volumes.
extension EngineAPI {
    static let networkRoutes: [Route] = [
        Route(.GET, "/networks") { call in
            let networks = try await call.backends.networks.list(
                filters: call.filters(), showsContainers: call.version < APIVersion("1.28"))
            return Call.json(.array(try networks.map { FieldGates.network(try JSON.value($0), for: call.version) }))
        },
        Route(.GET, "/networks/{id}") { call in
            let network = try await call.backends.networks.inspect(call.id, verbose: call.flag("verbose"), scope: call.text("scope"))
            return Call.json(FieldGates.network(try JSON.value(network), for: call.version))
        },
        Route(.DELETE, "/networks/{id}") { call in
            try await call.backends.networks.remove(call.id)
            return Call.noContent
        },
        Route(.POST, "/networks/create") { call in
            var request = try await call.body(NetworkCreateRequest.self)
            if call.version < APIVersion("1.48") { request.EnableIPv4 = nil }
            return try call.json(await call.backends.networks.create(request), status: .created)
        },
        Route(.POST, "/networks/{id}/connect") { call in
            try await call.backends.networks.connect(call.id, call.body())
            return Response(status: .ok)
        },
        Route(.POST, "/networks/{id}/disconnect") { call in
            try await call.backends.networks.disconnect(call.id, call.body())
            return Response(status: .ok)
        },
        Route(.POST, "/networks/prune", since: "1.25") { call in
            let report = try await call.backends.networks.prune(filters: call.filters())
            return Call.json(["NetworksDeleted": .names(report.NetworksDeleted)])
        },
    ]

    static let volumeRoutes: [Route] = [
        Route(.GET, "/volumes") { call in
            let list = try await call.backends.volumes.list(filters: call.filters())
            return Call.json([
                "Volumes": .array(try list.Volumes.map { FieldGates.volume(try JSON.value($0)) }), "Warnings": .names(list.Warnings),
            ])
        },
        Route(.POST, "/volumes/create") { call in
            let volume = try await call.backends.volumes.create(call.optionalBody() ?? VolumeCreateRequest())
            return Call.json(FieldGates.volume(try JSON.value(volume)), status: .created)
        },
        Route(.GET, "/volumes/{name}") { call in
            Call.json(FieldGates.volume(try JSON.value(await call.backends.volumes.inspect(call.name))))
        },
        // Only cluster volumes can be changed.
        Route(.PUT, "/volumes/{name}", action: .noSwarm),
        Route(.DELETE, "/volumes/{name}") { call in
            try await call.backends.volumes.remove(call.name, force: call.flag("force"))
            return Call.noContent
        },
        Route(.POST, "/volumes/prune", since: "1.25") { call in
            var filters = try call.filters()
            // Up to 1.41 volumes with a name went too.
            if call.version < APIVersion("1.42") { filters.values["all"] = ["true"] }
            let report = try await call.backends.volumes.prune(filters: filters)
            return Call.json(["VolumesDeleted": .names(report.VolumesDeleted), "SpaceReclaimed": .integer(report.SpaceReclaimed ?? 0)])
        },
    ]
}
