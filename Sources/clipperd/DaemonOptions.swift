internal import ClientUI
internal import Engine
internal import Glibc
internal import Images
internal import JSON
internal import Linux
internal import Netlink
internal import Networking
internal import RegistryClient

/// What the daemon is told: dockerd's flags and daemon.json's keys of the same meaning (`DaemonOption`).
struct DaemonOptions {
    var hosts: [String] = []
    var dataRoot = "/var/lib/clipper"
    var execRoot = DaemonOptions.standardExecRoot
    var pidFile: String?
    var logLevel = "info"
    var logFormat = DaemonLog.Format.text
    /// The oldest version of the API that clients may speak.
    var minimumAPIVersion = EngineVersion.minimumAPIVersion
    var isDebug = false
    var group: String?
    var usesTLS = false
    var verifiesClients = false
    var tlsAuthorities: String?
    var tlsCertificate: String?
    var tlsKey: String?
    var metricsAddress: String?
    var shutdownTimeout: Int?
    var defaultBridge = DefaultBridge()
    var addressPools: [NetworkConfiguration.AddressPool] = []
    /// Options of networks to be made, by driver.
    var defaultNetworkOptions: [String: [String: String]] = [:]
    var firewallFamilies: Set<IPAddress.Family> = [.v4, .v6]
    var admission = NetworkConfiguration.Admission()
    var mtu: Int?
    var forwardsIP = true
    var relaysIPv6 = true
    var publishAddress: String?
    var dns: [String] = []
    var dnsSearch: [String] = []
    var dnsOptions: [String] = []
    var labels: [String] = []
    var runtimes: [String: AdditionalRuntime] = [:]
    var defaultRuntime = "clipper"
    var runtimeTimeout: Int?
    var containerDefaults = ContainerDefaults()
    /// `builtin`, nothing, `unconfined` or the path of a file.
    var seccompProfile = ""
    var isExperimental = false
    /// Names of dockerd's, and whether they are on.
    var features = JSONObject()
    /// Whether devices are named by CDI specifications: the feature `cdi`.
    var usesDeviceSpecs: Bool { features["cdi"] != .bool(false) }
    /// What the kernel adds to the daemon's badness, -1000 … 1000; nil: what it was started with.
    var oomScoreAdjust: Int?
    /// Whose subordinate ids containers have; nil or empty: the host's.
    var remappedUser: String?
    var defaultUlimits: [String: (soft: Int64, hard: Int64)] = [:]
    var deviceSpecDirectories = ["/etc/cdi", "/var/run/cdi"]
    var cgroupDriver = CgroupDriver.cgroupfs
    /// Empty: the driver's own place for containers.
    var cgroupParent = ""
    /// Bytes of a container's writable layer where it names none; 0: as many as there is room for.
    var layerSize: Int64 = 0
    var shmSize: Int64 = 67_108_864
    var logDriver = "json-file"
    var logOptions: [String: String]?
    /// How large the build cache may grow.
    var builder = BuilderSettings()
    var registries = RegistrySettings()
    var transferLimits = TransferLimits()
    /// What becomes of packed layers that came.
    var blobPolicy = BlobPolicy.keep
    var runtimeExecutable: String?
    /// Remove bridges and firewall rules at the end when no container runs.
    var cleansUp = true
    /// What the configuration file says, by key.
    private(set) var file: [String: JSONValue] = [:]
    let configurationFile: String

    static let standardExecRoot = "/run/clipper"
    static let standardFile = "/etc/clipper/daemon.json"

    /// The flags of settings, and those that stand in no file.
    static let flags: [Flag] =
        DaemonOption.all.compactMap(\.flag) + [
            Flag("config-file", .string, "Daemon configuration file", default: standardFile),
            Flag("keep-networks", .bool, "Leave bridges and firewall rules behind at the end"),
            Flag("runtime-path", .string, "Path of clipper-runtime; beside clipperd unless given"),
            Flag("validate", .bool, "Validate daemon configuration and exit"),
            Flag("version", "v", .bool, "Print the version and quit"),
        ]

    /// Reads the configuration file and the flags. Throws `OptionError`.
    init(_ flags: FlagValues) throws(OptionError) {
        configurationFile = flags.given("config-file") ?? Self.standardFile
        if flags.has("config-file") || Files.exists(configurationFile) {
            do throws(OptionError) {
                try read(configurationFile, flags)
            } catch { throw OptionError("unable to configure the daemon with file \(configurationFile): \(error)") }
        }
        for option in DaemonOption.all {
            if let value = option.value(in: flags) { try option.apply(&self, value) }
        }
        runtimeExecutable = flags.given("runtime-path")
        cleansUp = !(flags.givenBool("keep-networks") ?? false)
        if hosts.isEmpty { hosts = ["unix:///run/clipper.sock"] }
        registries.proxies.fillIn(from: ProxySettings { getenv($0).map { String(cString: $0) } })
        try settleTLS(isNamed: flags.has("tlsverify") || file["tlsverify"] != nil)
        try check()
    }

    /// As dockerd: naming `tlsverify` at all turns TLS on, and files that are not named are those of the client.
    private mutating func settleTLS(isNamed: Bool) throws(OptionError) {
        usesTLS = usesTLS || isNamed
        guard usesTLS else { return }
        func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } }
        let directory = environment("DOCKER_CERT_PATH") ?? (environment("HOME") ?? "/root") + "/.docker"
        tlsCertificate = tlsCertificate ?? "\(directory)/cert.pem"
        tlsKey = tlsKey ?? "\(directory)/key.pem"
        if verifiesClients { tlsAuthorities = tlsAuthorities ?? "\(directory)/ca.pem" }
    }

    private func check() throws(OptionError) {
        for path in [dataRoot, execRoot] where !path.hasPrefix("/") { throw OptionError("\(path) is not an absolute path") }
        guard ["debug", "info", "warn", "error", "fatal"].contains(logLevel) else {
            throw OptionError("invalid logging level: \(logLevel)")
        }
        guard defaultRuntime == "clipper" || runtimes[defaultRuntime] != nil else {
            throw OptionError("specified default runtime '\(defaultRuntime)' does not exist")
        }
        if let label = labels.first(where: { !$0.contains("=") || $0.hasPrefix("=") }) {
            throw OptionError("bad attribute format: \(label)")
        }
        var values: [Substring: Substring] = [:]
        for label in labels {
            let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if let other = values.updateValue(parts[1], forKey: parts[0]), other != parts[1] {
                throw OptionError("conflict labels for \(parts[0])=\(parts[1]) and \(parts[0])=\(other)")
            }
        }
        if let shutdownTimeout, shutdownTimeout < -1 {
            throw OptionError("shutdown-timeout: expected -1 or more, found \(shutdownTimeout)")
        }
        if let objection = networkObjection { throw OptionError(objection) }
        try checkNetworks()
        try checkContainerDefaults()
        if let metricsAddress { _ = try MetricsServer.address(metricsAddress) }
        for host in hosts { _ = try Door(parsing: host, usesTLS: usesTLS) }
    }

    /// What dockerd says of settings that cannot go together.
    private var networkObjection: String? {
        if defaultBridge.isMissing || defaultBridge.hostBridge != nil {
            let given = [("--bip", defaultBridge.address), ("--bip6", defaultBridge.addressIPv6)].first { $0.1 != nil }
            if let flag = given?.0 { return "You specified -b & \(flag), mutually exclusive options. Please specify only one" }
        }
        if defaultBridge.allowsInterContainerTraffic { return nil }
        if !firewallFamilies.contains(.v4) {
            return
                "You specified --iptables=false with --icc=false. ICC=false uses iptables to function. Please set --icc or --iptables to true"
        }
        if defaultBridge.enablesIPv6, !firewallFamilies.contains(.v6) {
            return
                "You specified --ip6tables=false with --icc=false. ICC=false uses ip6tables to function. "
                + "Please set --icc or --ip6tables to true"
        }
        return nil
    }

    // MARK: daemon.json

    private mutating func read(_ path: String, _ flags: FlagValues) throws(OptionError) {
        let document: JSONValue
        do { document = try JSONValue(parsing: try Files.read(path)) } catch { throw OptionError("\(error)") }
        guard case .object(let object) = document else { throw OptionError("expected an object, found \(document.kind)") }
        for member in object.members { file[member.name] = member.value }
        let known = Set(DaemonOption.all.map(\.key))
        let unknown = file.keys.filter { !known.contains($0) }.sorted()
        if !unknown.isEmpty {
            throw OptionError("the following directives don't match any configuration option: \(unknown.joined(separator: ", "))")
        }
        let conflicts = DaemonOption.all.compactMap { option -> String? in
            guard !option.addsUp, let given = option.value(in: flags), let written = file[option.key] else { return nil }
            return "\(option.key): (from flag: \(given.goText), from file: \(written.goText))"
        }
        if !conflicts.isEmpty {
            throw OptionError(
                "the following directives are specified both as a flag and in the configuration file: \(conflicts.sorted().joined(separator: ", "))"
            )
        }
        for option in DaemonOption.all {
            if let value = file[option.key] { try option.apply(&self, value) }
        }
    }
}
