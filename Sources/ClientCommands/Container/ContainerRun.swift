internal import ClientUI
internal import EngineClient
internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux

extension Command {
    static var containerRun: Command {
        Command(
            "container run", "run", summary: "Create and run a new container from an image", usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
            arity: .atLeast(1), interspersed: false, failureCode: 125, flags: RunFlags.run
        ) { try RunCommand($0).run() }
    }

    static var containerCreate: Command {
        Command(
            "container create", "create", summary: "Create a new container", usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
            arity: .atLeast(1),
            interspersed: false, flags: RunFlags.create
        ) { context in
            let request = try CreateRequest(
                flags: context.flags, arguments: context.arguments, proxies: context.configuration.proxyVariables(host: context.host))
            context.print(try ContainerCreation(request, context).create())
            return 0
        }
    }
}

/// `POST /containers/create`, with a pull when the image is missing and a file for the ID when asked for.
struct ContainerCreation {
    private let request: CreateRequest
    private let context: Context

    init(_ request: CreateRequest, _ context: Context) {
        self.request = request
        self.context = context
    }

    /// The new container's ID.
    func create() throws -> String {
        let flags = context.flags
        let idFile = flags.string("cidfile")
        if !idFile.isEmpty && Files.exists(idFile) {
            throw Failure("container ID file found, make sure the other container isn't running or delete \(idFile)", code: 125)
        }
        let policy = flags.string("pull")
        guard ["always", "missing", "never", ""].contains(policy) else {
            throw Failure("invalid pull option: '\(policy)': must be one of \"always\", \"missing\" or \"never\"", code: 125)
        }
        if policy == "always" { try pull() }
        let answer: JSONValue
        do { answer = try post() } catch ClientError.api(404, _) where policy == "missing" && !request.image.isEmpty {
            context.printError("Unable to find image '\(ImagePull.tagged(request.image))' locally")
            try pull()
            answer = try post()
        }
        for warning in answer["Warnings"]?.arrayValue ?? [] { if let text = warning.stringValue { context.printError("WARNING: \(text)") } }
        guard let id = answer["Id"]?.stringValue else { throw ClientError.malformed("created container without ID") }
        if !idFile.isEmpty { try Files.write(idFile, id) }
        return id
    }

    private func pull() throws {
        try ImagePull.pull(
            request.image, platform: context.flags.string("platform"), quiet: context.flags.bool("quiet"), context: context, on: context.err
        )
    }

    private func post() throws -> JSONValue {
        var query: [(String, String)] = []
        if let name = context.flags.given("name") { query.append(("name", name)) }
        if let platform = context.flags.given("platform") { query.append(("platform", platform)) }
        return try context.post("/containers/create", query, .json(try JSON.value(request.request)))
    }
}

/// The life of `run` as the client sees it: create, attach, ask for the exit, start, stream, exit code.
private struct RunCommand {
    let context: Context
    let request: CreateRequest
    let isDetached: Bool
    let detachKeys: DetachKeys

    init(_ context: Context) throws {
        self.context = context
        isDetached = context.flags.bool("detach")
        if isDetached && context.flags.has("attach") {
            throw Failure("conflicting options: cannot specify both --attach and --detach")
        }
        request = try CreateRequest(
            flags: context.flags, arguments: context.arguments, proxies: context.configuration.proxyVariables(host: context.host))
        detachKeys = try DetachKeys(orStandard: context.detachKeys)
    }

    private var hasTerminal: Bool { context.flags.bool("tty") }
    private var sendsInput: Bool { context.flags.bool("interactive") && request.streams.stdin }

    func run() throws -> Int32 {
        if !isDetached && hasTerminal && sendsInput && !Output.isTerminal(0) { throw Failure("the input device is not a TTY", code: 1) }
        // A signal between creation and start must not end the client and leave a container behind.
        let early = hasTerminal || isDetached ? nil : try SignalSource(SignalSource.ending)
        defer { _ = early }
        let id = try ContainerCreation(request, context).create()
        if isDetached {
            try start(id, wait: nil)
            context.print(id)
            return 0
        }
        let streams = request.streams
        let isAttached = streams.stdin || streams.stdout || streams.stderr
        let stream = isAttached ? try attach(id) : nil
        let condition = context.flags.bool("rm") ? "removed" : "next-exit"
        let wait = try context.client.send(Request("POST", "/containers/\(id)/wait", query: [("condition", condition)]))
        let session = try stream.map { stream in
            let session = try StreamSession(
                stream, context: context, hasTerminal: hasTerminal, sendsInput: sendsInput, detachKeys: detachKeys,
                proxiesSignals: context.flags.bool("sig-proxy"))
            session.onSignal = { signal in _ = try? context.post("/containers/\(id)/kill", [("signal", "\(signal)")]) }
            session.onResize = { Resize.send("/containers/\(id)/resize", context) }
            return session
        }
        try start(id, wait: wait)
        guard let session else {
            context.print(id)
            return 0
        }
        if hasTerminal { session.onResize?() }
        switch try session.run() {
        case .ended: return try ExitCodes.waited(wait, context, after: session)
        case .detached: return 0
        case .interrupted(let signal): return 128 + signal
        }
    }

    private func attach(_ id: String) throws -> HijackedStream {
        let streams = request.streams
        var query = [("stream", "1")]
        if sendsInput { query.append(("stdin", "1")) }
        if streams.stdout { query.append(("stdout", "1")) }
        if streams.stderr { query.append(("stderr", "1")) }
        if let keys = context.detachKeys { query.append(("detachKeys", keys)) }
        return try context.client.hijack(Request("POST", "/containers/\(id)/attach", query: query))
    }

    private func start(_ id: String, wait: ResponseStream?) throws {
        do { try context.post("/containers/\(id)/start") } catch let error as ClientError {
            // With --rm the daemon takes the container away itself: be gone only when it is.
            if context.flags.bool("rm"), let wait { _ = try? wait.readAll() }
            throw Failure(message(of: error), code: ExitCodes.startFailure(error.description))
        }
    }
}

/// Tells the daemon the size of the client's terminal.
enum Resize {
    static func send(_ path: String, _ context: Context) {
        guard let size = Terminal.size(1) ?? Terminal.size(0) else { return }
        // The container may just have ended: then its size is of no interest.
        _ = try? context.post(path, [("h", "\(size.rows)"), ("w", "\(size.columns)")])
    }
}
