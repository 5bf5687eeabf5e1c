internal import JSON

/// An answer whose body is read as it comes.
public final class ResponseStream {
    public let head: HTTPHead
    private var connection: Connection?
    private let framing: HTTPHead.Framing
    private var remaining = 0
    private var isFirstChunk = true
    private let giveBack: (Connection) -> Void

    init(_ head: HTTPHead, _ connection: Connection, method: String, giveBack: @escaping (Connection) -> Void) throws {
        self.head = head
        self.giveBack = giveBack
        framing = try head.framing(answering: method)
        self.connection = connection
        switch framing {
        case .none, .length(0): finish()
        case .length(let length): remaining = length
        case .chunked, .untilClose: break
        }
    }

    public var status: Int { head.status }

    /// For poll(2); nil when the body is at its end.
    public var descriptor: Int32? { connection?.descriptor }

    /// Whether bytes are here that poll(2) doesn't know of.
    public var hasBufferedBytes: Bool { (connection?.bufferedCount ?? 0) > 0 }

    /// At least one byte of the body, or 0 at its end.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard let connection else { return 0 }
        if framing == .chunked && remaining == 0 {
            guard try nextChunk(connection) else { return 0 }
        }
        if framing == .untilClose {
            let count = try connection.read(into: buffer)
            if count == 0 { self.connection = nil }
            return count
        }
        let count = try connection.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, remaining)]))
        guard count > 0 else { throw ClientError.malformed("answer ends in the middle") }
        remaining -= count
        if remaining == 0, case .length = framing { finish() }
        return count
    }

    /// Reads the size line of the next chunk; false behind the last one.
    private func nextChunk(_ connection: Connection) throws -> Bool {
        if !isFirstChunk {
            guard try connection.readLine(limit: 16) == [] else { throw ClientError.malformed("chunk without end") }
        }
        isFirstChunk = false
        guard let line = try connection.readLine(limit: 1024) else { throw ClientError.malformed("answer ends in the middle") }
        let digits = String(decoding: line.prefix { $0 != UInt8(ascii: ";") && $0 != 32 }, as: UTF8.self)
        guard !digits.isEmpty, digits.utf8.count <= 15, !digits.hasPrefix("+"), let size = Int(digits, radix: 16), size >= 0 else {
            throw ClientError.malformed("chunk size \(digits.prefix(40))")
        }
        remaining = size
        if size > 0 { return true }
        while let trailer = try connection.readLine(limit: 8192), !trailer.isEmpty {}
        finish()
        return false
    }

    private func finish() {
        if let connection, head.keepsAlive, framing != .untilClose { giveBack(connection) }
        connection = nil
    }

    /// The rest of the body.
    public func readAll(limit: Int = 1 << 30) throws -> [UInt8] {
        if case .length(let length) = framing, length <= limit {
            // Into its place at once: a list of hundreds of containers is not copied.
            return try [UInt8](unsafeUninitializedCapacity: remaining) { buffer, count in
                while count < buffer.count {
                    let read = try read(into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[count...]))
                    if read == 0 { return }
                    count += read
                }
            }
        }
        var result: [UInt8] = []
        try forEachPiece {
            result.append(contentsOf: $0)
            if result.count > limit { throw ClientError.malformed("answer longer than \(limit) bytes") }
        }
        return result
    }

    /// Hands the rest of the body on in pieces of up to 256 KiB.
    public func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = try read(into: buffer)
            if count == 0 { return }
            try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    /// Reads the message of a refusal. Answers `tooNew` when the server's version shows that our version was the reason.
    func failure(_ apiVersion: String) throws -> ClientError {
        let bytes = try readAll(limit: 1 << 20)
        let text = String(decoding: bytes, as: UTF8.self)
        let message = (try? JSONValue(parsing: bytes))?["message"]?.stringValue ?? String(text.drop { $0.isWhitespace })
        if status == 400, let version = head["api-version"], APIVersion(version) < APIVersion(apiVersion) {
            return .tooNew(serverVersion: version)
        }
        let trimmed = message.last?.isNewline == true ? String(message.dropLast()) : message
        return .api(status: status, message: trimmed.isEmpty ? "HTTP status \(status) without a message" : trimmed)
    }
}
