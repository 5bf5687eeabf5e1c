internal import EngineTypes

/// One published port, or one of a range: `-p [ip:][host:]container[/proto]`.
struct PortSpec: Equatable {
    /// `80/tcp`
    var container: String
    var hostAddress: String
    /// Empty: any free one. `8000-8010`: one of these.
    var hostPort: String

    /// All ports that one `-p` names.
    static func parse(_ text: String) throws -> [PortSpec] {
        let (address, host, container) = try split(text)
        var (ports, proto) = (Substring(container), "tcp")
        if let slash = container.lastIndex(of: "/") {
            ports = container[..<slash]
            proto = container[container.index(after: slash)...].lowercased()
        }
        guard !ports.isEmpty else { throw Failure("no port specified: \(text)<empty>", code: 125) }
        guard ["tcp", "udp", "sctp"].contains(proto) else { throw Failure("invalid proto: \(proto)", code: 125) }
        let inside = try range(String(ports), "containerPort")
        guard !host.isEmpty else {
            return inside.map { PortSpec(container: "\($0)/\(proto)", hostAddress: address, hostPort: "") }
        }
        let outside = try range(host, "hostPort")
        if outside.count == inside.count {
            return zip(inside, outside).map { PortSpec(container: "\($0)/\(proto)", hostAddress: address, hostPort: "\($1)") }
        }
        guard inside.count == 1 else {
            throw Failure("invalid ranges specified for container and host Ports: \(ports) and \(host)", code: 125)
        }
        return [
            PortSpec(
                container: "\(inside.lowerBound)/\(proto)", hostAddress: address, hostPort: "\(outside.lowerBound)-\(outside.upperBound)")
        ]
    }

    /// Address, host port, container port; the address may be `[v6]` or, with three and more colons, bare.
    private static func split(_ text: String) throws -> (address: String, host: String, container: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        var address = ""
        if parts.count >= 3 {
            address = parts.dropLast(2).joined(separator: ":")
            if address.hasPrefix("[") && address.hasSuffix("]") { address = String(address.dropFirst().dropLast()) }
            guard address.isEmpty || IPText.isAddress(address) else { throw Failure("invalid IP address: \(address)", code: 125) }
        }
        return (address, parts.count >= 2 ? parts[parts.count - 2] : "", parts[parts.count - 1])
    }

    /// `80` or `8000-8010`.
    static func range(_ text: String, _ what: String) throws -> ClosedRange<Int> {
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map {
            $0.allSatisfy(\.isASCII) ? Int($0) : nil
        }
        guard let low = ends[0], let high = ends.count == 2 ? ends[1] : low, low <= high, (0...65535).contains(low), high <= 65535,
            !text.hasPrefix("+")
        else {
            throw Failure("invalid \(what): \(text)", code: 125)
        }
        return low...high
    }

    /// The long form of `-p`: `target=80,published=8080,protocol=tcp,mode=host`.
    static func parseLong(_ text: String) throws -> [PortSpec] {
        var fields: [String: String] = [:]
        for field in text.split(separator: ",") {
            let pair = field.split(separator: "=", maxSplits: 1).map(String.init)
            guard pair.count == 2 else { throw Failure("invalid publish opts format (should be name=value but got '\(field)')", code: 125) }
            guard ["target", "published", "protocol", "mode"].contains(pair[0]) else {
                throw Failure("invalid field name: \(pair[0])", code: 125)
            }
            fields[pair[0]] = pair[1]
        }
        guard let target = fields["target"] else { throw Failure("missing target in publish opts: \(text)", code: 125) }
        return try parse("\(fields["published"].map { $0 + ":" } ?? "")\(target)/\(fields["protocol"] ?? "tcp")")
    }

    /// `--expose 80`, `80-90/udp`.
    static func exposed(_ text: String) throws -> [String] {
        guard !text.contains(":") else { throw Failure("invalid port format for --expose: \(text)", code: 125) }
        let range = text.split(separator: "/", omittingEmptySubsequences: false)[0]
        for number in range.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false) where UInt16(number) == nil {
            let isNumber = !number.isEmpty && number.utf8.allSatisfy { (48...57).contains($0) }
            let reason = "strconv.ParseUint: parsing \"\(number)\": \(isNumber ? "value out of range" : "invalid syntax")"
            throw Failure("invalid range format for --expose: \(text), error: \(reason)", code: 125)
        }
        return try parse(text).map(\.container)
    }
}
