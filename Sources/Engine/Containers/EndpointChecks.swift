internal import EngineTypes
internal import Netlink
internal import Networking

/// What is asked of a container's places on networks, before anything is made of it.
enum EndpointChecks {
    static func check(_ networking: NetworkingConfig?) throws(EngineError) {
        for (name, settings) in (networking?.EndpointsConfig ?? [:]).sorted(by: { $0.key < $1.key }) {
            if let settings { try check(settings, network: name) }
        }
    }

    static func check(_ settings: EndpointSettings, network name: String) throws(EngineError) {
        func refused(_ reason: String) -> EngineError {
            .invalid("invalid config for network \(name): invalid endpoint settings:\n\(reason)")
        }
        do throws(NetworkError) { _ = try EndpointOptions(settings.DriverOpts ?? [:]) } catch {
            throw error.kind == .invalid ? refused(error.message) : EngineError(.notImplemented, error.message)
        }
        let addresses = settings.IPAMConfig
        for text in addresses?.LinkLocalIPs ?? [] where IPAddress(text)?.isUnspecified ?? true {
            throw refused("invalid link-local IP address: \(text)")
        }
        for (given, family) in [(addresses?.IPv4Address, IPAddress.Family.v4), (addresses?.IPv6Address, .v6)] {
            guard let text = given, !text.isEmpty else { continue }
            guard let address = IPAddress(text), address.family == family else {
                throw refused("invalid \(family == .v4 ? "IPv4" : "IPv6") address: \(text)")
            }
        }
        let isPredefined = ["", "default", "bridge", "host", "none"].contains(name)
        guard isPredefined else { return }
        if !(settings.Aliases ?? []).isEmpty { throw refused("network-scoped aliases are only supported for user-defined networks") }
        if !(addresses?.IPv4Address ?? "").isEmpty || !(addresses?.IPv6Address ?? "").isEmpty {
            throw refused("user specified IP address is supported on user defined networks only")
        }
        if !(settings.Links ?? []).isEmpty { throw .notImplemented("EndpointSettings.Links on network \(name)") }
    }
}
