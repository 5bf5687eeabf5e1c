internal import ClientUI
internal import EngineClient
internal import JSON
internal import Linux

extension Command {
    static var containerLogs: Command {
        Command(
            "container logs", "logs", summary: "Fetch the logs of a container", usage: "[OPTIONS] CONTAINER", arity: .exactly(1),
            flags: [
                Flag("details", .bool, "Show extra details provided to logs"), Flag("follow", "f", .bool, "Follow log output"),
                Flag(
                    "since", .string, "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)"),
                Flag("tail", "n", .string, "Number of lines to show from the end of the logs", default: "all"),
                Flag("timestamps", "t", .bool, "Show timestamps"),
                Flag(
                    "until", .string,
                    "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)"),
            ]
        ) { context in
            let flags = context.flags
            let container = try context.get("/containers/\(Context.segment(context.arguments[0]))/json")
            let id = container["Id"]?.stringValue ?? context.arguments[0]
            var query = [("stdout", "1"), ("stderr", "1"), ("tail", flags.string("tail"))]
            for name in ["details", "follow", "timestamps"] where flags.bool(name) { query.append((name, "1")) }
            for name in ["since", "until"] where !flags.string(name).isEmpty {
                query.append((name, try Moment.text(flags.string(name), flag: name)))
            }
            let response = try context.client.send(Request("GET", "/containers/\(id)/logs", query: query))
            if container["Config"]?["Tty"]?.boolValue ?? false {
                try response.forEachPiece { context.out.write(raw: $0) }
                return 0
            }
            var demultiplexer = StreamDemultiplexer()
            try response.forEachPiece { piece in
                try demultiplexer.feed(piece) { stream, bytes in (stream == .stdout ? context.out : context.err).write(raw: bytes) }
            }
            return 0
        }
    }
}

/// `--since` and `--until`: a span back from now (`10m`), or a moment; as Unix seconds with nine decimals.
enum Moment {
    static func text(_ given: String, flag: String?) throws -> String {
        if let span = GoDuration.nanoseconds(given) {
            let moment = Timestamp.now().adding(nanoseconds: -span)
            return unix(moment)
        }
        guard let moment = Timestamp(given) else {
            throw Failure(
                (flag.map { "invalid value for \"\($0)\": " } ?? "") + "failed to parse value as time or duration: \(quoted(given))")
        }
        return unix(moment)
    }

    private static func unix(_ moment: Timestamp) -> String {
        let digits = String(moment.nanoseconds)
        return "\(moment.seconds).\(String(repeating: "0", count: 9 - digits.count))\(digits)"
    }
}
