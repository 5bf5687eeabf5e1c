internal import EngineTypes
internal import Linux
internal import ShimProtocol

/// A log driver with its options, read and checked with Docker's words.
struct LogOptions {
    let driver: String
    let values: [String: String]
    /// Of the file on this host, the log itself or its copy. Bytes; 0 never rotates.
    private(set) var maxSize: Int64 = 0
    private(set) var maxFiles = 1
    private(set) var compresses = false
    /// `mode` and `max-buffer-size`.
    private(set) var isBlocking = true
    private(set) var bufferSize: Int64 = 1 << 20

    /// Docker's drivers that Clipper does not have.
    private static let missing: Set<String> = ["awslogs", "splunk", "gcplogs", "logentries", "etwlogs"]
    private static let attributes: Set<String> = ["labels", "labels-regex", "env", "env-regex", "tag"]
    private static let files: Set<String> = ["max-size", "max-file", "compress"]
    private static let caches: Set<String> = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"]
    /// Each driver's own options.
    private static let known: [String: Set<String>] = [
        "none": [],
        "local": files,
        "json-file": files.union(attributes),
        "journald": attributes,
        "syslog": attributes.union([
            "syslog-address", "syslog-facility", "syslog-format", "syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key",
            "syslog-tls-skip-verify",
        ]),
        "gelf": attributes.union([
            "gelf-address", "gelf-compression-level", "gelf-compression-type", "gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay",
        ]),
        "fluentd": attributes.union([
            "fluentd-address", "fluentd-async", "fluentd-async-connect", "fluentd-async-reconnect-interval", "fluentd-buffer-limit",
            "fluentd-retry-wait", "fluentd-max-retries", "fluentd-request-ack", "fluentd-sub-second-precision",
        ]),
    ]

    init(_ options: [String: String], driver: String) throws(EngineError) {
        self.driver = driver
        values = options
        guard let known = Self.known[driver] else {
            if Self.missing.contains(driver) { throw .notImplemented("log driver \(driver)") }
            throw .invalid("logger: no log driver named '\(driver)' is registered")
        }
        try readMode()
        let general: Set = ["mode", "max-buffer-size"]
        for name in options.keys.sorted() where !known.contains(name) && (driver == "none" || !general.union(Self.caches).contains(name)) {
            throw .invalid(Self.unknown(name, driver))
        }
        switch driver {
        case "none": break
        case "local": try readFile("", defaultSize: 20 << 20, defaultFiles: 5, defaultCompress: true)
        case "json-file": try readFile("", defaultSize: 0, defaultFiles: 1, defaultCompress: false)
        default:
            try readFile("cache-", defaultSize: 20 << 20, defaultFiles: 5, defaultCompress: true)
            try checkRemote()
        }
        _ = try LogTag(tag)
        try LogAttributes.check(options)
    }

    private static func unknown(_ name: String, _ driver: String) -> String {
        switch driver {
        case "local": "unknown log opt '\(name)' for log driver local"
        case "gelf": "unknown log opt \"\(name)\" for gelf log driver"
        default: "unknown log opt '\(name)' for \(driver) log driver"
        }
    }

    /// The template of `tag`; where it is not given, none for json-file and the short ID for the others.
    var tag: String {
        let given = values["tag"] ?? ""
        return given.isEmpty && driver != "json-file" && driver != "local" ? "{{.ID}}" : given
    }

    /// What `docker logs` reads: the log's file below the container's directory; nil when there is none.
    static func fileName(driver: String, options: [String: String], id: String) -> String? {
        switch driver {
        case "none": nil
        case "json-file": "\(id)-json.log"
        case "local": "container.log"
        default: bool(options["cache-disabled"]) == true ? nil : "container-cached.log"
        }
    }

    // MARK: Mode and files

    private mutating func readMode() throws(EngineError) {
        switch values["mode"] {
        case nil, "", "blocking": isBlocking = true
        case "non-blocking": isBlocking = false
        case .some(let mode): throw .invalid("logger: logging mode not supported: \(mode)")
        }
        guard let text = values["max-buffer-size"] else { return }
        if isBlocking { throw .invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'") }
        guard let size = Self.size(text), size > 0 else { throw .invalid("error parsing option max-buffer-size: invalid size: '\(text)'") }
        bufferSize = size
    }

    private mutating func readFile(_ prefix: String, defaultSize: Int64, defaultFiles: Int, defaultCompress: Bool) throws(EngineError) {
        maxSize = defaultSize
        maxFiles = defaultFiles
        if let text = values["\(prefix)max-size"] {
            guard let size = Self.size(text) else { throw .invalid("invalid size: '\(text)'") }
            maxSize = size
        }
        if let text = values["\(prefix)max-file"] {
            guard let count = Int(text), count >= 1 else { throw .invalid("max-file cannot be less than 1") }
            maxFiles = count
        }
        compresses = defaultCompress && maxFiles > 1 && maxSize > 0
        if let text = values["\(prefix)compress"] {
            guard let flag = Self.bool(text) else { throw .invalid("strconv.ParseBool: parsing \"\(text)\": invalid syntax") }
            compresses = flag
            if flag && (maxFiles < 2 || maxSize == 0) {
                throw .invalid("compress cannot be true when max-file is less than 2 or max-size is not set")
            }
        }
        if let text = values["cache-disabled"], Self.bool(text) == nil {
            throw .invalid("strconv.ParseBool: parsing \"\(text)\": invalid syntax")
        }
    }

    /// Go's strconv.ParseBool.
    static func bool(_ text: String?) -> Bool? {
        switch text {
        case "1", "t", "T", "TRUE", "true", "True": true
        case "0", "f", "F", "FALSE", "false", "False": false
        default: nil
        }
    }

    /// `10m`, `1g`, `512k`, `100`: bytes with binary prefixes; -1 means no limit.
    static func size(_ text: String) -> Int64? {
        if text == "-1" { return 0 }
        let lower = text.lowercased()
        let digits = lower.prefix { $0.isNumber }
        guard let number = Int64(digits), number >= 0 else { return nil }
        let unit: Int64
        switch lower.dropFirst(digits.count) {
        case "", "b": unit = 1
        case "k", "kb", "kib": unit = 1 << 10
        case "m", "mb", "mib": unit = 1 << 20
        case "g", "gb", "gib": unit = 1 << 30
        default: return nil
        }
        let (size, isTooLarge) = number.multipliedReportingOverflow(by: unit)
        return isTooLarge ? nil : size
    }
}
