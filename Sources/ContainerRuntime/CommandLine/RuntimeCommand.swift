internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIRuntimeSpec

/// `clipper-runtime`'s command line, which is runc's: global options, a command, its options.
public enum RuntimeCommand {
    /// The program's version, also in `features`.
    public static let version = "0.1.0"

    /// Runs one command and answers the exit code. `arguments` are without the program's name.
    public static func run(_ arguments: [String]) -> Int32 {
        var log = ErrorLog()
        do {
            let globals = try CommandArguments(arguments, GlobalOptions.rules, stopsAtPositional: true)
            log = ErrorLog(path: globals.value("log"), isJSON: globals.value("log-format") == "json")
            let options = try GlobalOptions(globals)
            if globals.has("version") {
                print("clipper-runtime version \(version)\nspec: \(Spec.newestVersion)")
                return 0
            }
            guard let name = globals.positionals.first, !globals.has("help"), name != "help" else {
                print(Self.help)
                return 0
            }
            guard let command = commands[name] else { throw RuntimeError(kind: .usage, message: "no such command: \(name)") }
            return try command(options, Array(globals.positionals.dropFirst()))
        } catch {
            let failure = RuntimeError(wrapping: error)
            log.report(failure)
            // A failing `exec` must be told from a program that exits with 1; runc's way.
            return arguments.contains("exec") ? 255 : 1
        }
    }

    private typealias Command = @Sendable (GlobalOptions, [String]) throws -> Int32

    private static let commands: [String: Command] = [
        "spec": SpecCommand.run, "create": CreateCommand.create, "start": StartCommand.run, "run": CreateCommand.run,
        "state": StateCommand.run,
        "kill": KillCommand.run, "delete": DeleteCommand.run, "list": ListCommand.run, "exec": ExecCommand.run, "ps": PsCommand.run,
        "features": FeaturesCommand.run, "pause": PauseCommand.pause, "resume": PauseCommand.resume, "update": UpdateCommand.run,
        "events": EventsCommand.run, "checkpoint": missing("checkpoint"), "restore": missing("restore"),
    ]

    private static func missing(_ name: String) -> Command { { _, _ in throw RuntimeError.notImplemented("command \(name)") } }

    private static let help = """
        usage: clipper-runtime [global options] command [options] [arguments]

        An OCI runtime (specification \(Spec.newestVersion)) with runc's command line.

        commands: create delete exec features kill list pause ps resume run spec start state update
        global options: --root DIR  --log FILE  --log-format text|json  --debug  --version

        See runc(8) for what each command and option means.
        """
}

/// Options before the command.
struct GlobalOptions {
    static let defaultRoot = "/run/clipper-runtime"
    static let rules: [OptionRule] = [
        .value("root"), .value("log"), .value("log-format"), .value("criu"), .value("rootless"), .flag("debug"), .flag("systemd-cgroup"),
        .flag("help", "h"), .flag("version", "v"),
    ]

    let store: StateStore
    let systemdCgroup: Bool
    var root: String { store.root }
    /// Shared by all containers of this root.
    var seccompCache: String { "\(store.root)/.seccomp" }

    init(_ arguments: CommandArguments) throws(RuntimeError) {
        store = StateStore(root: arguments.value("root") ?? Self.defaultRoot)
        systemdCgroup = arguments.has("systemd-cgroup")
        if let format = arguments.value("log-format"), format != "text" && format != "json" {
            throw RuntimeError(kind: .usage, message: "unknown log-format \"\(format)\"")
        }
        if arguments.value("rootless") == "true" { throw RuntimeError.notImplemented("--rootless true") }
    }
}

/// Where a failing command tells why: standard error, and the `--log` file in the form that engines read back.
struct ErrorLog {
    var path: String?
    var isJSON = false

    func report(_ error: RuntimeError) {
        let line = error.line
        writeLine("clipper-runtime: \(line)", to: 2)
        guard let path, let file = try? OwnedFD.open(path, O_WRONLY | O_CREAT | O_APPEND) else { return }
        let time = "\(Timestamp.now())"
        if isJSON {
            let entry: JSONValue = ["level": "error", "msg": .string(line), "time": .string(time)]
            writeLine(entry.text(), to: file.raw)
        } else {
            writeLine("time=\"\(time)\" level=error msg=\(JSONValue.string(line).text())", to: file.raw)
        }
    }

    private func writeLine(_ text: String, to number: Int32) {
        let bytes = Array(text.utf8) + [UInt8(ascii: "\n")]
        _ = bytes.withUnsafeBytes { write(number, $0.baseAddress, $0.count) }
    }
}
