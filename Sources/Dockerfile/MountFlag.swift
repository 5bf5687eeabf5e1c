/// `RUN --mount=type=…,key=value,…`, unexpanded: from, source, target and the id may hold variables.
public struct MountFlag: Sendable, Equatable {
    public enum Kind: String, Sendable { case bind, cache, tmpfs, secret, ssh }
    public enum Sharing: String, Sendable { case shared, `private`, locked }

    public var kind = Kind.bind
    /// A stage or image; nil for the build context (bind) or an empty directory (cache).
    public var from: String?
    public var source = ""
    public var target = ""
    /// bind is read-only unless told otherwise, cache is writable unless told otherwise.
    public var isReadOnly = true
    public var id = ""
    public var sharing = Sharing.shared
    public var isRequired = false
    /// Octal in the text.
    public var mode: UInt32?
    public var uid: UInt32?
    public var gid: UInt32?
    /// tmpfs: bytes.
    public var size: Int64?
    /// secret: an environment variable to put it in.
    public var environmentName: String?

    init(_ text: String, line: Int) throws(DockerfileError) {
        let fields = Self.fields(text).map { field -> (key: String, value: String?) in
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]).trimmed.lowercased(), parts.count == 2 ? String(parts[1]) : nil)
        }
        if let type = fields.last(where: { $0.key == "type" })?.value {
            guard let kind = Kind(rawValue: type) else { throw DockerfileError("unsupported mount type \"\(type)\"", line: line) }
            self.kind = kind
        }
        isReadOnly = kind == .bind
        for field in fields { try set(field.key, field.value, line: line) }
        if target.isEmpty && kind != .secret && kind != .ssh {
            throw DockerfileError("mount of type \(kind.rawValue) has no target", line: line)
        }
        if kind == .cache && id.isEmpty { id = target }
    }

    private mutating func set(_ key: String, _ value: String?, line: Int) throws(DockerfileError) {
        switch key {
        case "readonly", "ro":
            isReadOnly = try Self.flag(key, value, line)
            return
        case "readwrite", "rw":
            isReadOnly = try !Self.flag(key, value, line)
            return
        case "required":
            isRequired = try Self.flag(key, value, line)
            return
        default: break
        }
        guard let value else { throw DockerfileError("invalid field '\(key)' must be a key=value pair", line: line) }
        switch key {
        case "type": break
        case "from" where kind == .bind || kind == .cache: from = value
        case "source", "src": source = value
        case "target", "dst", "destination": target = value
        case "id": id = value
        case "sharing" where kind == .cache:
            guard let sharing = Sharing(rawValue: value) else {
                throw DockerfileError("unsupported sharing value \"\(value)\"", line: line)
            }
            self.sharing = sharing
        case "mode": mode = try Self.number(key, value, radix: 8, line)
        case "uid": uid = try Self.number(key, value, radix: 10, line)
        case "gid": gid = try Self.number(key, value, radix: 10, line)
        case "size" where kind == .tmpfs: size = try Self.bytes(value, line)
        case "env" where kind == .secret: environmentName = value
        default: throw DockerfileError("unexpected key '\(key)' for mount type '\(kind.rawValue)'", line: line)
        }
    }

    private static func flag(_ key: String, _ value: String?, _ line: Int) throws(DockerfileError) -> Bool {
        switch value?.lowercased() {
        case nil, "true", "1": return true
        case "false", "0": return false
        case let value?: throw DockerfileError("invalid value for \(key): \(value)", line: line)
        }
    }

    private static func number(_ key: String, _ value: String, radix: Int, _ line: Int) throws(DockerfileError) -> UInt32 {
        guard let number = UInt32(value, radix: radix) else { throw DockerfileError("invalid value \(value) for \(key)", line: line) }
        return number
    }

    /// `64m`, `1g`, `4096`.
    private static func bytes(_ value: String, _ line: Int) throws(DockerfileError) -> Int64 {
        var digits = value.lowercased()
        if digits.hasSuffix("b") { digits.removeLast() }
        var shift: Int64 = 0
        if let suffix = digits.last, let index = "kmgt".firstIndex(of: suffix) {
            shift = 10 * Int64("kmgt".distance(from: "kmgt".startIndex, to: index) + 1)
            digits.removeLast()
        }
        guard let number = Int64(digits), number >= 0, number <= Int64.max >> shift else {
            throw DockerfileError("invalid value \(value) for size", line: line)
        }
        return number << shift
    }

    /// Fields between commas; double quotes around a field protect commas.
    private static func fields(_ text: String) -> [String] {
        var fields: [String] = []
        var field = ""
        var isQuoted = false
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": isQuoted.toggle()
            case "," where !isQuoted:
                fields.append(field)
                field = ""
            default: field.unicodeScalars.append(scalar)
            }
        }
        return fields + [field]
    }
}
