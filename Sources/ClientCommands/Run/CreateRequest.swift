internal import ClientUI
internal import EngineTypes
internal import Linux

/// From the flags of `run` and `create` to the body of `POST /containers/create`.
/// What a flag didn't say stays nil: the daemon knows its defaults.
struct CreateRequest {
    let flags: FlagValues
    let image: String
    let command: [String]
    /// Variables that a container gets unless a flag sets them.
    private let proxies: [(name: String, value: String)]
    private(set) var request = ContainerCreateRequest(config: ContainerConfig())
    private var host = HostConfig()

    /// Which streams the client attaches.
    struct Streams: Equatable {
        var stdin = false
        var stdout = false
        var stderr = false
    }

    let streams: Streams

    init(flags: FlagValues, arguments: [String], proxies: [(name: String, value: String)] = []) throws {
        self.flags = flags
        self.proxies = proxies
        image = arguments[0]
        command = Array(arguments.dropFirst())
        streams = try Self.streams(flags)
        try refuse()
        try fillConfig()
        try fillHealth()
        try fillPorts()
        try fillHost()
        try fillResources()
        try fillIsolation()
        try fillStorage()
        try fillNetwork()
        request.hostConfig = host
    }

    /// Without -a: stdout and stderr, and stdin with -i.
    private static func streams(_ flags: FlagValues) throws -> Streams {
        var streams = Streams()
        for name in flags.list("attach") {
            switch name.lowercased() {
            case "stdin": streams.stdin = true
            case "stdout": streams.stdout = true
            case "stderr": streams.stderr = true
            default:
                throw Failure.flag("-a, --attach", name, "valid streams are STDIN, STDOUT and STDERR")
            }
        }
        if flags.has("attach") { return streams }
        return Streams(stdin: flags.bool("interactive"), stdout: true, stderr: true)
    }

    private func refuse() throws {
        if flags.bool("use-api-socket") { throw Failure.notImplemented("--use-api-socket") }
        for flag in ["cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"] where flags.has(flag) {
            throw Failure("--\(flag) is for Windows only", code: 125)
        }
    }

    private mutating func fillConfig() throws {
        var config = ContainerConfig()
        config.Image = image
        if !command.isEmpty { config.Cmd = CommandWords(command) }
        config.Hostname = flags.given("hostname")
        config.Domainname = flags.given("domainname")
        config.User = flags.given("user")
        config.WorkingDir = flags.given("workdir")
        config.Tty = flags.bool("tty")
        config.OpenStdin = flags.bool("interactive")
        let isDetached = flags.bool("detach")
        config.AttachStdin = streams.stdin && !isDetached
        config.AttachStdout = streams.stdout && !isDetached
        config.AttachStderr = streams.stderr && !isDetached
        config.StdinOnce = flags.bool("interactive") && streams.stdin && !isDetached
        if let entrypoint = flags.given("entrypoint") { config.Entrypoint = CommandWords(entrypoint.isEmpty ? [""] : [entrypoint]) }
        var variables = try flags.list("env-file").flatMap { try ValueSpecs.file($0, takesEnvironment: true) }
        variables += try flags.list("env").map(ValueSpecs.variable)
        let named = Set(variables.map { $0.prefix { $0 != "=" } })
        variables += proxies.filter { !named.contains($0.name[...]) }.map { "\($0.name)=\($0.value)" }
        if !variables.isEmpty { config.Env = variables }
        config.Labels = try labels()
        config.StopSignal = flags.given("stop-signal")
        config.StopTimeout = flags.givenInt("stop-timeout").map { Int($0) }
        request.config = config
    }

    private func labels() throws -> [String: String]? {
        var labels: [String: String] = [:]
        for text in try flags.list("label-file").flatMap({ try ValueSpecs.file($0, takesEnvironment: false) }) + flags.list("label") {
            let pair = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard !pair[0].isEmpty else { throw Failure("invalid label format: \(quoted(text))", code: 125) }
            labels[pair[0]] = pair.count == 2 ? pair[1] : ""
        }
        return labels.isEmpty ? nil : labels
    }

    private mutating func fillHealth() throws {
        let names = ["health-cmd", "health-interval", "health-timeout", "health-start-period", "health-start-interval", "health-retries"]
        let hasHealth = names.contains { flags.has($0) }
        if flags.bool("no-healthcheck") {
            if hasHealth { throw Failure("--no-healthcheck conflicts with --health-* options", code: 125) }
            var health = HealthConfig()
            health.Test = ["NONE"]
            request.config.Healthcheck = health
            return
        }
        guard hasHealth else { return }
        for name in names.dropFirst() {
            guard (flags.duration(name) ?? flags.givenInt(name) ?? 0) >= 0 else { throw Failure("--\(name) cannot be negative", code: 125) }
        }
        var health = HealthConfig()
        if let command = flags.given("health-cmd") { health.Test = ["CMD-SHELL", command] }
        health.Interval = flags.duration("health-interval")
        health.Timeout = flags.duration("health-timeout")
        health.StartPeriod = flags.duration("health-start-period")
        health.StartInterval = flags.duration("health-start-interval")
        health.Retries = flags.givenInt("health-retries").map { Int($0) }
        request.config.Healthcheck = health
    }

    private mutating func fillPorts() throws {
        var bindings: [String: [PortBinding]?] = [:]
        var exposed: [String: EmptyObject] = [:]
        for text in flags.list("publish") {
            for port in text.contains("=") ? try PortSpec.parseLong(text) : try PortSpec.parse(text) {
                bindings[port.container, default: []]?.append(PortBinding(HostIp: port.hostAddress, HostPort: port.hostPort))
                exposed[port.container] = EmptyObject()
            }
        }
        for text in flags.list("expose") { for port in try PortSpec.exposed(text) { exposed[port] = EmptyObject() } }
        if !bindings.isEmpty { host.PortBindings = bindings }
        if !exposed.isEmpty { request.config.ExposedPorts = exposed }
        if flags.bool("publish-all") { host.PublishAllPorts = true }
    }

    private mutating func fillHost() throws {
        host.ContainerIDFile = flags.given("cidfile")
        host.AutoRemove = flags.bool("rm")
        host.RestartPolicy = try flags.given("restart").map(ValueSpecs.restart)
        if flags.bool("rm"), let name = host.RestartPolicy?.Name, name != "no", !name.isEmpty {
            throw Failure("conflicting options: cannot specify both --restart and --rm", code: 125)
        }
        host.Init = flags.givenBool("init")
        host.Runtime = flags.given("runtime")
        host.Isolation = flags.given("isolation")
        if flags.has("annotation") { host.Annotations = flags.pairs("annotation") }
        if flags.has("log-driver") || flags.has("log-opt") {
            if flags.string("log-driver") == "none" && flags.has("log-opt") {
                throw Failure("invalid logging opts for driver none", code: 125)
            }
            host.LogConfig = LogConfig(Type: flags.string("log-driver"), Config: flags.pairs("log-opt"))
        }
        if flags.bool("tty"), let size = Terminal.size(1) { host.ConsoleSize = [Int(size.rows), Int(size.columns)] }
    }

    private mutating func fillResources() throws {
        host.BlkioWeight = flags.givenInt("blkio-weight")
        host.BlkioWeightDevice = try parsed("blkio-weight-device", ValueSpecs.weight)
        host.BlkioDeviceReadBps = try parsed("device-read-bps") { try ValueSpecs.throttle($0, isBytes: true) }
        host.BlkioDeviceWriteBps = try parsed("device-write-bps") { try ValueSpecs.throttle($0, isBytes: true) }
        host.BlkioDeviceReadIOps = try parsed("device-read-iops") { try ValueSpecs.throttle($0, isBytes: false) }
        host.BlkioDeviceWriteIOps = try parsed("device-write-iops") { try ValueSpecs.throttle($0, isBytes: false) }
        host.CgroupParent = flags.given("cgroup-parent")
        host.CpuPeriod = flags.givenInt("cpu-period")
        host.CpuQuota = flags.givenInt("cpu-quota")
        host.CpuRealtimePeriod = flags.givenInt("cpu-rt-period")
        host.CpuRealtimeRuntime = flags.givenInt("cpu-rt-runtime")
        host.CpuShares = flags.givenInt("cpu-shares")
        host.NanoCpus = flags.nano("cpus")
        host.CpusetCpus = flags.given("cpuset-cpus")
        host.CpusetMems = flags.given("cpuset-mems")
        host.KernelMemory = flags.bytes("kernel-memory")
        host.Memory = flags.bytes("memory")
        host.MemoryReservation = flags.bytes("memory-reservation")
        host.MemorySwap = flags.bytes("memory-swap")
        if let swappiness = flags.givenInt("memory-swappiness") {
            guard (-1...100).contains(swappiness) else {
                throw Failure("invalid value: \(swappiness). Valid memory swappiness range is 0-100", code: 125)
            }
            host.MemorySwappiness = swappiness
        }
        host.OomKillDisable = flags.givenBool("oom-kill-disable")
        host.OomScoreAdj = flags.givenInt("oom-score-adj").map { Int($0) }
        host.PidsLimit = flags.givenInt("pids-limit")
        host.ShmSize = flags.bytes("shm-size")
        host.Ulimits = try parsed("ulimit", ValueSpecs.ulimit)
    }

    private mutating func fillIsolation() throws {
        host.CapAdd = many("cap-add")
        host.CapDrop = many("cap-drop")
        host.CgroupnsMode = flags.given("cgroupns")
        let named = flags.list("device").filter(ValueSpecs.isDeviceName)
        host.Devices = try many("device").map { try $0.filter { !ValueSpecs.isDeviceName($0) }.map(ValueSpecs.device) }
        for text in flags.list("device-cgroup-rule") where !ValueSpecs.isDeviceRule(text) {
            throw Failure.flag("--device-cgroup-rule", text, "invalid device cgroup format '\(text)'")
        }
        host.DeviceCgroupRules = many("device-cgroup-rule")
        host.DeviceRequests = try parsed("gpus", ValueSpecs.gpus)
        if !named.isEmpty {
            var request = DeviceRequest()
            request.Driver = "cdi"
            request.DeviceIDs = named
            host.DeviceRequests = (host.DeviceRequests ?? []) + [request]
        }
        host.GroupAdd = many("group-add")
        host.IpcMode = flags.given("ipc")
        func check(_ flag: String, _ allowed: [String], _ what: String) throws {
            guard let mode = flags.given(flag), !allowed.contains(mode) else { return }
            let isJoined = flag == "pid" && mode.hasPrefix("container:") && mode != "container:"
            if !isJoined { throw Failure("--\(flag): invalid \(what) mode", code: 125) }
        }
        try check("pid", ["", "host"], "PID")
        try check("uts", ["", "host"], "UTS")
        try check("userns", ["", "host"], "USER")
        try check("cgroupns", ["", "host", "private"], "CGROUP")
        host.PidMode = flags.given("pid")
        host.Privileged = flags.givenBool("privileged")
        host.ReadonlyRootfs = flags.givenBool("read-only")
        host.UsernsMode = flags.given("userns")
        host.UTSMode = flags.given("uts")
        for text in flags.list("sysctl") where !ValueSpecs.isNamespacedSysctl(text) {
            throw Failure.flag("--sysctl", text, "sysctl '\(text)' is not allowed")
        }
        if flags.has("sysctl") { host.Sysctls = flags.pairs("sysctl") }
        var options: [String] = []
        for text in flags.list("security-opt") {
            if text == "systempaths=unconfined" {
                host.MaskedPaths = []
                host.ReadonlyPaths = []
            } else {
                options.append(try ValueSpecs.securityOption(text))
            }
        }
        if !options.isEmpty { host.SecurityOpt = options }
    }

    private mutating func fillStorage() throws {
        var volumes: [String: EmptyObject] = [:]
        var binds: [String] = []
        for text in flags.list("volume") {
            switch try VolumeSpec.parse(text) {
            case .anonymous(let path): volumes[path] = EmptyObject()
            case .bind(let bind): binds.append(bind)
            }
        }
        if !volumes.isEmpty { request.config.Volumes = volumes }
        if !binds.isEmpty { host.Binds = binds }
        host.Mounts = try parsed("mount", MountSpec.parse)
        host.VolumeDriver = flags.given("volume-driver")
        host.VolumesFrom = many("volumes-from")
        if flags.has("storage-opt") { host.StorageOpt = flags.pairs("storage-opt") }
        if flags.has("tmpfs") {
            var mounts: [String: String] = [:]
            for text in flags.list("tmpfs") {
                let pair = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                mounts[pair[0]] = pair.count == 2 ? pair[1] : ""
            }
            host.Tmpfs = mounts
        }
    }

    private mutating func fillNetwork() throws {
        host.ExtraHosts = try parsed("add-host", ValueSpecs.extraHost)
        host.Dns = many("dns")
        for address in flags.list("dns") where !IPText.isAddress(address) {
            throw Failure.flag("--dns", address, "IP address is not correctly formatted: \(address)")
        }
        host.DnsOptions = many("dns-option") ?? many("dns-opt")
        host.DnsSearch = many("dns-search")
        host.Links = try many("link").map { try $0.map(ValueSpecs.link) }
        let address = flags.given("mac-address")
        if let address, !ValueSpecs.isMACAddress(address) { throw Failure("\(address) is not a valid mac address", code: 125) }
        let networks = try (flags.list("network") + flags.list("net")).map(NetworkSpec.parse)
        host.NetworkMode = networks.first?.name
        var endpoints: [String: EndpointSettings?] = [:]
        for (index, network) in networks.enumerated() {
            var endpoint = network.endpoint
            if index == 0 { try addFlags(to: &endpoint) }
            if endpoint != nil || networks.count > 1 { endpoints[network.name] = endpoint ?? EndpointSettings() }
        }
        if networks.isEmpty {
            var endpoint: EndpointSettings?
            try addFlags(to: &endpoint)
            if let endpoint { endpoints["default"] = endpoint }
        }
        for (name, endpoint) in endpoints where endpoint?.Aliases?.isEmpty == false && !Self.isUserDefined(name) {
            throw Failure("network-scoped aliases are only supported for user-defined networks", code: 125)
        }
        if !endpoints.isEmpty {
            var configuration = NetworkingConfig()
            configuration.EndpointsConfig = endpoints
            request.networkingConfig = configuration
        }
    }

    private static func isUserDefined(_ network: String) -> Bool {
        !["", "default", "bridge", "host", "none"].contains(network) && !network.hasPrefix("container:")
    }

    /// --network-alias, --ip, --ip6, --link-local-ip, --mac-address belong to the first network.
    private func addFlags(to endpoint: inout EndpointSettings?) throws {
        let aliases = flags.list("network-alias") + flags.list("net-alias")
        let local = flags.list("link-local-ip")
        guard !aliases.isEmpty || flags.has("ip") || flags.has("ip6") || !local.isEmpty || flags.has("mac-address") else { return }
        var settings = endpoint ?? EndpointSettings()
        if let address = flags.given("mac-address") { settings.MacAddress = address }
        if !aliases.isEmpty { settings.Aliases = (settings.Aliases ?? []) + aliases }
        if flags.has("ip") || flags.has("ip6") || !local.isEmpty {
            var addresses = settings.IPAMConfig ?? EndpointIPAMConfig()
            if let address = flags.given("ip") {
                guard IPText.isV4(address) else { throw Failure("invalid IPv4 address: \(address)", code: 125) }
                addresses.IPv4Address = address
            }
            if let address = flags.given("ip6") {
                guard IPText.isV6(address) else { throw Failure("invalid IPv6 address: \(address)", code: 125) }
                addresses.IPv6Address = address
            }
            if !local.isEmpty { addresses.LinkLocalIPs = local }
            settings.IPAMConfig = addresses
        }
        endpoint = settings
    }

    /// The values of a flag, read by its own grammar; what that refuses is told as a wrong use of the flag.
    private func parsed<Value>(_ name: String, _ parse: (String) throws -> Value) throws -> [Value]? {
        try many(name)?.map { text in
            do { return try parse(text) } catch { throw Failure.flag("--\(name)", text, message(of: error)) }
        }
    }

    /// The values of a flag that may stand several times; nil when it wasn't given.
    private func many(_ name: String) -> [String]? { flags.has(name) ? flags.list(name) : nil }
}
