internal import ClientUI
internal import EngineClient
internal import JSON
internal import Linux

extension Command {
    static var containerStart: Command {
        Command(
            "container start", "start", summary: "Start one or more stopped containers", usage: "[OPTIONS] CONTAINER [CONTAINER...]",
            arity: .atLeast(1),
            flags: [
                Flag("attach", "a", .bool, "Attach STDOUT/STDERR and forward signals"),
                Flag("checkpoint", .string, "Restore from this checkpoint", hidden: true),
                Flag("checkpoint-dir", .string, "Use a custom checkpoint storage directory", hidden: true),
                Flag("detach-keys", .string, "Override the key sequence for detaching a container"),
                Flag("interactive", "i", .bool, "Attach container's STDIN"),
            ]
        ) { context in
            if context.flags.has("checkpoint") { throw Failure.notImplemented("--checkpoint") }
            if context.flags.bool("attach") || context.flags.bool("interactive") {
                guard context.arguments.count == 1 else { throw Failure("you cannot start and attach multiple containers at once") }
                return try startAttached(context.arguments[0], context)
            }
            var failed: [String] = []
            let code = context.forEach(context.arguments) { name in
                do { try context.post("/containers/\(Context.segment(name))/start") } catch {
                    failed.append(name)
                    throw error
                }
                context.print(name)
            }
            if !failed.isEmpty { context.printError("Error: failed to start containers: \(failed.joined(separator: ", "))") }
            return code
        }
    }

    private static func startAttached(_ name: String, _ context: Context) throws -> Int32 {
        let container = try context.get("/containers/\(Context.segment(name))/json")
        let id = container["Id"]?.stringValue ?? name
        let hasTerminal = container["Config"]?["Tty"]?.boolValue ?? false
        let sendsInput = context.flags.bool("interactive") && container["Config"]?["OpenStdin"]?.boolValue ?? false
        var query = [("stream", "1"), ("stdout", "1"), ("stderr", "1")]
        if sendsInput { query.append(("stdin", "1")) }
        if let keys = context.detachKeys { query.append(("detachKeys", keys)) }
        let stream = try context.client.hijack(Request("POST", "/containers/\(id)/attach", query: query))
        let isRemoved = container["HostConfig"]?["AutoRemove"]?.boolValue ?? false
        let wait = try context.client.send(
            Request("POST", "/containers/\(id)/wait", query: [("condition", isRemoved ? "removed" : "next-exit")]))
        let session = try StreamSession(
            stream, context: context, hasTerminal: hasTerminal, sendsInput: sendsInput,
            detachKeys: try DetachKeys(orStandard: context.detachKeys), proxiesSignals: true)
        session.onSignal = { signal in _ = try? context.post("/containers/\(id)/kill", [("signal", "\(signal)")]) }
        session.onResize = { Resize.send("/containers/\(id)/resize", context) }
        try context.post("/containers/\(id)/start")
        if hasTerminal { session.onResize?() }
        switch try session.run() {
        case .ended: return try ExitCodes.waited(wait, context, after: session)
        case .detached: return 0
        case .interrupted(let signal): return 128 + signal
        }
    }
}
