internal import ClientUI
internal import Engine
internal import JSON

extension DaemonOption {
    /// What protects the host from containers, and the daemon from the kernel.
    static let security: [DaemonOption] = [
        text(
            "seccomp-profile",
            Flag("seccomp-profile", .string, "Path to seccomp profile. Set to \"unconfined\" to disable the default seccomp profile"),
            \.seccompProfile),
        number(
            "oom-score-adjust", Flag("oom-score-adjust", .int, "Set the oom_score_adj for the daemon"), \.oomScoreAdjust),
        fixed(
            "selinux-enabled", Flag("selinux-enabled", .bool, "Enable selinux support (not possible)"), to: .bool(false),
            because: "containers get no SELinux labels"),
    ]

    /// What clients are told of dockerd's inner life, and settings of parts that Clipper has otherwise or not at all.
    static let dockersOwn: [DaemonOption] = [
        bool("experimental", Flag("experimental", .bool, "Enable experimental features"), \.isExperimental),
        DaemonOption(key: "features", flag: nil, apply: setFeatures),
        DaemonOption(key: "exec-opts", flag: Flag("exec-opt", .list, "Runtime execution options"), apply: setExecOptions),
        fixed(
            "raw-logs", Flag("raw-logs", .bool, "Full timestamps without ANSI coloring (always so)"), to: .bool(true), .bool(false),
            because: "it is true or false"),
        DaemonOption(
            key: "allow-nondistributable-artifacts",
            flag: Flag("allow-nondistributable-artifacts", .list, "Allow push of nondistributable artifacts to registry (deprecated)")
        ) { _, value throws(OptionError) in
            for name in try value.texts(of: "allow-nondistributable-artifacts") where name.contains("://") {
                throw OptionError("allow-nondistributable-artifacts registry \(name) should not contain '://'")
            }
        },
        DaemonOption(key: "api-cors-header", flag: nil) { _, value throws(OptionError) in
            guard try value.text(of: "api-cors-header").isEmpty else {
                throw OptionError(
                    "DEPRECATED: The \"api-cors-header\" config parameter and the dockerd \"--api-cors-header\" option have been removed; "
                        + "use a reverse proxy if you need CORS headers")
            }
        },
        fixed("authorization-plugins", to: .null, because: "there are no plugins"),
        fixed("containerd", to: .null, because: "containers run without containerd"),
        fixed("containerd-namespace", to: .null, .string("moby"), because: "containers run without containerd"),
        fixed("containerd-plugin-namespace", to: .null, .string("plugins.moby"), because: "containers run without containerd"),
        fixed("init-path", to: .null, because: "the init of containers is a part of clipper-runtime"),
        fixed("userland-proxy-path", to: .null, because: "the supervisors of containers pass ports on, no program of its own does"),
        fixed("cpu-rt-period", to: .integer(0), because: "control groups get no real-time scheduling"),
        fixed("cpu-rt-runtime", to: .integer(0), because: "control groups get no real-time scheduling"),
        fixed("node-generic-resources", to: .null, because: "there is no Swarm"),
        fixed("swarm-default-advertise-addr", to: .null, because: "there is no Swarm"),
        fixed("network-control-plane-mtu", to: .integer(1500), because: "there is no Swarm"),
        fixed("cluster-advertise", to: .null, because: "there is no Swarm"),
        fixed("cluster-store", to: .null, because: "there is no Swarm"),
        fixed("cluster-store-opts", to: .null, because: "there is no Swarm"),
    ]

    /// What is switched off is off in any case, unknown names too; of what can be on, Clipper has CDI.
    @Sendable private static func setFeatures(_ options: inout DaemonOptions, _ value: JSONValue) throws(OptionError) {
        let features = try value.object(of: "features")
        var isOn: [String] = []
        for member in features.members {
            if try member.value.bool(of: "features.\(member.name)") { isOn.append(member.name) }
        }
        let reasons = [
            "buildkit": "builds go without BuildKit's sessions", "containerd-snapshotter": "images are in a store of Clipper's own",
        ]
        if let name = isOn.filter({ $0 != "cdi" }).min() {
            throw OptionError("features.\(name): true is not possible: \(reasons[name] ?? "there is no such feature")")
        }
        options.features = features
    }

    /// `native.cgroupdriver` is all there is of it on Linux.
    @Sendable private static func setExecOptions(_ options: inout DaemonOptions, _ value: JSONValue) throws(OptionError) {
        for text in try value.texts(of: "exec-opts") {
            let pair = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { $0.filter { $0 != " " } }
            guard pair.count == 2, !pair[0].isEmpty, !pair[1].isEmpty else {
                throw OptionError("invalid exec-opt (\(text)): must be formatted 'opt=value'")
            }
            guard pair[0].lowercased() == "native.cgroupdriver" else {
                throw OptionError("invalid exec-opt (\(text)): unknown option: '\(pair[0])'")
            }
            switch pair[1] {
            case "none":
                throw OptionError("native.cgroupdriver option none is internally used and cannot be specified manually")
            default:
                guard let driver = CgroupDriver(rawValue: pair[1]) else {
                    throw OptionError("native.cgroupdriver option \(pair[1]) not supported")
                }
                options.cgroupDriver = driver
            }
        }
    }
}
