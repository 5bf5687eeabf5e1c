internal import ClientUI
internal import EngineClient
internal import JSON
internal import Linux

extension Command {
    static var containerAttach: Command {
        Command(
            "container attach", "attach", summary: "Attach local standard input, output, and error streams to a running container",
            usage: "[OPTIONS] CONTAINER", arity: .exactly(1),
            flags: [
                Flag("detach-keys", .string, "Override the key sequence for detaching a container"),
                Flag("no-stdin", .bool, "Do not attach STDIN"),
                Flag("sig-proxy", .bool, "Proxy all received signals to the process", default: "true"),
            ]
        ) { try attach($0) }
    }

    private static func attach(_ context: Context) throws -> Int32 {
        let container = try context.get("/containers/\(Context.segment(context.arguments[0]))/json")
        let state = container["State"]
        guard state?["Running"]?.boolValue ?? false else { throw Failure("You cannot attach to a stopped container, start it first") }
        if state?["Paused"]?.boolValue ?? false { throw Failure("You cannot attach to a paused container, unpause it first") }
        if state?["Restarting"]?.boolValue ?? false {
            throw Failure("You cannot attach to a restarting container, wait until it is running")
        }
        let id = container["Id"]?.stringValue ?? context.arguments[0]
        let hasTerminal = container["Config"]?["Tty"]?.boolValue ?? false
        let sendsInput = !context.flags.bool("no-stdin") && (container["Config"]?["OpenStdin"]?.boolValue ?? false)
        if hasTerminal && sendsInput && !Output.isTerminal(0) { throw Failure("the input device is not a TTY") }
        var query = [("stream", "1"), ("stdout", "1"), ("stderr", "1")]
        if sendsInput { query.append(("stdin", "1")) }
        if let keys = context.detachKeys { query.append(("detachKeys", keys)) }
        let wait = try context.client.send(Request("POST", "/containers/\(id)/wait"))
        let stream = try context.client.hijack(Request("POST", "/containers/\(id)/attach", query: query))
        let session = try StreamSession(
            stream, context: context, hasTerminal: hasTerminal, sendsInput: sendsInput,
            detachKeys: try DetachKeys(orStandard: context.detachKeys), proxiesSignals: context.flags.bool("sig-proxy"))
        session.onSignal = { signal in _ = try? context.post("/containers/\(id)/kill", [("signal", "\(signal)")]) }
        session.onResize = { Resize.send("/containers/\(id)/resize", context) }
        if hasTerminal { session.onResize?() }
        switch try session.run() {
        case .ended: return try ExitCodes.waited(wait, context, after: session)
        case .detached: return 0
        case .interrupted(let signal): return 128 + signal
        }
    }
}
