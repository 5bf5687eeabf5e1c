internal import JSON

/// The PORTS column: `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 9000-9002/udp`.
enum PortList {
    private struct Port {
        var address: String
        var inside: Int64
        var outside: Int64
        var proto: String
    }

    static func text(_ ports: [JSONValue]) -> String {
        let sorted = ports.map {
            Port(
                address: $0["IP"]?.stringValue ?? "", inside: $0["PrivatePort"]?.intValue ?? 0, outside: $0["PublicPort"]?.intValue ?? 0,
                proto: $0["Type"]?.stringValue ?? "tcp")
        }
        .sorted { ($0.inside, $0.address, $0.outside, $0.proto) < ($1.inside, $1.address, $1.outside, $1.proto) }
        // A published port that keeps its number, and a port that isn't published, join their neighbours to a range.
        var moved: [String] = []
        var groups: [(key: String, address: String, proto: String, first: Int64, last: Int64)] = []
        for port in sorted {
            if !port.address.isEmpty && port.outside != port.inside {
                moved.append("\(host(port.address)):\(port.outside)->\(port.inside)/\(port.proto)")
                continue
            }
            let key = "\(port.address)/\(port.proto)"
            if let index = groups.lastIndex(where: { $0.key == key }),
                groups[index].last == port.inside || groups[index].last + 1 == port.inside
            {
                groups[index].last = port.inside
            } else {
                groups.append((key: key, address: port.address, proto: port.proto, first: port.inside, last: port.inside))
            }
        }
        let ranges = groups.map { group in
            let range = group.first == group.last ? "\(group.first)" : "\(group.first)-\(group.last)"
            return group.address.isEmpty ? "\(range)/\(group.proto)" : "\(host(group.address)):\(range)->\(range)/\(group.proto)"
        }
        return (ranges + moved).joined(separator: ", ")
    }

    static func host(_ address: String) -> String { address.contains(":") ? "[\(address)]" : address }
}
