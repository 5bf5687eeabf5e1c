internal import Archive
internal import EngineTypes
internal import Glibc
internal import Images
internal import Linux

/// Archives that clients send packed, for readers that know plain ones only.
enum PackedInput {
    /// Runs `body` with a descriptor from which the plain archive is read: `socket` itself, or a pipe into which it is unpacked meanwhile.
    static func plain<Result: Sendable>(_ socket: Int32, _ body: (Int32) async throws -> Result) async throws -> Result {
        guard try await offloaded({ try isPacked(socket) }) else { return try await body(socket) }
        let pipe = try OwnedFD.pipe()
        let (reading, writing) = (pipe.reading.take(), pipe.writing.take())
        async let unpacked: Void = offloaded { try unpack(socket, into: writing) }
        let outcome: Swift.Result<Result, any Error>
        do { outcome = .success(try await body(reading)) } catch { outcome = .failure(error) }
        // Whoever unpacks for nobody stops.
        _ = close(reading)
        // What is wrong with the packing is the cause of what is wrong with the archive.
        do { try await unpacked } catch let error as SystemError where error.code == EPIPE {} catch let error as ArchiveError {
            throw refusal(error)
        }
        return try outcome.get()
    }

    /// By the first bytes, which stay in the socket.
    private static func isPacked(_ socket: Int32) throws -> Bool {
        var head = [UInt8](repeating: 0, count: 6)
        let count = try retrying("read archive") { recv(socket, &head, head.count, Int32(MSG_PEEK)) }
        // Of a piece shorter than that nothing is known; unpacking hands on what is plain.
        if count > 0 && count < head.count { return true }
        do { return try Compression.sniff(head[..<count]) != .none } catch let error as ArchiveError { throw refusal(error) }
    }

    private static func refusal(_ error: ArchiveError) -> EngineError {
        EngineError(error.code == .unsupported ? .notImplemented : .invalidParameter, error.message, cause: error)
    }

    private static func unpack(_ socket: Int32, into pipe: Int32) throws {
        defer { _ = close(pipe) }
        let source = try DecompressingSource(FileSource(socket))
        let sink = FileSink(pipe)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            let count = try source.read(into: buffer)
            if count == 0 { return try sink.finish() }
            try sink.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }
}
