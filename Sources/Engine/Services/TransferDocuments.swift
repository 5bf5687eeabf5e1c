internal import Images
internal import JSON
internal import OCIImageSpec

/// Docker's progress documents of a pull or push, as its clients draw them.
enum TransferDocuments {
    static func documents(_ progress: TransferProgress) -> [JSONValue] {
        switch progress {
        case .message(let id?, let text): [["status": .string(text), "id": .string(id)]]
        case .message(nil, let text): [["status": .string(text)]]
        case .importing(let current, let total): [step(nil, "Importing", current, total ?? 0)]
        case .layer(let digest, let status): [layer(digest.short, status)]
        case .tagPushed(let tag, let digest, let size):
            [
                ["status": .string("\(tag): digest: \(digest) size: \(size)")],
                [
                    "progressDetail": [:],
                    "aux": ["Tag": .string(tag), "Digest": .string(digest.description), "Size": .integer(Int64(size))],
                ],
            ]
        }
    }

    private static func layer(_ id: String, _ status: LayerStatus) -> JSONValue {
        func plain(_ text: String) -> JSONValue { ["status": .string(text), "progressDetail": [:], "id": .string(id)] }
        switch status {
        case .pulling: return plain("Pulling fs layer")
        case .waiting: return plain("Waiting")
        case .downloading(let current, let total): return step(id, "Downloading", current, total)
        case .retrying(let seconds): return plain("Retrying in \(seconds) second\(seconds == 1 ? "" : "s")")
        case .verifying: return plain("Verifying Checksum")
        case .downloaded: return plain("Download complete")
        case .extracting(let current, let total): return step(id, "Extracting", current, total)
        case .pulled: return plain("Pull complete")
        case .exists: return plain("Already exists")
        case .preparing: return plain("Preparing")
        case .pushing(let current, let total): return step(id, "Pushing", current, total)
        case .pushed: return plain("Pushed")
        case .existsInRegistry: return plain("Layer already exists")
        case .mounted(let other): return plain("Mounted from \(other)")
        }
    }

    /// With the bar that Docker draws for clients that can't: 50 wide, and the sizes behind.
    private static func step(_ id: String?, _ status: String, _ current: Int64, _ total: Int64) -> JSONValue {
        var members: [JSONObject.Member] = [
            .init(name: "status", value: .string(status)),
            .init(name: "progressDetail", value: ["current": .integer(current), "total": .integer(total)]),
            .init(name: "progress", value: .string(bar(current, total))),
        ]
        if let id { members.append(.init(name: "id", value: .string(id))) }
        return .object(JSONObject(members))
    }

    private static func bar(_ current: Int64, _ total: Int64) -> String {
        guard total > 0, current <= total else { return size(current).leftPadded(to: 8) }
        let done = Int(current * 50 / total)
        let line =
            done >= 50
            ? String(repeating: "=", count: 50) + ">" : String(repeating: "=", count: done) + ">" + String(repeating: " ", count: 50 - done)
        return "[\(line)] \(size(current).leftPadded(to: 8))/\(size(total))"
    }

    /// Decimal, with four digits, as Go's units.HumanSize.
    private static func size(_ bytes: Int64) -> String {
        var value = Double(bytes)
        for unit in ["B", "kB", "MB", "GB"] {
            if value < 1000 { return "\(significant(value))\(unit)" }
            value /= 1000
        }
        return "\(significant(value))TB"
    }

    private static func significant(_ value: Double) -> String {
        let decimals = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3
        let scale = [1.0, 10, 100, 1000][decimals]
        let scaled = Int64((value * scale).rounded())
        guard decimals > 0 else { return "\(scaled)" }
        let fraction = String(scaled % Int64(scale)).leftPadded(to: decimals, with: "0")
        var text = "\(scaled / Int64(scale)).\(fraction)"
        while text.last == "0" { text.removeLast() }
        if text.last == "." { text.removeLast() }
        return text
    }
}

extension String {
    fileprivate func leftPadded(to width: Int, with filler: Character = " ") -> String {
        String(repeating: filler, count: max(0, width - count)) + self
    }
}

/// Progress on its way to one client. A client that reads slowly gets fewer steps, not later ones: a step that waits is
/// replaced by the next of its layer.
final class TransferOutbox: Sendable {
    private struct State {
        var pending: [TransferProgress] = []
        var isEnded = false
        var reader: CheckedContinuation<Void, Never>?
    }

    private let state = Locked(State())

    func put(_ progress: TransferProgress) {
        let reader = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if case .layer(let digest, let status) = progress, status.isStep,
                let index = state.pending.lastIndex(where: { if case .layer(digest, _) = $0 { true } else { false } }),
                case .layer(_, let earlier) = state.pending[index], earlier.isStep
            {
                state.pending[index] = progress
            } else {
                state.pending.append(progress)
            }
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    func end() {
        let reader = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.isEnded = true
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    /// All that waits; nil at the end. One reader.
    func take() async -> [TransferProgress]? {
        while true {
            let (pending, isEnded) = state.withLock { state in
                defer { state.pending = [] }
                return (state.pending, state.isEnded)
            }
            if !pending.isEmpty { return pending }
            if isEnded { return nil }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if !state.pending.isEmpty || state.isEnded { return true }
                    state.reader = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        }
    }
}
