internal import Glibc
internal import HTTPServer
internal import JSON
internal import Linux
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// One line of JSON on standard output for each request.
final class AccessLog: Sendable {
    private let descriptor: Int32
    private let writing = Mutex(())

    init(descriptor: Int32 = 1) { self.descriptor = descriptor }

    func write(_ call: Call, _ response: Response, seconds: Double) {
        let request = call.request
        var line = JSONObject()
        line.append("time", .string(Timestamp.now().fixedWidth))
        line.append("id", .string(call.id))
        line.append("client", .string(request.clientAddress))
        if let user = call.identity.user { line.append("user", .string(user)) }
        line.append("method", .string(request.method.rawValue))
        line.append("target", .string(request.target))
        line.append("status", .integer(Int64(response.status.code)))
        if let length = response.announcedLength { line.append("bytes", .integer(Int64(length))) }
        line.append("ms", .double((seconds * 1e6).rounded() / 1e3))
        line.append("agent", .string(request.headers.first(name: "User-Agent") ?? ""))
        let bytes = JSONValue.object(line).serialized() + [10]
        // Lines stay whole; a reader that is gone or slow costs at most this line.
        writing.withLock { _ in _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) } }
    }
}

extension Request {
    /// The client's address without port; empty when there is none.
    var clientAddress: String { remoteAddress?.ipAddress ?? "" }
}

extension Response {
    /// Bytes of the body, where they are known beforehand.
    var announcedLength: Int? {
        switch body {
        case .bytes(let bytes): bytes.readableBytes
        case .file(_, _, let length): length
        case .none: 0
        default: headers.first(name: "Content-Length").flatMap { Int($0) }
        }
    }
}
