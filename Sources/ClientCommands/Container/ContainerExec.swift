internal import ClientUI
internal import EngineClient
internal import EngineTypes
internal import JSON
internal import Linux

extension Command {
    static var containerExec: Command {
        Command(
            "container exec", "exec", summary: "Execute a command in a running container", usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
            arity: .atLeast(2), interspersed: false,
            flags: [
                Flag("detach", "d", .bool, "Detached mode: run command in the background"),
                Flag("detach-keys", .string, "Override the key sequence for detaching a container"),
                Flag("env", "e", .list, "Set environment variables"),
                Flag("env-file", .list, "Read in a file of environment variables"),
                Flag("interactive", "i", .bool, "Keep STDIN open even if not attached"),
                Flag("privileged", .bool, "Give extended privileges to the command"),
                Flag("tty", "t", .bool, "Allocate a pseudo-TTY"),
                Flag("user", "u", .string, "Username or UID (format: \"<name|uid>[:<group|gid>]\")"),
                Flag("workdir", "w", .string, "Working directory inside the container"),
            ]
        ) { try exec($0) }
    }

    private static func exec(_ context: Context) throws -> Int32 {
        let flags = context.flags
        let hasTerminal = flags.bool("tty")
        let isDetached = flags.bool("detach")
        let sendsInput = flags.bool("interactive") && !isDetached
        if hasTerminal && sendsInput && !Output.isTerminal(0) { throw Failure("the input device is not a TTY") }
        let detachKeys = try DetachKeys(orStandard: context.detachKeys)
        let created = try context.post(
            "/containers/\(Context.segment(context.arguments[0]))/exec", [], .json(try JSON.value(createRequest(context, sendsInput))))
        guard let id = created["Id"]?.stringValue, !id.isEmpty else { throw Failure("exec ID empty") }
        var start = ExecStartRequest()
        start.Detach = isDetached
        start.Tty = hasTerminal
        if hasTerminal, let size = Terminal.size(1) { start.ConsoleSize = [Int(size.rows), Int(size.columns)] }
        let request = Request("POST", "/exec/\(id)/start", body: .json(try JSON.value(start)))
        if isDetached {
            _ = try context.client.call(request)
            return 0
        }
        let stream = try context.client.hijack(request)
        let session = try StreamSession(
            stream, context: context, hasTerminal: hasTerminal, sendsInput: sendsInput, detachKeys: detachKeys, proxiesSignals: false)
        session.onResize = { Resize.send("/exec/\(id)/resize", context) }
        if hasTerminal { session.onResize?() }
        switch try session.run() {
        case .detached: return 0
        case .interrupted(let signal): return 128 + signal
        case .ended: return Int32(truncatingIfNeeded: try context.get("/exec/\(id)/json")["ExitCode"]?.intValue ?? 0)
        }
    }

    private static func createRequest(_ context: Context, _ sendsInput: Bool) throws -> ExecCreateRequest {
        let flags = context.flags
        let isDetached = flags.bool("detach")
        var request = ExecCreateRequest()
        request.AttachStdin = sendsInput
        request.AttachStdout = !isDetached
        request.AttachStderr = !isDetached
        request.Tty = flags.bool("tty")
        request.Privileged = flags.bool("privileged")
        request.User = flags.given("user")
        request.WorkingDir = flags.given("workdir")
        request.DetachKeys = context.detachKeys
        request.Cmd = Array(context.arguments.dropFirst())
        let variables: [String]
        do {
            variables =
                try flags.list("env-file").flatMap { try ValueSpecs.file($0, takesEnvironment: true) }
                + flags.list("env").map(ValueSpecs.variable)
        } catch let failure as Failure { throw Failure(failure.message) }
        if !variables.isEmpty { request.Env = variables }
        if flags.bool("tty"), let size = Terminal.size(1) { request.ConsoleSize = [Int(size.rows), Int(size.columns)] }
        return request
    }
}
