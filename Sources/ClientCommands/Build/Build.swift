internal import Archive
internal import ClientUI
internal import EngineClient
internal import JSON
internal import Linux

extension Command {
    static var build: Command {
        Command(
            "image build", "build", "builder build", summary: "Build an image from a Dockerfile", usage: "[OPTIONS] PATH | URL | -",
            arity: .exactly(1),
            flags: buildFlags
        ) { try BuildCommand($0).run() }
    }

    private static var buildFlags: [Flag] {
        [
            Flag("add-host", .list, "Add a custom host-to-IP mapping (\"host:ip\")"), Flag("build-arg", .list, "Set build-time variables"),
            Flag("cache-from", .commaList, "Images to consider as cache sources"),
            Flag("cgroup-parent", .string, "Set the parent cgroup for the \"RUN\" instructions during build"),
            Flag("compress", .bool, "Compress the build context using gzip", hidden: true),
            Flag("cpu-period", .int, "Limit the CPU CFS (Completely Fair Scheduler) period"),
            Flag("cpu-quota", .int, "Limit the CPU CFS (Completely Fair Scheduler) quota"),
            Flag("cpu-shares", "c", .int, "CPU shares (relative weight)"),
            Flag("cpuset-cpus", .string, "CPUs in which to allow execution (0-3, 0,1)"),
            Flag("cpuset-mems", .string, "MEMs in which to allow execution (0-3, 0,1)"),
            Flag("disable-content-trust", .bool, "Skip image verification", default: "true", hidden: true),
            Flag("file", "f", .string, "Name of the Dockerfile (Default is \"PATH/Dockerfile\")"),
            Flag("force-rm", .bool, "Always remove intermediate containers"),
            Flag("iidfile", .string, "Write the image ID to the file"),
            Flag("isolation", .string, "Container isolation technology", hidden: true),
            Flag("label", .list, "Set metadata for an image"), Flag("memory", "m", .bytes, "Memory limit"),
            Flag("memory-swap", .bytes, "Swap limit equal to memory plus swap: -1 to enable unlimited swap"),
            Flag("network", .string, "Set the networking mode for the RUN instructions during build", default: "default"),
            Flag("no-cache", .bool, "Do not use cache when building the image"),
            Flag("platform", .string, "Set platform if server is multi-platform capable"),
            Flag("progress", .string, "Set type of progress output (\"auto\", \"plain\")", default: "auto"),
            Flag("pull", .bool, "Always attempt to pull a newer version of the image"),
            Flag("quiet", "q", .bool, "Suppress the build output and print image ID on success"),
            Flag("rm", .bool, "Remove intermediate containers after a successful build", default: "true"),
            Flag("secret", .list, "Secret to expose to the build", hidden: true),
            Flag("security-opt", .commaList, "Security options", hidden: true), Flag("shm-size", .bytes, "Size of \"/dev/shm\""),
            Flag("squash", .bool, "Squash newly built layers into a single new layer", hidden: true),
            Flag("ssh", .list, "SSH agent socket or keys to expose to the build", hidden: true),
            Flag("tag", "t", .list, "Name and optionally a tag in the \"name:tag\" format"),
            Flag("target", .string, "Set the target build stage to build."),
            Flag("ulimit", .list, "Ulimit options", valueName: "ulimit"),
        ]
    }
}

/// `build`: the context as a tar stream to `POST /build`, the answer's messages to the user.
private struct BuildCommand {
    let context: Context
    private var flags: FlagValues { context.flags }

    init(_ context: Context) { self.context = context }

    func run() throws -> Int32 {
        for flag in ["compress", "isolation", "secret", "security-opt", "squash", "ssh"] where flags.has(flag) {
            throw Failure.notImplemented("build --\(flag)")
        }
        guard ["auto", "plain", "tty"].contains(flags.string("progress")) else {
            throw Failure("invalid progress mode \(quoted(flags.string("progress")))")
        }
        let source = try source()
        var request = Request("POST", "/build", query: try query(dockerfile: source.dockerfile), body: source.body)
        if let remote = source.remote { request.query.append((name: "remote", value: remote)) }
        request.headers.append(("X-Registry-Config", context.registryAuth.allHeader { context.printError($0) }))
        let isQuiet = flags.bool("quiet")
        let response = try context.client.send(request)
        var imageID: String?
        let output = isQuiet ? Output(-1) : context.out
        var last = ""
        if isQuiet {
            // What a quiet build said is shown when it fails.
            var said = ""
            try MessageStream.forEach(response) { message in
                if let failure = MessageStream.failure(in: message) {
                    context.err.write(said)
                    throw failure
                }
                said += message["stream"]?.stringValue ?? ""
                imageID = message["aux"]?["ID"]?.stringValue ?? imageID
                if let text = message["stream"]?.stringValue, text.hasPrefix("sha256:") { last = text.trimmed }
            }
            context.print(imageID ?? last)
        } else {
            try MessageStream.show(response, on: output, isTerminal: Output.isTerminal(1) && flags.string("progress") != "plain") {
                imageID = $0["ID"]?.stringValue ?? imageID
            }
        }
        if let path = flags.given("iidfile") {
            guard let id = imageID ?? (last.isEmpty ? nil : last) else {
                throw Failure("server did not provide an image ID. Cannot write \(path)")
            }
            try Files.replace(path, with: Array(id.utf8), mode: 0o666, durable: false)
        }
        return 0
    }

    private func source() throws -> BuildSource {
        let argument = context.arguments[0]
        let file = flags.string("file")
        if argument == "-" {
            if file == "-" { throw Failure("invalid argument: can't use stdin for both build context and dockerfile") }
            return try BuildSource.standardInput(dockerfile: file)
        }
        if ["http://", "https://", "git://", "git@", "github.com/"].contains(where: argument.hasPrefix) {
            throw Failure.notImplemented("build from \(argument)")
        }
        return try BuildSource.directory(argument, dockerfile: file)
    }

    private func query(dockerfile: String) throws -> [(String, String)] {
        var query = flags.list("tag").map { ("t", $0) }
        query.append(("dockerfile", dockerfile))
        let names = [("no-cache", "nocache"), ("pull", "pull"), ("quiet", "q"), ("force-rm", "forcerm")]
        query += names.filter { flags.bool($0.0) }.map { ($0.1, "1") }
        query.append(("rm", flags.bool("rm") ? "1" : "0"))
        for (flag, name) in [
            ("target", "target"), ("platform", "platform"), ("cgroup-parent", "cgroupparent"), ("cpu-period", "cpuperiod"),
            ("cpu-quota", "cpuquota"), ("cpu-shares", "cpushares"), ("cpuset-cpus", "cpusetcpus"), ("cpuset-mems", "cpusetmems"),
        ] {
            if let value = flags.given(flag) { query.append((name, value)) }
        }
        for (flag, name) in [("memory", "memory"), ("memory-swap", "memswap"), ("shm-size", "shmsize")] {
            if let value = flags.bytes(flag) { query.append((name, "\(value)")) }
        }
        if flags.has("network") { query.append(("networkmode", flags.string("network"))) }
        query += try flags.list("add-host").map { ("extrahosts", try ValueSpecs.extraHost($0)) }
        if flags.has("ulimit") { query.append(("ulimits", try JSON.value(flags.list("ulimit").map(ValueSpecs.ulimit)).text())) }
        let arguments = buildArguments()
        if !arguments.isEmpty { query.append(("buildargs", JSONValue.object(arguments).text())) }
        if flags.has("label") { query.append(("labels", try JSON.value(flags.pairs("label")).text())) }
        if flags.has("cache-from") { query.append(("cachefrom", try JSON.value(flags.list("cache-from")).text())) }
        return query
    }

    /// `KEY=value`, or `KEY` with the client's own value; null when it has none. The configuration's proxies come first.
    private func buildArguments() -> JSONObject {
        var object = JSONObject()
        for proxy in context.configuration.proxyVariables(host: context.host) { object[proxy.name] = .string(proxy.value) }
        for text in flags.list("build-arg") {
            let pair = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            object[pair[0]] = pair.count == 2 ? .string(pair[1]) : Context.environment(pair[0]).map { .string($0) } ?? .null
        }
        return object
    }
}
