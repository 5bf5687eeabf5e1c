internal import EngineTypes
internal import JSON
internal import Linux

/// Reads the log of one container as `docker logs` wants it. It reads the files the shim writes and never touches the
/// container: a slow reader delays nobody.
struct LogReader {
    let path: String
    let directory: String
    let request: LogRequest
    /// Without a terminal, output goes out in frames that tell stdout from stderr.
    let isFramed: Bool

    /// Emits what is there and, when following, what comes until `hasEnded` is true.
    func run(container: Container, emit: @escaping @Sendable ([UInt8]) async throws -> Void) async throws {
        var files = try LogFiles(path: path, tail: request.tail, isBounded: !request.follow)
        let changes = request.follow ? try FileChanges(directory: directory) : nil
        let observer = container.observe { milestone in
            switch milestone {
            case .exited, .removed: changes?.poke()
            case .started: break
            }
            return false
        }
        defer { container.stopObserving(observer) }
        // A container that says nothing doesn't hold the end back.
        let end = (request.follow ? request.until : nil).map { until in
            Task {
                try? await Task.sleep(nanoseconds: UInt64(max(0, until.nanoseconds(since: .now()))))
                changes?.poke()
            }
        }
        defer { end?.cancel() }
        var ticks = changes?.changes.makeAsyncIterator()
        while true {
            // Asked before reading: what the container wrote before it ended is read below.
            let isAlive = container.isAlive
            while true {
                let lines = try files.next()
                if lines.isEmpty { break }
                var output: [UInt8] = []
                for line in lines {
                    guard let entry = LogLine(line) else { continue }
                    if let until = request.until, until < entry.time { return try await send(output, emit) }
                    append(entry, to: &output)
                }
                try await send(output, emit)
                try Task.checkCancellation()
            }
            guard request.follow, isAlive else { return }
            if let until = request.until, until < .now() { return }
            if await ticks?.next() == nil { return }
            try Task.checkCancellation()
        }
    }

    private func send(_ output: [UInt8], _ emit: @Sendable ([UInt8]) async throws -> Void) async throws {
        if !output.isEmpty { try await emit(output) }
    }

    private func append(_ entry: LogLine, to output: inout [UInt8]) {
        if let since = request.since, entry.time < since { return }
        guard entry.isError ? request.stderr : request.stdout else { return }
        var text: [UInt8] = []
        if request.timestamps { text += Array("\(entry.time.fixedWidth) ".utf8) }
        if request.details {
            let pairs = (entry.attributes?.members ?? []).map {
                "\(LogAttributes.escaped($0.name))=\(LogAttributes.escaped($0.value.stringValue ?? ""))"
            }.joined(separator: ",")
            text += Array("\(pairs) ".utf8)
        }
        text += Array(entry.text.utf8)
        if isFramed { output += Self.frameHeader(isError: entry.isError, count: text.count) }
        output += text
    }

    /// Docker's stream framing: kind, three zeros, length in big-endian.
    static func frameHeader(isError: Bool, count: Int) -> [UInt8] {
        let length = UInt32(truncatingIfNeeded: count)
        return [
            isError ? 2 : 1, 0, 0, 0, UInt8(length >> 24 & 255), UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255),
        ]
    }
}
