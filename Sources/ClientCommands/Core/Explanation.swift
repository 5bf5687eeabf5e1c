internal import ClientUI
internal import EngineClient

/// `--explain`: the calls this command made, with times, on stderr.
///
/// The steps inside the engine and kernel are not told here yet; the last line says so.
final class Explanation {
    private let start = CallRecord.clock()
    private var calls: [CallRecord] = []

    init(_ client: EngineClient) { client.onCall = { [weak self] in self?.calls.append($0) } }

    func print(to output: Output) {
        output.line("\n   at ms   took ms  call")
        for call in calls {
            let at = Self.milliseconds(call.started - start)
            let took = Self.milliseconds(call.answered - call.started)
            output.line("\(Self.right(at, 8))  \(Self.right(took, 8))  \(call.method) \(call.path) → \(call.status)")
        }
        output.line(
            "\(Self.right(Self.milliseconds(CallRecord.clock() - start), 8))            done, as the client saw it (steps inside the engine: not implemented)"
        )
        output.flush()
    }

    private static func milliseconds(_ nanoseconds: UInt64) -> String { HumanSize.fixed(Double(nanoseconds) / 1e6, 2) }

    private static func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
}
