internal import ClientUI
internal import Glibc
internal import JSON
internal import Linux

/// What the daemon is told: dockerd's flags and daemon.json's keys of the same meaning. Flags win.
struct DaemonOptions {
    var hosts: [String] = []
    var dataRoot = "/var/lib/clipper"
    var execRoot = "/run/clipper"
    var pidFile: String?
    var logLevel = "info"
    var isDebug = false
    var group: String?
    var bridgeAddress: String?
    var mtu: Int?
    var forwardsIP = true
    var publishAddress: String?
    var dns: [String] = []
    var dnsSearch: [String] = []
    var dnsOptions: [String] = []
    var labels: [String] = []
    var runtimes: [String: String] = [:]
    var defaultRuntime = "clipper"
    var cgroupParent = "/clipper"
    var shmSize: Int64 = 67_108_864
    var logDriver = "json-file"
    var logOptions: [String: String]?
    var runtimeExecutable: String?
    /// Remove bridges and firewall rules at the end when no container runs.
    var cleansUp = true

    static let standardExecRoot = "/run/clipper"

    static let flags: [Flag] = [
        Flag("add-runtime", .list, "Register an additional OCI compatible runtime (name=path)"),
        Flag("bip", .string, "Address and network of the default bridge, as 172.30.0.1/16"),
        Flag("cgroup-parent", .string, "Parent cgroup of all containers", default: "/clipper"),
        Flag("config-file", .string, "Daemon configuration file", default: "/etc/clipper/daemon.json"),
        Flag("data-root", .string, "Directory of images, containers and volumes", default: "/var/lib/clipper"),
        Flag("debug", "D", .bool, "Log debug messages"),
        Flag("default-runtime", .string, "Runtime of containers that name none", default: "clipper"),
        Flag("default-shm-size", .bytes, "Size of /dev/shm", default: "64MiB"),
        Flag("dns", .list, "DNS server of containers"),
        Flag("dns-opt", .list, "DNS option of containers"),
        Flag("dns-search", .list, "DNS search domain of containers"),
        Flag("exec-root", .string, "Directory of what does not survive a reboot", default: "/run/clipper"),
        Flag("group", "G", .string, "Group of the Unix socket"),
        Flag("host", "H", .list, "Where to listen: unix:///path, tcp://address:port (several allowed)"),
        Flag("ip", .string, "Host address of published ports that name none"),
        Flag("ip-forward", .bool, "Enable net.ipv4.ip_forward", default: "true"),
        Flag("keep-networks", .bool, "Leave bridges and firewall rules behind at the end"),
        Flag("label", .list, "Label of this daemon (key=value)"),
        Flag("log-driver", .string, "Log driver of containers that name none", default: "json-file"),
        Flag("log-level", "l", .string, "debug, info, warn, error or fatal", default: "info"),
        Flag("log-opt", .map, "Log option of containers that give none"),
        Flag("mtu", .int, "MTU of container networks"),
        Flag("pidfile", "p", .string, "File that holds the daemon's process number"),
        Flag("runtime-path", .string, "Path of clipper-runtime; beside clipperd unless given"),
        Flag("version", "v", .bool, "Print the version and quit"),
    ]

    /// Reads the configuration file and then the flags. Throws `OptionError`.
    init(_ values: FlagValues) throws {
        let path = values.given("config-file")
        if path != nil || Files.exists("/etc/clipper/daemon.json") { try read(file: path ?? "/etc/clipper/daemon.json") }
        if values.has("host") { hosts = values.list("host") }
        if let text = values.given("data-root") { dataRoot = text }
        if let text = values.given("exec-root") { execRoot = text }
        pidFile = values.given("pidfile") ?? pidFile
        logLevel = values.given("log-level") ?? logLevel
        isDebug = values.givenBool("debug") ?? isDebug
        group = values.given("group") ?? group
        bridgeAddress = values.given("bip") ?? bridgeAddress
        if let number = values.givenInt("mtu") { mtu = Int(number) }
        forwardsIP = values.givenBool("ip-forward") ?? forwardsIP
        publishAddress = values.given("ip") ?? publishAddress
        dns += values.list("dns")
        dnsSearch += values.list("dns-search")
        dnsOptions += values.list("dns-opt")
        labels += values.list("label")
        for text in values.list("add-runtime") {
            let pair = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard pair.count == 2 else { throw OptionError("invalid argument \"\(text)\" for \"--add-runtime\" flag: expected name=path") }
            runtimes[pair[0]] = pair[1]
        }
        defaultRuntime = values.given("default-runtime") ?? defaultRuntime
        cgroupParent = values.given("cgroup-parent") ?? cgroupParent
        shmSize = values.bytes("default-shm-size").flatMap { values.has("default-shm-size") ? $0 : nil } ?? shmSize
        logDriver = values.given("log-driver") ?? logDriver
        if values.has("log-opt") { logOptions = (logOptions ?? [:]).merging(values.pairs("log-opt")) { $1 } }
        runtimeExecutable = values.given("runtime-path")
        cleansUp = !(values.givenBool("keep-networks") ?? false)
        if hosts.isEmpty { hosts = ["unix:///run/clipper.sock"] }
        try check()
    }

    private func check() throws(OptionError) {
        for path in [dataRoot, execRoot] where !path.hasPrefix("/") { throw OptionError("\(path) is not an absolute path") }
        guard ["debug", "info", "warn", "error", "fatal"].contains(logLevel) else {
            throw OptionError("invalid logging level: \(logLevel)")
        }
        guard defaultRuntime == "clipper" || runtimes[defaultRuntime] != nil else {
            throw OptionError("specified default runtime '\(defaultRuntime)' does not exist")
        }
    }

    // MARK: daemon.json

    private mutating func read(file path: String) throws {
        let document: JSONValue
        do { document = try JSONValue(parsing: try Files.read(path)) } catch {
            throw OptionError("unable to configure the daemon with file \(path): \(error)")
        }
        guard case .object(let object) = document else {
            throw OptionError("unable to configure the daemon with file \(path): expected an object")
        }
        for member in object.members {
            do throws(OptionError) { try apply(member.name, member.value) } catch {
                throw OptionError("unable to configure the daemon with file \(path): \(error)")
            }
        }
    }

    private mutating func apply(_ key: String, _ value: JSONValue) throws(OptionError) {
        func text() throws(OptionError) -> String {
            guard let text = value.stringValue else { throw OptionError("\(key): expected a string, found \(value.kind)") }
            return text
        }
        func flag() throws(OptionError) -> Bool {
            guard let flag = value.boolValue else { throw OptionError("\(key): expected true or false, found \(value.kind)") }
            return flag
        }
        func texts() throws(OptionError) -> [String] {
            guard let elements = value.arrayValue, elements.allSatisfy({ $0.stringValue != nil }) else {
                throw OptionError("\(key): expected an array of strings")
            }
            return elements.compactMap(\.stringValue)
        }
        switch key {
        case "hosts": hosts = try texts()
        case "data-root": dataRoot = try text()
        case "exec-root": execRoot = try text()
        case "pidfile": pidFile = try text()
        case "log-level": logLevel = try text()
        case "debug": isDebug = try flag()
        case "group": group = try text()
        case "bip": bridgeAddress = try text()
        case "mtu":
            guard let number = value.intValue else { throw OptionError("mtu: expected a number, found \(value.kind)") }
            mtu = Int(number)
        case "ip-forward": forwardsIP = try flag()
        case "ip": publishAddress = try text()
        case "dns": dns = try texts()
        case "dns-search": dnsSearch = try texts()
        case "dns-opts": dnsOptions = try texts()
        case "labels": labels = try texts()
        case "runtimes":
            for member in value.objectValue?.members ?? [] {
                guard let path = member.value["path"]?.stringValue else { throw OptionError("runtimes.\(member.name).path is missing") }
                if !(member.value["runtimeArgs"]?.arrayValue ?? []).isEmpty {
                    throw OptionError("not implemented: runtimes.\(member.name).runtimeArgs")
                }
                runtimes[member.name] = path
            }
        case "default-runtime": defaultRuntime = try text()
        case "cgroup-parent": cgroupParent = try text()
        case "default-shm-size":
            guard let size = value.intValue ?? value.stringValue.flatMap(ByteSize.bytes) else {
                throw OptionError("default-shm-size: invalid size")
            }
            shmSize = size
        case "log-driver": logDriver = try text()
        case "log-opts":
            var options: [String: String] = [:]
            for member in value.objectValue?.members ?? [] { options[member.name] = member.value.stringValue ?? member.value.text() }
            logOptions = options
        case "live-restore":
            guard try flag() else { throw OptionError("live-restore: false is not possible: containers always outlive the daemon") }
        case "storage-driver":
            guard ["overlay2", "overlayfs", "overlay"].contains(try text()) else {
                throw OptionError("not implemented: storage-driver \(try text())")
            }
        case let other where Self.knownElsewhere.contains(other): throw OptionError("not implemented: daemon.json key \(other)")
        default: throw OptionError("the following directives don't match any configuration option: \(key)")
        }
    }

    /// dockerd's keys that Clipper does not have yet.
    private static let knownElsewhere: Set<String> = [
        "allow-nondistributable-artifacts", "api-cors-header", "authorization-plugins", "bridge", "builder", "cluster-advertise",
        "cluster-store", "containerd",
        "containerd-namespace", "containerd-plugin-namespace", "cpu-rt-period", "cpu-rt-runtime", "default-address-pools",
        "default-cgroupns-mode",
        "default-gateway", "default-gateway-v6", "default-ipc-mode", "default-network-opts", "default-ulimits", "exec-opts", "experimental",
        "features",
        "fixed-cidr", "fixed-cidr-v6", "host-gateway-ip", "http-proxy", "https-proxy", "icc", "init", "init-path", "insecure-registries",
        "ip-masq", "ip6tables",
        "iptables", "ipv6", "max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts", "metrics-addr",
        "no-new-privileges", "no-proxy",
        "node-generic-resources", "oom-score-adjust", "proxies", "raw-logs", "registry-mirrors", "seccomp-profile", "selinux-enabled",
        "shutdown-timeout",
        "storage-opts", "swarm-default-advertise-addr", "tls", "tlscacert", "tlscert", "tlskey", "tlsverify", "userland-proxy",
        "userland-proxy-path",
        "userns-remap",
    ]
}

/// A flag or a key of daemon.json that cannot be used.
struct OptionError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
