internal import EngineClient
internal import JSON

/// Docker's exit codes of `run`.
enum ExitCodes {
    /// A container that could not start: 127 when its program isn't there, 126 when it can't be executed, else 125.
    /// The API has no field for this; every client looks at the words.
    static func startFailure(_ message: String) -> Int32 {
        let missing = ["executable file not found", "no such file or directory", "system cannot find the file specified"]
        if missing.contains(where: message.contains) { return 127 }
        let refused = ["permission denied", "is a directory", "exec format error"]
        if refused.contains(where: message.contains) { return 126 }
        return 125
    }

    /// The exit code in the answer to a wait; 125 when the wait itself failed. Tells why the container stopped when it did not just
    /// exit, unless this client has sent it a signal.
    static func waited(_ answer: ResponseStream, _ context: Context, after session: StreamSession) throws -> Int32 {
        let document = try JSONValue(parsing: answer.readAll())
        if let message = document["Error"]?["Message"]?.stringValue, !message.isEmpty {
            context.printError("Error waiting for container: \(message)")
            return 125
        }
        if let reason = document["Reason"]?.stringValue, !session.hasSentSignal { context.printError("\(context.program): \(reason)") }
        return Int32(truncatingIfNeeded: document["StatusCode"]?.intValue ?? 125)
    }
}
