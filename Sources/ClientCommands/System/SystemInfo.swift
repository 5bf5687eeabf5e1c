internal import ClientUI
internal import EngineClient
internal import JSON

extension Command {
    static var systemInfo: Command {
        Command(
            "system info", "info", summary: "Display system-wide information", usage: "[OPTIONS]",
            flags: [
                Flag(
                    "format", "f", .string,
                    "Format output using a custom template:\n'json': Print in JSON format\n'TEMPLATE': Print output using the given Go template"
                )
            ]
        ) { context in
            let format = context.flags.string("format")
            let template = format.isEmpty || format == "json" ? nil : try Template(format)
            var info: JSONValue = .null
            var failure: (any Error)?
            do { info = try context.get("/info") } catch { failure = error }
            let client: JSONValue = [
                "Debug": .bool(false), "Version": .string(Program.version), "Context": "default", "Plugins": [], "Warnings": nil,
            ]
            if !format.isEmpty {
                if let failure { throw failure }
                var document = info.objectValue ?? JSONObject()
                document["ClientInfo"] = client
                let text = try template?.render(
                    .object(document), methods: { name, _ in InfoText.emptyFields[name] }, names: InfoText.fieldNames)
                context.print(text ?? JSONValue.object(document).text())
                return 0
            }
            context.out.write("Client: Clipper\n Version:    \(Program.version)\n Context:    default\n Debug Mode: false\n\nServer:\n")
            if let failure {
                context.printError(message(of: failure))
                return 1
            }
            context.out.write(InfoText.text(info))
            for warning in info["Warnings"]?.arrayValue ?? [] { context.printError(warning.stringValue ?? "") }
            return 0
        }
    }
}

/// The server's part of `info`, in Docker's order.
enum InfoText {
    /// What Go's structure calls members of the answer, and what it has where an answer has none.
    static let fieldNames = [
        "CPUCfsPeriod": "CpuCfsPeriod", "CPUCfsQuota": "CpuCfsQuota", "HTTPProxy": "HttpProxy", "HTTPSProxy": "HttpsProxy",
    ]
    static let emptyFields: [String: JSONValue] = [
        "CPUCfsPeriod": false, "CPUCfsQuota": false, "HTTPProxy": "", "HTTPSProxy": "", "NoProxy": "", "ProductLicense": "",
        "DefaultAddressPools": nil, "CDISpecDirs": nil, "Containerd": nil, "FirewallBackend": nil, "DiscoveredDevices": nil,
        "ClientErrors": nil, "ServerErrors": nil,
    ]

    static func text(_ info: JSONValue) -> String {
        var text = ""
        func string(_ name: String) -> String { info[name]?.stringValue ?? "" }
        func int(_ name: String) -> String { "\(info[name]?.intValue ?? 0)" }
        func line(_ name: String, _ value: String, indent: Int = 1, always: Bool = false) {
            if !value.isEmpty || always { text += "\(String(repeating: " ", count: indent))\(name): \(value)\n" }
        }
        func words(_ value: JSONValue?) -> String { (value?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: " ") }
        line("Containers", int("Containers"))
        line("Running", int("ContainersRunning"), indent: 2)
        line("Paused", int("ContainersPaused"), indent: 2)
        line("Stopped", int("ContainersStopped"), indent: 2)
        line("Images", int("Images"))
        line("Server Version", string("ServerVersion"))
        line("Storage Driver", string("Driver"))
        for pair in info["DriverStatus"]?.arrayValue ?? [] {
            line(pair[0]?.stringValue ?? "", pair[1]?.stringValue ?? "", indent: 2, always: true)
        }
        line("Logging Driver", string("LoggingDriver"))
        line("Cgroup Driver", string("CgroupDriver"))
        line("Cgroup Version", string("CgroupVersion"))
        text += " Plugins:\n"
        for kind in ["Volume", "Network", "Authorization", "Log"] { line(kind, words(info["Plugins"]?[kind]), indent: 2) }
        line("Swarm", info["Swarm"]?["LocalNodeState"]?.stringValue ?? "")
        line("Runtimes", (info["Runtimes"]?.objectValue?.members ?? []).map(\.name).sorted().joined(separator: " "))
        line("Default Runtime", string("DefaultRuntime"))
        line("Init Binary", string("InitBinary"))
        for (title, name) in [("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")] {
            line("\(title) version", info[name]?["ID"]?.stringValue ?? "", always: true)
        }
        let security = (info["SecurityOptions"]?.arrayValue ?? []).compactMap(\.stringValue)
        if !security.isEmpty { text += " Security Options:\n" + security.map(securityOption).joined() }
        line("Kernel Version", string("KernelVersion"))
        line("Operating System", string("OperatingSystem"))
        line("OSType", string("OSType"))
        line("Architecture", string("Architecture"))
        line("CPUs", int("NCPU"))
        line("Total Memory", HumanSize.binary(info["MemTotal"]?.doubleValue ?? 0))
        line("Name", string("Name"))
        line("ID", string("ID"))
        line("Docker Root Dir", string("DockerRootDir"))
        line("Debug Mode", "\(info["Debug"]?.boolValue ?? false)")
        for (title, name) in [("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")] {
            line(title, string(name))
        }
        let labels = (info["Labels"]?.arrayValue ?? []).compactMap(\.stringValue)
        if !labels.isEmpty { text += " Labels:\n" + labels.map { "  \($0)\n" }.joined() }
        line("Experimental", "\(info["ExperimentalBuild"]?.boolValue ?? false)")
        text += registries(info["RegistryConfig"] ?? .null)
        line("Live Restore Enabled", "\(info["LiveRestoreEnabled"]?.boolValue ?? false)")
        return text + "\n"
    }

    private static func registries(_ config: JSONValue) -> String {
        func list(_ title: String, _ names: [String]) -> String {
            names.isEmpty ? "" : " \(title):\n" + names.map { "  \($0)\n" }.joined()
        }
        let hosts = (config["IndexConfigs"]?.objectValue?.members ?? []).filter { $0.value["Secure"] == false }.map(\.name)
        let networks = (config["InsecureRegistryCIDRs"]?.arrayValue ?? []).compactMap(\.stringValue)
        return list("Insecure Registries", hosts + networks)
            + list("Registry Mirrors", (config["Mirrors"]?.arrayValue ?? []).compactMap(\.stringValue))
    }

    /// `name=seccomp,profile=default` as a name and its options below it.
    private static func securityOption(_ option: String) -> String {
        let pairs = option.split(separator: ",").map { $0.split(separator: "=", maxSplits: 1).map(String.init) }
        return pairs.map { pair in
            guard pair.count == 2 else { return "  \(pair.first ?? "")\n" }
            return pair[0] == "name" ? "  \(pair[1])\n" : "   \(pair[0].prefix(1).uppercased())\(pair[0].dropFirst()): \(pair[1])\n"
        }.joined()
    }
}
