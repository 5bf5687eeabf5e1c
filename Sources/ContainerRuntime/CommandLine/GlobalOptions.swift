internal import Glibc

/// Options before the command.
struct GlobalOptions: Sendable {
    static let defaultRoot = "/run/clipper-runtime"
    static let rules: [OptionRule] = [
        .flag("debug", help: "log what is done, step by step"),
        .value("log", help: "file to append log entries to (default: standard error)"),
        .value("log-format", help: "format of log entries: text or json (default: text)"),
        .value("root", help: "directory of the containers' states (default: \(defaultRoot))"),
        .value("criu", help: "criu program for checkpoint and restore (default: criu)"),
        .flag("systemd-cgroup", help: "let systemd make the control group; linux.cgroupsPath is slice:prefix:name"),
        .value("rootless", help: "make do without a control group where there is no right to one: true, false or auto (default)"),
        CommandDefinition.helpRule,
        .flag("version", "v", help: "print the version"),
    ]

    let store: StateStore
    let systemdCgroup: Bool
    /// The program for checkpoint and restore: a path, or a name that is looked up in PATH.
    let criu: String
    /// As `CreateOptions.canLackCgroup`.
    let isRootless: Bool?
    let log: RuntimeLog
    var root: String { store.root }
    /// Shared by all containers of this root; a name that none of them can have.
    var seccompCache: String { "\(store.root)/@seccomp" }

    init(_ arguments: CommandArguments, _ log: RuntimeLog) throws(RuntimeError) {
        self.log = log
        store = StateStore(root: arguments.value("root") ?? Self.ownRoot)
        systemdCgroup = arguments.has("systemd-cgroup")
        criu = arguments.value("criu") ?? "criu"
        if let format = arguments.value("log-format"), format != "text" && format != "json" {
            throw RuntimeError(kind: .usage, message: "unknown log-format \"\(format)\"")
        }
        isRootless = try Self.truth(arguments.value("rootless"))
    }

    /// Nil for `auto`; the words for true and false are those that Go knows (as runc).
    static func truth(_ word: String?) throws(RuntimeError) -> Bool? {
        switch word {
        case nil, "", "auto": nil
        case "true", "True", "TRUE", "t", "T", "1": true
        case "false", "False", "FALSE", "f", "F", "0": false
        case .some(let word): throw RuntimeError(kind: .usage, message: "option --rootless: \"\(word)\" is not true, false or auto")
        }
    }

    /// A user who is not root has a directory of his own (as runc).
    static var ownRoot: String {
        guard geteuid() != 0, let directory = getenv("XDG_RUNTIME_DIR") else { return defaultRoot }
        return "\(String(cString: directory))/clipper-runtime"
    }
}
