internal import ClientUI
internal import EngineTypes

/// `--network NAME` or `--network name=NAME,alias=A,ip=…`.
struct NetworkSpec {
    var name: String
    var endpoint: EndpointSettings?

    static func parse(_ text: String) throws -> NetworkSpec {
        guard text.contains("=") else { return NetworkSpec(name: text) }
        var spec = NetworkSpec(name: "")
        var endpoint = EndpointSettings()
        var addresses = EndpointIPAMConfig()
        for field in try CommaSeparated.fields(text) {
            let pair = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard pair.count == 2 else { throw Failure("invalid network option \(field): must be key=value", code: 125) }
            let value = pair[1].trimmed
            switch pair[0].trimmed.lowercased() {
            case "name": spec.name = value
            case "alias": endpoint.Aliases = (endpoint.Aliases ?? []) + [value]
            case "ip": addresses.IPv4Address = value
            case "ip6": addresses.IPv6Address = value
            case "mac-address": endpoint.MacAddress = value
            case "link-local-ip": addresses.LinkLocalIPs = (addresses.LinkLocalIPs ?? []) + [value]
            case "gw-priority":
                guard let priority = Int(value) else { throw Failure("invalid gw-priority: \(value)", code: 125) }
                endpoint.GwPriority = priority
            case "driver-opt":
                let option = value.split(separator: "=", maxSplits: 1).map(String.init)
                guard option.count == 2 else { throw Failure("invalid key value pair format in driver options", code: 125) }
                endpoint.DriverOpts = (endpoint.DriverOpts ?? [:]).merging([option[0].lowercased(): option[1]]) { $1 }
            default: throw Failure("invalid field key \(pair[0].trimmed)", code: 125)
            }
        }
        guard !spec.name.isEmpty else { throw Failure("network name is required", code: 125) }
        if addresses != EndpointIPAMConfig() { endpoint.IPAMConfig = addresses }
        spec.endpoint = endpoint
        return spec
    }
}

extension String {
    var trimmed: String {
        var text = Substring(self)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
