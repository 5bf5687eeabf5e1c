internal import Glibc
internal import Linux
internal import YAML

/// How a registry serves. Every key of the file stands in docs/registry.md; a unit test compares them.
public struct RegistryConfiguration: Sendable {
    /// Where to listen: `HOST:PORT`.
    public var address = "127.0.0.1:5000"
    /// Where repositories (unless they are in a bucket), uploads under way and locks are kept.
    public var root = "/var/lib/clipper-registry"
    /// Nothing can be pushed or deleted.
    public var isReadOnly = false
    /// Whether tags, manifests and blobs can be deleted.
    public var allowsDeletion = true
    /// Sent with each answer as a `Warning` header (distribution-spec, "Warnings").
    public var warning: String?
    public var tls: TLS?
    public var log = Log()
    public var limits = Limits()
    /// Nil: files under `root`.
    public var s3: S3?
    public var htpasswd: Htpasswd?
    public var token: Token?
    public var access: [AccessRule] = []
    public var garbageCollection = GarbageCollection()
    public var proxy: Proxy?
    public var notifications: [Notification] = []
    /// Whether `/metrics` answers, to everybody who can connect.
    public var servesMetrics = false

    public struct TLS: Sendable {
        /// PEM files.
        public var certificate: String
        public var key: String
        /// When given, clients must show a certificate by one of these.
        public var clientAuthorities: String?
    }

    public struct Log: Sendable {
        /// trace, debug, info, notice, warning, error, critical.
        public var level = "info"
        /// One line of JSON on standard output for each request.
        public var access = true
    }

    public struct Limits: Sendable {
        /// Bytes.
        public var manifest = 4 << 20
        /// Bytes of a request's line and header fields.
        public var header = 64 << 10
        /// Seconds that a client may leave a connection without a byte.
        public var idle = 60
    }

    public struct S3: Sendable {
        /// `https://HOST[:PORT]`.
        public var endpoint: String
        public var region = "us-east-1"
        public var bucket: String
        /// Before each key; without slash at its end.
        public var prefix = ""
        /// False: the bucket is the first part of the host's name.
        public var usesPathStyle = true
        public var accessKey: String
        public var secretKey: String
        /// Of credentials that last for a while only.
        public var sessionToken: String?
        /// Bytes of a part of a multipart upload.
        public var part = 16 << 20
    }

    public struct Htpasswd: Sendable {
        public var file: String
        public var realm = "clipper-registry"
        /// Whether `/v2/` asks for credentials although anonymous access may be allowed.
        public var challengesBase = true
    }

    public struct Token: Sendable {
        public var realm: String
        public var service: String
        public var issuer: String?
        public var publicKeys: [String] = []
        public var jwks: String?
        /// Seconds.
        public var leeway = 60
    }

    public struct AccessRule: Sendable {
        public var repositories: [String]
        public var users: [String]
        public var actions: [String]
    }

    public struct GarbageCollection: Sendable {
        /// Seconds between two runs; 0: never by itself.
        public var interval = 86_400
        /// Seconds that content may lie unused.
        public var grace = 3600
        /// Seconds that an upload may rest.
        public var uploads = 86_400
        /// Whether manifests go that have no tag and that nothing else names.
        public var untagged = false
    }

    public struct Proxy: Sendable {
        /// `https://HOST[:PORT]`.
        public var remote: String
        public var username: String?
        public var password: String?
        /// Seconds for which a tag is not asked for again.
        public var revalidate = 60
    }

    public struct Notification: Sendable {
        public var url: String
        public var headers: [(String, String)] = []
        /// Seconds.
        public var timeout = 5
        /// How often an event is tried.
        public var attempts = 10
        /// Events that wait; when there are more, the oldest goes.
        public var queue = 1000
        /// push, pull, mount, delete.
        public var actions: [String] = ["push", "pull", "mount", "delete"]
    }

    public init() {}
}

extension RegistryConfiguration {
    /// Reads a YAML file. Throws `ConfigurationError` for a key that is unknown or has a wrong value, with file and line.
    public init(file path: String) throws {
        let bytes: [UInt8]
        do { bytes = try Files.read(path, limit: 4 << 20) } catch { throw ConfigurationError("\(error)") }
        try self.init(yaml: bytes, path: path)
    }

    init(yaml bytes: [UInt8], path: String) throws {
        self.init()
        let parsed: YAML?
        do { parsed = try YAML.parse(bytes, path: path) } catch let error as YAMLError { throw ConfigurationError(error.description) }
        guard let document = parsed else { return }
        let top = try Section(document, name: "", path: path)
        address = try top.text("address") ?? address
        root = try top.text("root") ?? root
        isReadOnly = try top.flag("readOnly") ?? isReadOnly
        allowsDeletion = try top.flag("deletion") ?? allowsDeletion
        warning = try top.text("warning")
        servesMetrics = try top.flag("metrics") ?? servesMetrics
        try readServer(top)
        try readStorage(top)
        try readAuthentication(top)
        try readProxy(top)
        try top.end()
    }

    private mutating func readServer(_ top: Section) throws {
        if let section = try top.section("tls") {
            tls = TLS(
                certificate: try section.required("certificate"), key: try section.required("key"),
                clientAuthorities: try section.text("clientAuthorities"))
            try section.end()
        }
        if let section = try top.section("log") {
            log.level = try section.text("level") ?? log.level
            guard ["trace", "debug", "info", "notice", "warning", "error", "critical"].contains(log.level) else {
                throw section.error("level", "is no level: \(log.level)")
            }
            log.access = try section.flag("access") ?? log.access
            try section.end()
        }
        if let section = try top.section("limits") {
            limits.manifest = try section.number("manifest", in: 1 << 10...1 << 28) ?? limits.manifest
            limits.header = try section.number("header", in: 1 << 10...1 << 20) ?? limits.header
            limits.idle = try section.seconds("idle", atLeast: 1) ?? limits.idle
            try section.end()
        }
        for section in try top.sections("notifications") ?? [] {
            var notification = Notification(url: try section.required("url"))
            guard notification.url.hasPrefix("http://") || notification.url.hasPrefix("https://") else {
                throw section.error("url", "must begin with http:// or https://")
            }
            notification.headers = try section.pairs("headers") ?? []
            notification.timeout = try section.seconds("timeout", atLeast: 1) ?? notification.timeout
            notification.attempts = try section.number("attempts", in: 1...1000) ?? notification.attempts
            notification.queue = try section.number("queue", in: 1...1_000_000) ?? notification.queue
            notification.actions = try section.texts("actions") ?? notification.actions
            for action in notification.actions where !["push", "pull", "mount", "delete"].contains(action) {
                throw section.error("actions", "has no action \(action)")
            }
            try section.end()
            notifications.append(notification)
        }
    }

    private mutating func readStorage(_ top: Section) throws {
        if let section = try top.section("s3") { s3 = try Self.s3(section) }
        if let section = try top.section("garbageCollection") {
            garbageCollection.interval = try section.seconds("interval") ?? garbageCollection.interval
            garbageCollection.grace = try section.seconds("grace", atLeast: 1) ?? garbageCollection.grace
            garbageCollection.uploads = try section.seconds("uploads", atLeast: 60) ?? garbageCollection.uploads
            garbageCollection.untagged = try section.flag("untagged") ?? garbageCollection.untagged
            try section.end()
        }
    }

    private static func s3(_ section: Section) throws -> S3 {
        let endpoint = try section.required("endpoint")
        guard endpoint.hasPrefix("http://") || endpoint.hasPrefix("https://"),
            endpoint.split(separator: "/", omittingEmptySubsequences: true).count == 2
        else { throw section.error("endpoint", "must be http://HOST[:PORT] or https://HOST[:PORT]") }
        let (accessKey, secretKey, token) = try credentials(section)
        var s3 = S3(endpoint: endpoint, bucket: try section.required("bucket"), accessKey: accessKey, secretKey: secretKey)
        s3.sessionToken = token
        s3.region = try section.text("region") ?? s3.region
        s3.prefix = try section.text("prefix") ?? s3.prefix
        guard !s3.prefix.hasPrefix("/"), !s3.prefix.hasSuffix("/") else {
            throw section.error("prefix", "must not begin or end with a slash")
        }
        s3.usesPathStyle = try section.flag("pathStyle") ?? s3.usesPathStyle
        // S3 refuses smaller parts than 5 MiB, and more than 10,000 of them.
        s3.part = try section.number("part", in: 5 << 20...1 << 30) ?? s3.part
        try section.end()
        return s3
    }

    /// From the file, or all from the environment, where AWS's own tools look for them.
    private static func credentials(_ section: Section) throws -> (accessKey: String, secretKey: String, sessionToken: String?) {
        func variable(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        if let accessKey = try section.text("accessKey") {
            return (accessKey, try secret("secretKey", in: section), try section.text("sessionToken"))
        }
        guard let accessKey = variable("AWS_ACCESS_KEY_ID"), let secretKey = variable("AWS_SECRET_ACCESS_KEY") else {
            throw section.error("accessKey", "is missing, and AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY are not set")
        }
        return (accessKey, secretKey, variable("AWS_SESSION_TOKEN"))
    }

    private mutating func readAuthentication(_ top: Section) throws {
        if let section = try top.section("htpasswd") {
            var basic = Htpasswd(file: try section.required("file"))
            basic.realm = try section.text("realm") ?? basic.realm
            basic.challengesBase = try section.flag("challengeBase") ?? basic.challengesBase
            try section.end()
            htpasswd = basic
        }
        if let section = try top.section("token") {
            guard htpasswd == nil else { throw ConfigurationError(section.error("", "and htpasswd exclude each other").description) }
            var token = Token(realm: try section.required("realm"), service: try section.required("service"))
            token.issuer = try section.text("issuer")
            token.publicKeys = try section.texts("publicKeys") ?? []
            token.jwks = try section.text("jwks")
            token.leeway = try section.seconds("leeway") ?? token.leeway
            guard !token.publicKeys.isEmpty || token.jwks != nil else { throw section.error("publicKeys", "or token.jwks is missing") }
            try section.end()
            self.token = token
        }
        for section in try top.sections("access") ?? [] {
            let rule = AccessRule(
                repositories: try section.texts("repositories") ?? ["**"], users: try section.texts("users") ?? [],
                actions: try section.texts("actions") ?? [])
            guard !rule.users.isEmpty, !rule.actions.isEmpty else { throw section.error("users", "or actions are missing") }
            for action in rule.actions where Action(rawValue: action) == nil { throw section.error("actions", "has no action \(action)") }
            try section.end()
            access.append(rule)
        }
    }

    private mutating func readProxy(_ top: Section) throws {
        guard let section = try top.section("proxy") else { return }
        var proxy = Proxy(remote: try section.required("remote"))
        guard proxy.remote.hasPrefix("http://") || proxy.remote.hasPrefix("https://") else {
            throw section.error("remote", "must begin with http:// or https://")
        }
        proxy.username = try section.text("username")
        if proxy.username != nil { proxy.password = try Self.secret("password", in: section) }
        proxy.revalidate = try section.seconds("revalidate") ?? proxy.revalidate
        try section.end()
        self.proxy = proxy
    }

    /// A secret itself, or in a file of its own (`secretKeyFile`).
    private static func secret(_ key: String, in section: Section) throws -> String {
        if let text = try section.text(key) { return text }
        guard let path = try section.text(key + "File") else { throw section.error(key, "or \(section.name).\(key)File is missing") }
        let text: String
        do { text = try Files.readText(path) } catch { throw section.error(key + "File", ": \(error)") }
        return String(text.prefix { $0 != "\n" && $0 != "\r" })
    }
}
