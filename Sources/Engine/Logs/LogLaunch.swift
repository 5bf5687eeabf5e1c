public import EngineTypes
internal import Linux
internal import ShimProtocol

/// What a shim is told of a container's log.
struct LogLaunch {
    let record: ContainerRecord
    let options: LogOptions
    /// The container's directory.
    let directory: String

    /// Reads the record; the daemon's own options apply to its own driver.
    init(_ record: ContainerRecord, _ configuration: EngineConfiguration, directory: String) throws(EngineError) {
        self.record = record
        self.directory = directory
        options = try configuration.logOptions(record.hostConfig.LogConfig)
    }

    /// Looks up the server's address, which may take its time.
    func make() throws(EngineError) -> LaunchRequest.Log {
        var attributes = try LogAttributes.chosen(
            options.values, labels: record.config.Labels ?? [:], environment: record.config.Env ?? [])
        let tag = try LogTag(options.tag).text(record)
        let file = LogOptions.fileName(driver: options.driver, options: options.values, id: record.id).map { self.file($0, [:]) }
        switch options.driver {
        case "none": return .none
        case "json-file", "local":
            if !tag.isEmpty { attributes["tag"] = tag }
            guard var file else { return .none }
            file.attributes = attributes
            return .jsonFile(file)
        default: break
        }
        guard let kind = LaunchRequest.Log.Remote.Kind(rawValue: options.driver) else {
            throw .notImplemented("log driver \(options.driver)")
        }
        var remote = LaunchRequest.Log.Remote(kind: kind, address: try address(kind))
        remote.tag = tag
        remote.host = HostFacts.hostname
        remote.fields = fields(kind, tag, attributes)
        remote.settings = try options.remoteSettings()
        remote.isBlocking = options.isBlocking
        remote.bufferSize = Int(LogOptions.size(options.values["fluentd-buffer-limit"] ?? "") ?? options.bufferSize)
        remote.cache = file
        remote.cache?.attributes = attributes
        return .remote(remote)
    }

    private func file(_ name: String, _ attributes: [String: String]) -> LaunchRequest.Log.JSONFile {
        var file = LaunchRequest.Log.JSONFile(path: "\(directory)/\(name)")
        file.maxSize = options.maxSize
        file.maxFiles = options.maxFiles
        file.compresses = options.compresses
        return file
    }

    private func address(_ kind: LaunchRequest.Log.Remote.Kind) throws(EngineError) -> LaunchRequest.Log.Address {
        switch kind {
        case .journald:
            let path = "/run/systemd/journal/socket"
            guard Files.exists(path) else {
                throw EngineError(.system, "failed to initialize logging driver: journald is not enabled on this host")
            }
            return .init(.unixgram, path)
        default:
            if let address = try options.address() { return try address.resolved() }
            for path in ["/dev/log", "/var/run/syslog", "/var/run/log"] where Files.exists(path) { return .init(.unixgram, path) }
            throw EngineError(.system, "failed to initialize logging driver: Unix syslog delivery error")
        }
    }

    /// The container's facts by the names that each driver has for them.
    private func fields(_ kind: LaunchRequest.Log.Remote.Kind, _ tag: String, _ attributes: [String: String]) -> [String: String] {
        let id = String(record.id.prefix(12))
        switch kind {
        case .syslog: return [:]
        case .journald:
            var fields = [
                "CONTAINER_ID": id, "CONTAINER_ID_FULL": record.id, "CONTAINER_NAME": record.name, "CONTAINER_TAG": tag,
                "IMAGE_NAME": record.imageName, "SYSLOG_IDENTIFIER": tag,
            ]
            for (name, value) in attributes { fields[Self.journalName(name)] = value }
            return fields
        case .gelf:
            let facts = [
                "container_id": record.id, "container_name": record.name, "image_id": record.imageID, "image_name": record.imageName,
                "command": ([record.path] + record.arguments).joined(separator: " "), "tag": tag, "created": record.created,
            ]
            return attributes.merging(facts) { $1 }
        case .fluentd: return attributes.merging(["container_id": record.id, "container_name": "/\(record.name)"]) { $1 }
        }
    }

    /// As Docker: capital letters, digits and underscores, no underscore first.
    static func journalName(_ name: String) -> String {
        let clean = name.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
        return String(clean.drop { $0 == "_" })
    }
}

extension EngineConfiguration {
    /// A container's log driver with its options, and the daemon's where it gives none.
    func logOptions(_ log: LogConfig?) throws(EngineError) -> LogOptions {
        let driver = log?.Type.flatMap { $0.isEmpty ? nil : $0 } ?? defaultLogDriver
        var given = log?.Config ?? [:]
        let defaults = driver == defaultLogDriver ? defaultLogOptions : driver == "json-file" ? Self.rotation : [:]
        let isOpen = driver != "json-file" || given["max-size"] == nil && given["max-file"] == nil
        for (name, value) in defaults where given[name] == nil && (isOpen || !["max-size", "max-file"].contains(name)) {
            given[name] = value
        }
        return try LogOptions(given, driver: driver)
    }

    /// The daemon's own log driver and options can be used.
    public func checkLog() throws(EngineError) { _ = try logOptions(nil) }

    /// The path of the file that `docker logs` reads; nil when the driver leaves nothing to be read.
    func logPath(of record: ContainerRecord) -> String? {
        let driver = record.hostConfig.LogConfig?.Type.flatMap { $0.isEmpty ? nil : $0 } ?? "json-file"
        let options = (try? logOptions(record.hostConfig.LogConfig))?.values ?? [:]
        return LogOptions.fileName(driver: driver, options: options, id: record.id).map { "\(paths(of: record.id).data)/\($0)" }
    }
}
