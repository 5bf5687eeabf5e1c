internal import EngineTypes
internal import Networking

/// The ports a container publishes: PortBindings, and all exposed ones with `-P`.
struct PortRequests {
    let requests: [PortRequest]

    init(_ record: ContainerRecord) throws {
        var result: [PortRequest] = []
        let bindings = record.hostConfig.PortBindings ?? [:]
        for (key, wanted) in bindings.sorted(by: { $0.key < $1.key }) {
            let (port, proto) = try Self.parse(key)
            for binding in wanted ?? [] {
                result.append(
                    PortRequest(
                        containerPort: port, proto: proto, hostIP: binding.HostIp.flatMap { $0.isEmpty ? nil : $0 },
                        hostPorts: try PortRequest.hostPorts(binding.HostPort ?? "")))
            }
        }
        if record.hostConfig.PublishAllPorts == true {
            for key in (record.config.ExposedPorts ?? [:]).keys.sorted() where (bindings[key].flatMap(\.self) ?? []).isEmpty {
                let (port, proto) = try Self.parse(key)
                result.append(PortRequest(containerPort: port, proto: proto))
            }
        }
        requests = result
    }

    /// `80/tcp` or `80`.
    static func parse(_ key: String) throws(EngineError) -> (UInt16, PortProtocol) {
        let parts = key.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard let port = UInt16(parts[0]), port > 0, parts.count <= 2,
            let proto = PortProtocol(rawValue: parts.count == 2 ? parts[1] : "tcp")
        else {
            throw .invalid("invalid port specification: \"\(key)\"")
        }
        return (port, proto)
    }
}
