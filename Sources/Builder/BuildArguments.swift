internal import OCIImageSpec

/// The ARGs of a build: what the request gives, what the file declares, and what is known without being declared.
struct BuildArguments {
    /// Known in RUN without being declared; kept out of history and cache keys unless declared.
    static let predefined: Set<String> = [
        "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY", "ftp_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY",
        "all_proxy",
    ]

    private let given: [String: String?]
    /// Defaults of ARGs before the first FROM.
    private var global: [String: String?] = [:]
    /// Declared in this stage, with their defaults.
    private var declared: [String: String?] = [:]
    /// Names that some instruction declared, in any stage.
    private(set) var referenced: Set<String> = []

    init(given: [String: String?], platform: Platform) {
        self.given = given
        let host = Platform.host
        for (prefix, platform) in [("TARGET", platform), ("BUILD", host)] {
            global[prefix + "PLATFORM"] = platform.description
            global[prefix + "OS"] = platform.os
            global[prefix + "ARCH"] = platform.architecture
            global[prefix + "VARIANT"] = platform.variant ?? ""
        }
    }

    mutating func declareGlobal(_ name: String, default value: String?) {
        if let value { global[name] = value } else if global[name] == nil { global.updateValue(nil, forKey: name) }
        referenced.insert(name)
    }

    mutating func declare(_ name: String, default value: String?) {
        declared.updateValue(value, forKey: name)
        referenced.insert(name)
    }

    /// A new stage knows none of the declarations before it.
    mutating func beginStage() { declared = [:] }

    mutating func merge(referenced names: Set<String>) { referenced.formUnion(names) }

    /// What FROM sees.
    func globalValue(_ name: String) -> String? {
        guard let value = global[name] else { return nil }
        return (given[name] ?? nil) ?? value
    }

    /// What a stage sees; nil for a name that it didn't declare, or that has no value.
    func value(_ name: String) -> String? {
        guard let value = declared[name] else {
            return Self.predefined.contains(name) ? given[name] ?? nil : nil
        }
        return (given[name] ?? nil) ?? value ?? (global[name] ?? nil).map { globalValue(name) ?? $0 }
    }

    /// All values of the stage, sorted by name, without those that `environment` has.
    func values(without environment: Set<String>) -> [(name: String, value: String)] {
        Set(declared.keys).union(Self.predefined).subtracting(environment).sorted().compactMap { name in
            value(name).map { (name, $0) }
        }
    }

    func isDeclared(_ name: String) -> Bool { declared[name] != nil }

    /// Names that were given and never declared, sorted.
    var unused: [String] { given.keys.filter { !referenced.contains($0) && !Self.predefined.contains($0) }.sorted() }
}
