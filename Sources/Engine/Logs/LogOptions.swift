internal import EngineTypes
internal import ShimProtocol

/// Options of the json-file driver, read and checked.
struct LogOptions {
    /// Bytes; 0 never rotates.
    var maxSize: Int64 = 0
    var maxFiles = 1

    init(_ options: [String: String], driver: String) throws(EngineError) {
        guard driver == "json-file" else {
            if let name = options.keys.sorted().first { throw .invalid("unknown log opt '\(name)' for \(driver) log driver") }
            return
        }
        for (name, value) in options.sorted(by: { $0.key < $1.key }) {
            switch name {
            case "max-size":
                guard let size = Self.size(value) else { throw .invalid("invalid size: '\(value)'") }
                maxSize = size
            case "max-file":
                guard let count = Int(value), count >= 1 else { throw .invalid("max-file cannot be less than 1") }
                maxFiles = count
            case "compress":
                guard value == "false" else { throw .notImplemented("log option compress") }
            case "mode":
                guard value == "blocking" || value == "non-blocking" else { throw .invalid("invalid logging mode: \(value)") }
            case "max-buffer-size":
                guard Self.size(value) != nil else { throw .invalid("invalid size: '\(value)'") }
            case "labels", "labels-regex", "env", "env-regex", "tag": throw .notImplemented("log option \(name)")
            default: throw .invalid("unknown log opt '\(name)' for json-file log driver")
            }
        }
    }

    /// `10m`, `1g`, `512k`, `100`: bytes with binary prefixes; -1 means no limit.
    private static func size(_ text: String) -> Int64? {
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
