internal import JSON

/// Fields that came or went with a version of the API.
enum FieldGates {
    /// Members of a network or endpoint that older clients don't know.
    private static let endpoint: [(field: String, since: APIVersion)] = [
        ("DNSNames", APIVersion("1.44")), ("GwPriority", APIVersion("1.48")),
    ]

    /// `GET /containers/{id}/json`.
    static func container(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        guard version < APIVersion("1.48"), case .object(var object) = value, case .object(var settings)? = object["NetworkSettings"],
            case .object(let networks)? = settings["Networks"]
        else { return value }
        var older = networks
        for member in networks.members { older[member.name] = without(endpoint, member.value, version) }
        settings["Networks"] = .object(older)
        object["NetworkSettings"] = .object(settings)
        return .object(object)
    }

    /// Images: `VirtualSize` is sent to clients before 1.44 only.
    static func image(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        guard case .object(var object) = value else { return value }
        object["VirtualSize"] = version < APIVersion("1.44") ? object["Size"] : nil
        return .object(object)
    }

    /// One of `GET /images/json`: labels are there, null when there are none.
    static func imageSummary(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        image(withNulls(value, ["Labels"]), for: version)
    }

    /// Volumes: labels and options are there, null when there are none.
    static func volume(_ value: JSONValue) -> JSONValue { withNulls(value, ["Labels", "Options"]) }

    /// Members that Docker shows always: scripts look for the name.
    private static func withNulls(_ value: JSONValue, _ names: [String]) -> JSONValue {
        guard case .object(var object) = value else { return value }
        for name in names where object[name] == nil { object[name] = .some(.null) }
        return .object(object)
    }

    /// `GET /system/df`: images and volumes as their own lists show them.
    static func diskUsage(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        guard case .object(var object) = value else { return value }
        if let images = object["Images"]?.arrayValue { object["Images"] = .array(images.map { imageSummary($0, for: version) }) }
        if let volumes = object["Volumes"]?.arrayValue { object["Volumes"] = .array(volumes.map(volume)) }
        return .object(object)
    }

    /// Networks: `EnableIPv4` came with 1.47.
    static func network(_ value: JSONValue, for version: APIVersion) -> JSONValue {
        without([("EnableIPv4", APIVersion("1.47"))], value, version)
    }

    private static func without(_ gates: [(field: String, since: APIVersion)], _ value: JSONValue, _ version: APIVersion) -> JSONValue {
        guard case .object(var object) = value else { return value }
        for gate in gates where version < gate.since { object[gate.field] = nil }
        return .object(object)
    }
}
