internal import EngineTypes
internal import JSON
internal import OCIImageSpec

/// `--change` of import: Dockerfile instructions applied to an image's configuration.
enum ImageChanges {
    static func apply(_ changes: [String], to config: RunConfig) throws(EngineError) -> RunConfig {
        var config = config
        for text in changes {
            let words = text.split(separator: " ", maxSplits: 1).map(String.init)
            let rest = words.count > 1 ? words[1] : ""
            switch words.first?.uppercased() ?? "" {
            case "CMD": config.cmd = command(rest)
            case "ENTRYPOINT": config.entrypoint = command(rest)
            case "ENV": config.env = (config.env ?? []) + [rest.contains("=") ? rest : rest.replacingFirstSpace]
            case "USER": config.user = rest
            case "WORKDIR": config.workingDir = rest
            case "STOPSIGNAL": config.stopSignal = rest
            case "LABEL":
                let pair = rest.split(separator: "=", maxSplits: 1).map(String.init)
                guard pair.count == 2 else { throw .invalid("LABEL must be of the form: name=value") }
                config.labels = (config.labels ?? [:]).merging([pair[0]: unquoted(pair[1])]) { $1 }
            case "EXPOSE":
                var ports = config.exposedPorts ?? KeySet()
                for port in rest.split(separator: " ") { ports.insert(port.contains("/") ? String(port) : "\(port)/tcp") }
                config.exposedPorts = ports
            case "VOLUME":
                var volumes = config.volumes ?? KeySet()
                for path in array(rest) ?? rest.split(separator: " ").map(String.init) { volumes.insert(path) }
                config.volumes = volumes
            case "ONBUILD", "HEALTHCHECK", "SHELL": throw .notImplemented("--change \(words[0])")
            case let other: throw .invalid("\(other) is not a valid change command")
            }
        }
        return config
    }

    private static func array(_ text: String) -> [String]? {
        (try? JSONValue(parsing: text))?.arrayValue.map { $0.compactMap(\.stringValue) }
    }

    private static func command(_ text: String) -> [String] { array(text) ?? ["/bin/sh", "-c", text] }

    private static func unquoted(_ text: String) -> String {
        text.count > 1 && text.hasPrefix("\"") && text.hasSuffix("\"") ? String(text.dropFirst().dropLast()) : text
    }
}

extension String {
    /// `A b c` as `A=b c`, the old form of ENV.
    fileprivate var replacingFirstSpace: String {
        guard let space = firstIndex(of: " ") else { return self + "=" }
        return self[..<space] + "=" + self[index(after: space)...]
    }
}
