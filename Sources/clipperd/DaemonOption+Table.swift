internal import ClientUI
internal import Engine
internal import EngineAPI
internal import Images
internal import JSON
internal import Linux

extension DaemonOption {
    /// All that can be set both ways or in the file alone. docs/daemon.md lists them.
    static let all: [DaemonOption] =
        roots + doors + networks + defaultBridge + containers + containerDefaults + security + builder
        + registries + transfers + dockersOwn

    private static let roots: [DaemonOption] = [
        text(
            "data-root", Flag("data-root", .string, "Directory of images, containers and volumes", default: "/var/lib/clipper"),
            \.dataRoot),
        text(
            "exec-root",
            Flag("exec-root", .string, "Directory of what does not survive a reboot", default: DaemonOptions.standardExecRoot),
            \.execRoot),
        optionalText("pidfile", Flag("pidfile", "p", .string, "File that holds the daemon's process number"), \.pidFile),
        text(
            "log-level", Flag("log-level", "l", .string, "debug, info, warn, error or fatal", default: "info"), \.logLevel
        ).reloadable(),
        DaemonOption(
            key: "log-format", flag: Flag("log-format", .string, "Format of log lines: text or json", default: "text"), isReloadable: true
        ) { options, value throws(OptionError) in
            let name = try value.text(of: "log-format")
            guard let format = name.isEmpty ? .text : DaemonLog.Format(rawValue: name) else {
                throw OptionError("invalid log format: \(name)")
            }
            options.logFormat = format
        },
        bool("debug", Flag("debug", "D", .bool, "Log debug messages"), \.isDebug).reloadable(),
        texts("labels", Flag("label", .list, "Label of this daemon (key=value)"), \.labels).reloadable(),
        number(
            "shutdown-timeout",
            Flag("shutdown-timeout", .int, "Seconds that requests in progress have at the end; -1: as long as they take", default: "5"),
            \.shutdownTimeout
        ).reloadable(),
        fixed(
            "live-restore", Flag("live-restore", .bool, "Containers outlive the daemon (always so)", default: "true"), to: .bool(true),
            because: "containers always outlive the daemon"
        ).reloadable(),
        DaemonOption(key: "storage-driver", flag: Flag("storage-driver", "s", .string, "Storage driver: overlay2")) {
            _, value throws(OptionError) in
            let name = try value.text(of: "storage-driver")
            guard ["overlay2", "overlayfs", "overlay"].contains(name) else { throw OptionError("not implemented: storage-driver \(name)") }
        },
        DaemonOption(key: "storage-opts", flag: Flag("storage-opt", .list, "Storage driver options: overlay2.size=SIZE")) {
            options, value throws(OptionError) in
            for text in try value.texts(of: "storage-opts") {
                let pair = text.split(separator: "=", maxSplits: 1).map(String.init)
                guard pair.count == 2 else { throw OptionError("unable to parse key/value option: \(text)") }
                guard pair[0].lowercased() == "overlay2.size" else { throw OptionError("overlay2: unknown option \(pair[0].lowercased())") }
                do throws(GoSize.Refusal) { options.layerSize = try GoSize.bytes(pair[1]) } catch { throw OptionError(error.description) }
            }
        },
        DaemonOption(
            key: "blob-policy",
            flag: Flag("blob-policy", .string, "Packed layers that came: keep, or drop what can be made again", default: "keep")
        ) { options, value throws(OptionError) in
            let name = try value.text(of: "blob-policy")
            guard let policy = BlobPolicy(rawValue: name) else { throw OptionError("blob-policy: \(name) is neither keep nor drop") }
            options.blobPolicy = policy
        },
    ]

    private static let doors: [DaemonOption] = [
        texts(
            "hosts", Flag("host", "H", .list, "Where to listen: unix:///path, tcp://address:port, fd:// (several allowed)"), \.hosts),
        DaemonOption(
            key: "min-api-version", flag: Flag("min-api-version", .string, "Oldest version of the API that clients may speak")
        ) { options, value throws(OptionError) in
            let text = try value.text(of: "min-api-version")
            do { try EngineAPI.checkMinimum(text) } catch { throw OptionError("min-api-version: \(error)") }
            options.minimumAPIVersion = text
        },
        optionalText("group", Flag("group", "G", .string, "Group of the Unix socket"), \.group),
        bool("tls", Flag("tls", .bool, "Use TLS; implied by --tlsverify"), \.usesTLS),
        bool("tlsverify", Flag("tlsverify", .bool, "Use TLS and verify the remote"), \.verifiesClients),
        optionalText(
            "tlscacert", Flag("tlscacert", .string, "Trust certs signed only by this CA (default ~/.docker/ca.pem)"), \.tlsAuthorities),
        optionalText("tlscert", Flag("tlscert", .string, "Path to TLS certificate file (default ~/.docker/cert.pem)"), \.tlsCertificate),
        optionalText(
            "metrics-addr", Flag("metrics-addr", .string, "Address and port to serve the metrics api on (/metrics, Prometheus)"),
            \.metricsAddress),
        optionalText("tlskey", Flag("tlskey", .string, "Path to TLS key file (default ~/.docker/key.pem)"), \.tlsKey),
    ]

    private static let containers: [DaemonOption] = [
        DaemonOption(
            key: "runtimes", flag: Flag("add-runtime", .list, "Register an additional OCI compatible runtime (name=path)"),
            isReloadable: true, addsUp: true, apply: addRuntimes),
        text(
            "default-runtime", Flag("default-runtime", .string, "Runtime of containers that name none", default: "clipper"),
            \.defaultRuntime
        ).reloadable(),
        number(
            "runtime-timeout",
            Flag("runtime-timeout", .int, "Seconds that an additional runtime may take for one command; 0: no limit", default: "120"),
            \.runtimeTimeout),
        texts("cdi-spec-dirs", Flag("cdi-spec-dir", .list, "CDI specification directories to use"), \.deviceSpecDirectories),
        text(
            "cgroup-parent",
            Flag("cgroup-parent", .string, "Parent cgroup of all containers (default /clipper; with systemd system.slice)"), \.cgroupParent
        ),
        DaemonOption(
            key: "default-shm-size", flag: Flag("default-shm-size", .bytes, "Size of /dev/shm", default: "64MiB"), isReloadable: true
        ) { options, value throws(OptionError) in
            guard let size = value.intValue ?? value.stringValue.flatMap(ByteSize.bytes) else {
                throw OptionError("default-shm-size: invalid size")
            }
            options.shmSize = size
        },
        optionalText(
            "userns-remap", Flag("userns-remap", .string, "User/Group setting for user namespaces"), \.remappedUser),
        text(
            "log-driver", Flag("log-driver", .string, "Log driver of containers that name none", default: "json-file"), \.logDriver),
        DaemonOption(key: "log-opts", flag: Flag("log-opt", .map, "Log option of containers that give none")) {
            options, value throws(OptionError) in
            var given: [String: String] = [:]
            for member in try value.object(of: "log-opts").members { given[member.name] = member.value.stringValue ?? member.value.text() }
            options.logOptions = given
        },
    ]

    private static let transfers: [DaemonOption] = [
        count(
            "max-concurrent-downloads", Flag("max-concurrent-downloads", .int, "Layers downloaded at a time", default: "3"),
            \.transferLimits.downloads
        ).reloadable(),
        count(
            "max-concurrent-uploads", Flag("max-concurrent-uploads", .int, "Layers uploaded at a time", default: "5"),
            \.transferLimits.uploads
        ).reloadable(),
        count(
            "max-download-attempts", Flag("max-download-attempts", .int, "Attempts for each transfer", default: "5"),
            \.transferLimits.attempts
        ).reloadable(),
    ]

    /// `{"name": {"path": …}}` of the file, or `["name=path"]` of the flag.
    @Sendable private static func addRuntimes(_ options: inout DaemonOptions, _ value: JSONValue) throws(OptionError) {
        for text in value.arrayValue?.compactMap(\.stringValue) ?? [] {
            let pair = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard pair.count == 2 else { throw OptionError("invalid argument \"\(text)\" for \"--add-runtime\" flag: expected name=path") }
            options.runtimes[pair[0]] = AdditionalRuntime(path: pair[1])
        }
        if value.arrayValue != nil { return }
        for member in try value.object(of: "runtimes").members {
            guard let path = member.value["path"]?.stringValue else { throw OptionError("runtimes.\(member.name).path is missing") }
            for name in member.value.objectValue?.members.map(\.name) ?? [] where !["path", "runtimeArgs"].contains(name) {
                throw OptionError("not implemented: runtimes.\(member.name).\(name)")
            }
            let arguments = try member.value["runtimeArgs"]?.texts(of: "runtimes.\(member.name).runtimeArgs") ?? []
            options.runtimes[member.name] = AdditionalRuntime(path: path, arguments: arguments)
        }
    }
}
