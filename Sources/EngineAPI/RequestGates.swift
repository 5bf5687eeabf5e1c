internal import EngineTypes

/// Members of requests that came with a version of the API: an older client's are read as that version's daemon read them.
enum RequestGates {
    /// `POST /containers/create`. Answers warnings for the client.
    static func create(_ request: inout ContainerCreateRequest, for version: APIVersion) throws -> [String] {
        var host = request.hostConfig ?? HostConfig()
        if version < APIVersion("1.25") { host.AutoRemove = false }  // The client removed it.
        if version < APIVersion("1.40") {
            host.KernelMemoryTCP = nil
            if (host.IpcMode ?? "").isEmpty { host.IpcMode = "shareable" }
        }
        if version < APIVersion("1.42") { host.ConsoleSize = nil } else { host.KernelMemory = nil }
        if version < APIVersion("1.43") { host.Annotations = nil }
        if version < APIVersion("1.44") {
            request.config.Healthcheck?.StartInterval = nil
            if let networks = request.networkingConfig?.EndpointsConfig?.keys.sorted(), networks.count > 1 {
                throw APIError.invalid("Container cannot be created with multiple network endpoints: \(networks.joined(separator: ", "))")
            }
        }
        host.Mounts = try host.Mounts.map { try $0.map { try mount($0, for: version) } }
        if let limit = host.PidsLimit, limit <= 0 { host.PidsLimit = nil }
        let mode = (host.NetworkMode ?? "").isEmpty ? "default" : host.NetworkMode ?? "default"
        let warning = try macAddress(&request, mode: mode, for: version)
        request.hostConfig = host
        return warning.map { [$0] } ?? []
    }

    private static func mount(_ given: MountRequest, for version: APIVersion) throws -> MountRequest {
        var mount = given
        let kind = mount.Type ?? ""
        if version < APIVersion("1.40") { mount.BindOptions?.NonRecursive = nil }
        if version < APIVersion("1.42") {
            mount.BindOptions?.CreateMountpoint = nil
            if kind != "volume" { mount.VolumeOptions = nil }
            if kind != "tmpfs" { mount.TmpfsOptions = nil }
        } else {
            for (name, given, owner) in [
                ("VolumeOptions", mount.VolumeOptions != nil, "volume"), ("BindOptions", mount.BindOptions != nil, "bind"),
                ("TmpfsOptions", mount.TmpfsOptions != nil, "tmpfs"), ("ImageOptions", mount.ImageOptions != nil, "image"),
            ] where given && kind != owner {
                throw APIError.invalid("\(name) must not be specified on mount type \"\(kind)\"")
            }
        }
        if version < APIVersion("1.44") && kind == "bind" && mount.ReadOnly == true {
            // A read-only mount did not reach the mounts below it.
            mount.BindOptions = mount.BindOptions ?? MountRequest.BindOptions()
            mount.BindOptions?.ReadOnlyNonRecursive = true
        }
        if version < APIVersion("1.44") && mount.BindOptions?.ReadOnlyForceRecursive == true {
            throw APIError.invalid("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
        }
        if version < APIVersion("1.45") && !(mount.VolumeOptions?.Subpath ?? "").isEmpty {
            throw APIError.invalid("VolumeOptions.Subpath needs API v1.45 or newer")
        }
        if version < APIVersion("1.48") && kind == "image" { throw APIError.invalid("Mount type \"Image\" needs API v1.48 or newer") }
        return mount
    }

    /// The container's own MAC address went to its first network with 1.44.
    private static func macAddress(_ request: inout ContainerCreateRequest, mode: String, for version: APIVersion) throws -> String? {
        let address = request.config.MacAddress ?? ""
        if version < APIVersion("1.44") {
            for name in (request.networkingConfig?.EndpointsConfig ?? [:]).keys where address.isEmpty {
                request.networkingConfig?.EndpointsConfig?[name]??.MacAddress = nil
            }
            if !address.isEmpty && (["host", "none"].contains(mode) || mode.hasPrefix("container:")) {
                throw APIError.invalid("conflicting options: mac-address and the network mode")
            }
            return nil
        }
        if address.isEmpty { return nil }
        let names = ["default", "bridge"].contains(mode) ? ["default", "bridge"] : [mode]
        let own = names.compactMap { request.networkingConfig?.EndpointsConfig?[$0]??.MacAddress }.first { !$0.isEmpty }
        if let own, own != address {
            throw APIError.invalid(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty")
        }
        return "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
    }
}
