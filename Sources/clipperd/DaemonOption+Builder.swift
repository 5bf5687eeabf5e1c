internal import Builder
internal import Engine
internal import EngineTypes
internal import JSON
internal import Linux

/// `builder.gc` of daemon.json: how large the build cache may grow.
struct BuilderSettings {
    private var isEnabled = true
    private var bounds = BuildCacheBounds()
    private var rules: [BuildCachePolicy]?

    init() {}

    init(_ value: JSONValue) throws(OptionError) {
        for member in try value.object(of: "builder").members {
            guard member.name == "gc" else { throw OptionError("not implemented: builder.\(member.name)") }
            try read(try member.value.object(of: "builder.gc"))
        }
    }

    private mutating func read(_ object: JSONObject) throws(OptionError) {
        for member in object.members {
            let key = "builder.gc.\(member.name)"
            switch member.name {
            case "enabled": isEnabled = try member.value.bool(of: key)
            // The older name.
            case "defaultKeepStorage", "defaultReservedSpace": bounds.reserved = try Self.bytes(member.value, key)
            case "defaultMaxUsedSpace": bounds.maxUsed = try Self.bytes(member.value, key)
            case "defaultMinFreeSpace": bounds.minFree = try Self.bytes(member.value, key)
            case "policy":
                guard let elements = member.value.arrayValue else { throw OptionError("\(key): expected an array") }
                rules = []
                for element in elements { rules?.append(try Self.rule(try element.object(of: key))) }
            default: throw OptionError("\(key): no such setting")
            }
        }
    }

    private static func rule(_ object: JSONObject) throws(OptionError) -> BuildCachePolicy {
        var (all, filters, bounds) = (false, Filters(), BuildCacheBounds())
        for member in object.members {
            let key = "builder.gc.policy.\(member.name)"
            switch member.name {
            case "all": all = try member.value.bool(of: key)
            case "keepStorage", "reservedSpace": bounds.reserved = try bytes(member.value, key)
            case "maxUsedSpace": bounds.maxUsed = try bytes(member.value, key)
            case "minFreeSpace": bounds.minFree = try bytes(member.value, key)
            case "filter": filters = try Self.filters(member.value, key)
            default: throw OptionError("\(key): no such setting")
            }
        }
        do { return try BuildCachePolicy(all: all, filters: filters, bounds: bounds) } catch {
            throw OptionError("builder.gc.policy.filter: \(error)")
        }
    }

    /// `["unused-for=48h"]`, or `{"unused-for": {"48h": true}}`.
    private static func filters(_ value: JSONValue, _ key: String) throws(OptionError) -> Filters {
        var filters = Filters()
        if let members = value.objectValue?.members {
            for member in members { filters.values[member.name] = try member.value.object(of: key).members.map(\.name) }
            return filters
        }
        for text in try value.texts(of: key) {
            let pair = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard pair.count == 2 else { throw OptionError("\(key): expected name=value, found \(text)") }
            filters.values[pair[0], default: []].append(pair[1])
        }
        return filters
    }

    private static func bytes(_ value: JSONValue, _ key: String) throws(OptionError) -> Int64 {
        let text = try value.text(of: key)
        do throws(GoSize.Refusal) { return try GoSize.bytes(text) } catch { throw OptionError("\(key): \(error)") }
    }

    /// - Parameter path: a directory on the disk of the cache.
    func policies(diskOf path: String) throws -> [BuildCachePolicy] {
        if !isEnabled { return [] }
        return try rules ?? BuildCachePolicy.standard(bounds, diskOf: path)
    }
}

extension DaemonOption {
    static let builder: [DaemonOption] = [
        DaemonOption(key: "builder", flag: nil) { options, value throws(OptionError) in options.builder = try BuilderSettings(value) }
    ]
}
