internal import ClientUI
internal import Engine
internal import EngineTypes
internal import JSON
internal import Linux
internal import Netlink

extension DaemonOption {
    /// What containers are like where their requests leave it open.
    static let containerDefaults: [DaemonOption] = [
        bool(
            "init", Flag("init", .bool, "Run an init in the container to forward signals and reap processes"),
            \.containerDefaults.usesInit
        ).reloadable(),
        bool(
            "no-new-privileges", Flag("no-new-privileges", .bool, "Set no-new-privileges by default for new containers"),
            \.containerDefaults.hasNoNewPrivileges
        ).reloadable(),
        word(
            "default-ipc-mode", Flag("default-ipc-mode", .string, "Default mode for containers ipc (\"shareable\" | \"private\")"),
            of: ["private", "shareable"]
        ) { $0.containerDefaults.ipcMode = $1 }.reloadable(),
        word(
            "default-cgroupns-mode",
            Flag("default-cgroupns-mode", .string, "Default mode for containers cgroup namespace (\"host\" | \"private\")"),
            of: ["host", "private"]
        ) { $0.containerDefaults.cgroupnsMode = $1 }.reloadable(),
        DaemonOption(key: "host-gateway-ip", flag: nil, isReloadable: true) { options, value throws(OptionError) in
            options.containerDefaults.hostGateways = try hostGateways([try value.text(of: "host-gateway-ip")], "host-gateway-ip")
        },
        DaemonOption(
            key: "host-gateway-ips",
            flag: Flag("host-gateway-ip", .list, "IP addresses that the special 'host-gateway' string in --add-host resolves to"),
            isReloadable: true
        ) { options, value throws(OptionError) in
            guard options.containerDefaults.hostGateways.isEmpty else {
                throw OptionError("host-gateway-ip is given already; host-gateway-ips takes its place")
            }
            options.containerDefaults.hostGateways = try hostGateways(try value.texts(of: "host-gateway-ips"), "host-gateway-ips")
        },
        DaemonOption(
            key: "default-ulimits", flag: Flag("default-ulimit", .list, "Default ulimits for containers (name=soft[:hard])"),
            apply: setUlimits),
    ]

    /// One of each family at most, as dockerd has it.
    private static func hostGateways(_ texts: [String], _ key: String) throws(OptionError) -> [IPAddress] {
        var found: [IPAddress] = []
        for text in texts where !text.isEmpty {
            guard let address = IPAddress(text) else { throw OptionError("\(key): \(text) is not an IP address") }
            if found.contains(where: { $0.family == address.family }) {
                throw OptionError("\(key): only one \(address.family == .v4 ? "IPv4" : "IPv6") address can be given")
            }
            found.append(address)
        }
        return found.sorted { $0.family == .v4 && $1.family == .v6 }
    }

    private static func word(
        _ key: String, _ flag: Flag, of words: [String], _ set: @escaping @Sendable (inout DaemonOptions, String) -> Void
    ) -> DaemonOption {
        DaemonOption(key: key, flag: flag) { options, value throws(OptionError) in
            let text = try value.text(of: key)
            guard words.contains(text) else { throw OptionError("\(key): \(text) is not one of \(words.joined(separator: ", "))") }
            set(&options, text)
        }
    }

    /// `{"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 2048}}` of the file, or `["nofile=1024:2048"]` of the flag.
    @Sendable private static func setUlimits(_ options: inout DaemonOptions, _ value: JSONValue) throws(OptionError) {
        var limits: [String: (soft: Int64, hard: Int64)] = [:]
        if let texts = value.arrayValue?.compactMap(\.stringValue) {
            for text in texts {
                let pair = text.split(separator: "=", maxSplits: 1).map(String.init)
                let numbers = pair.count == 2 ? pair[1].split(separator: ":").map { Int64($0) } : []
                guard (1...2).contains(numbers.count), let soft = numbers[0], let hard = numbers[numbers.count - 1] else {
                    throw OptionError("invalid argument \"\(text)\" for \"--default-ulimit\" flag: invalid ulimit argument: \(text)")
                }
                limits[pair[0].lowercased()] = (soft, hard)
            }
        } else {
            for member in try value.object(of: "default-ulimits").members {
                guard let soft = member.value["Soft"]?.intValue, let hard = member.value["Hard"]?.intValue else {
                    throw OptionError("default-ulimits.\(member.name): expected Soft and Hard, two numbers")
                }
                limits[member.name.lowercased()] = (soft, hard)
            }
        }
        options.defaultUlimits = limits
    }
}

extension DaemonOptions {
    /// What no network could be made with.
    func checkNetworks() throws(OptionError) {
        if let mtu, !(0...65535).contains(mtu) { throw OptionError("invalid default MTU: \(mtu)") }
        if let wrong = dns.first(where: { IPAddress($0) == nil }) { throw OptionError("\(wrong) is not an ip address") }
    }

    /// What no container could start with.
    func checkContainerDefaults() throws(OptionError) {
        if shmSize < 0 { throw OptionError("default-shm-size: \(shmSize) is less than 0") }
        if cgroupParent.split(separator: "/").contains("..") { throw OptionError("cgroup-parent: \(cgroupParent) contains ..") }
        do throws(EngineError) { try cgroupDriver.check(parent: cgroupParent) } catch { throw OptionError(error.message) }
        for (name, limit) in defaultUlimits.sorted(by: { $0.key < $1.key }) {
            guard ResourceLimitKind(name: "RLIMIT_\(name.uppercased())") != nil else {
                throw OptionError("default-ulimits: invalid ulimit type: \(name)")
            }
            if limit.hard >= 0 && (limit.soft < 0 || limit.soft > limit.hard) {
                throw OptionError(
                    "default-ulimits.\(name): ulimit soft limit must be less than or equal to hard limit: \(limit.soft) > \(limit.hard)")
            }
        }
    }
}
