internal import EngineTypes
internal import Glibc
internal import Linux
internal import ShimProtocol
internal import Supervision

/// An attach that wants what was logged before: the log first, then (when asked) the live streams.
struct LogReplay {
    let container: Container
    let path: String

    func attach(_ request: AttachRequest, _ options: AttachOptions, isTerminal: Bool) async throws -> AttachedStream {
        if request.stream && container.isAlive && request.stdin {
            throw EngineError.notImplemented("attach with logs, stream and stdin at once")
        }
        let wanted = LogRequest(
            stdout: request.stdout, stderr: request.stderr, follow: request.stream, since: nil, until: nil, timestamps: false, tail: nil,
            details: false)
        let reader = LogReader(path: path, directory: Files.parent(of: path), request: wanted, isFramed: !isTerminal)
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        let writing = pair.second.duplicateRaw()
        Task { [container] in
            defer { _ = close(writing) }
            try? await reader.run(container: container) { bytes in
                try await offloaded {
                    var rest = bytes[...]
                    while !rest.isEmpty {
                        let count = try retrying("send") {
                            rest.withUnsafeBytes { send(writing, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                        }
                        rest = rest.dropFirst(count)
                    }
                }
            }
        }
        return AttachedStream(socket: pair.first.duplicateRaw(), isTerminal: isTerminal)
    }
}
