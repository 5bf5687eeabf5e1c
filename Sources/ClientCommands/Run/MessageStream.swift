internal import ClientUI
internal import EngineClient
internal import JSON

/// The stream of JSON messages that pull, push, load, import and build answer with.
enum MessageStream {
    /// Shows the messages as they come; `auxiliary` gets each `aux` document. Throws `Failure` for the stream's error.
    static func show(
        _ response: ResponseStream, on output: Output, isTerminal: Bool, quiet: Bool = false, auxiliary: ((JSONValue) -> Void)? = nil
    ) throws {
        let lines = ProgressLines(output, isTerminal: isTerminal)
        try forEach(response) { message in
            if let failure = failure(in: message) {
                output.flush()
                throw failure
            }
            if let document = message["aux"] { auxiliary?(document) }
            if quiet { return }
            if let text = message["stream"]?.stringValue {
                lines.text(text)
                if isTerminal { output.flush() }
            } else if let status = message["status"]?.stringValue {
                let progress = isTerminal ? bar(message["progressDetail"]) : ""
                let hasProgress = message["progressDetail"]?["current"] != nil || message["progressDetail"]?["total"] != nil
                if isTerminal || !hasProgress {
                    lines.status(id: message["id"]?.stringValue, progress.isEmpty ? status : "\(status) \(progress)")
                }
            }
        }
        output.flush()
    }

    /// The error that a message tells of; a build's step has an exit code, which becomes the client's.
    static func failure(in message: JSONValue) -> Failure? {
        guard let error = message["errorDetail"]?["message"]?.stringValue ?? message["error"]?.stringValue else { return nil }
        let code = message["errorDetail"]?["code"]?.intValue.map { Int32(truncatingIfNeeded: $0) } ?? 0
        return Failure(error, code: code == 0 ? 1 : code)
    }

    /// Each message as soon as its line is complete. A line that is no JSON is an error that names it.
    static func forEach(_ response: ResponseStream, _ body: (JSONValue) throws -> Void) throws {
        var pending: [UInt8] = []
        try response.forEachPiece { piece in
            var rest = piece[...]
            while let end = rest.firstIndex(of: 10) {
                pending.append(contentsOf: rest[..<end])
                rest = rest[(end + 1)...]
                try handle(&pending, body)
            }
            pending.append(contentsOf: rest)
            guard pending.count < 16 << 20 else { throw ClientError.malformed("message longer than 16 MiB") }
        }
        try handle(&pending, body)
    }

    private static func handle(_ line: inout [UInt8], _ body: (JSONValue) throws -> Void) throws {
        defer { line.removeAll(keepingCapacity: true) }
        if line.allSatisfy({ $0 <= 32 }) { return }
        let message: JSONValue
        do { message = try JSONValue(parsing: line) } catch {
            throw ClientError.malformed("message \(String(decoding: line.prefix(80), as: UTF8.self)): \(error)")
        }
        try body(message)
    }

    /// `[====>     ]  1.2MB/4MB`
    private static func bar(_ detail: JSONValue?) -> String {
        guard let current = detail?["current"]?.doubleValue, current > 0 else { return "" }
        guard let total = detail?["total"]?.doubleValue, total > 0, current <= total else { return HumanSize.decimal(current) }
        let done = Int(current / total * 50)
        let line =
            done >= 50
            ? String(repeating: "=", count: 50) : String(repeating: "=", count: done) + ">" + String(repeating: " ", count: 49 - done)
        return "[\(line)]  \(HumanSize.decimal(current))/\(HumanSize.decimal(total))"
    }
}
