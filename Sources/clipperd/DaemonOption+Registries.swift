internal import ClientUI
internal import JSON
internal import RegistryClient

extension DaemonOption {
    /// Where registries are, and how they are reached. All of it is taken at a reload.
    static let registries: [DaemonOption] = [
        DaemonOption(
            key: "registry-mirrors", flag: Flag("registry-mirror", .list, "Preferred registry mirror of Docker Hub"), isReloadable: true,
            apply: setMirrors),
        DaemonOption(
            key: "insecure-registries", flag: Flag("insecure-registry", .list, "Enable insecure registry communication"),
            isReloadable: true
        ) { options, value throws(OptionError) in
            let entries = try value.texts(of: "insecure-registries")
            for entry in entries {
                if let objection = RegistrySettings.objection(toInsecure: entry) { throw OptionError(objection) }
            }
            options.registries.insecure = entries
        },
        DaemonOption(key: "proxies", flag: nil, isReloadable: true) { options, value throws(OptionError) in
            for member in try value.object(of: "proxies").members {
                guard let place = proxyPlace(member.name) else {
                    throw OptionError("the following directives don't match any configuration option: proxies.\(member.name)")
                }
                try setProxy(&options, place, member.value, "proxies.\(member.name)")
            }
        },
        proxy("http-proxy", "HTTP proxy URL to use for outgoing traffic"),
        proxy("https-proxy", "HTTPS proxy URL to use for outgoing traffic"),
        proxy("no-proxy", "Comma-separated list of hosts or IP addresses for which the proxy is skipped"),
    ]

    /// A list is Docker Hub's, as dockerd has it; an object has a list for each registry.
    @Sendable private static func setMirrors(_ options: inout DaemonOptions, _ value: JSONValue) throws(OptionError) {
        var mirrors: [String: [String]] = [:]
        if let object = value.objectValue {
            for member in object.members { mirrors[member.name] = try member.value.texts(of: "registry-mirrors.\(member.name)") }
        } else {
            mirrors["docker.io"] = try value.texts(of: "registry-mirrors")
        }
        for address in mirrors.values.joined() {
            if let objection = RegistrySettings.objection(toMirror: address) { throw OptionError(objection) }
        }
        // As dockerd tells them in `info`.
        options.registries.mirrors = mirrors.mapValues { $0.map { $0.hasSuffix("/") ? $0 : $0 + "/" } }
    }

    // MARK: Proxies

    private static func proxy(_ key: String, _ help: String) -> DaemonOption {
        DaemonOption(key: key, flag: Flag(key, .string, help), isReloadable: true) { options, value throws(OptionError) in
            guard let place = proxyPlace(key) else { return }
            try setProxy(&options, place, value, key)
        }
    }

    private static func proxyPlace(_ key: String) -> WritableKeyPath<ProxySettings, String>? {
        switch key {
        case "http-proxy": \.http
        case "https-proxy": \.https
        case "no-proxy": \.none
        default: nil
        }
    }

    private static func setProxy(
        _ options: inout DaemonOptions, _ place: WritableKeyPath<ProxySettings, String>, _ value: JSONValue, _ key: String
    ) throws(OptionError) {
        let text = try value.text(of: key)
        if place != \.none, !text.isEmpty, let objection = ProxySettings.objection(to: text) { throw OptionError("\(key): \(objection)") }
        options.registries.proxies[keyPath: place] = text
    }
}
