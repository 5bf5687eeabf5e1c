internal import Glibc
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

// How answers are written. `answer` runs in the request's task, the rest on the event loop.
extension Connection {
    func answer(_ exchange: Exchange, _ response: Response) async {
        let produce: @Sendable (ResponseWriter) async throws -> Void
        var response = response
        switch response.body {
        case .stream(let closure): produce = closure
        case .file(let file, let offset, let length):
            response.headers.replaceOrAdd(name: "Content-Length", value: "\(length)")
            guard exchange.head.method != .HEAD else { fallthrough }
            produce = { try await self.send(file, offset, length, to: $0) }
        default:
            let response = response
            return eventLoop.execute { self.send(exchange, response) }
        }
        let head = response
        eventLoop.execute { self.begin(exchange, head) }
        guard exchange.head.method != .HEAD else { return eventLoop.execute { self.ended(exchange, intact: true) } }
        do {
            try await produce(ResponseWriter(connection: self))
            eventLoop.execute { self.finishStream(exchange) }
        } catch {
            eventLoop.execute {
                if !self.isGone && !(error is CancellationError) {
                    self.server.logger.info("answer broke off", metadata: ["target": "\(exchange.head.uri)", "error": "\(error)"])
                }
                self.ended(exchange, intact: false)
            }
        }
    }

    /// The handler threw.
    func failed(_ exchange: Exchange, _ error: any Error) {
        if error is CancellationError { return ended(exchange, intact: false) }
        server.logger.error("handler failed", metadata: ["target": "\(exchange.head.uri)", "error": "\(error)"])
        send(exchange, .bytes("500 Internal Server Error\n".utf8, contentType: "text/plain; charset=utf-8", status: .internalServerError))
    }

    private func send(_ exchange: Exchange, _ response: Response) {
        guard exchange === current, !isGone else { return }
        let isHead = exchange.head.method == .HEAD
        switch response.body {
        case .bytes(let bytes) where !isHead:
            // Head and body in one system call.
            var response = response
            response.headers.replaceOrAdd(name: "Content-Length", value: "\(bytes.readableBytes)")
            writeHead(exchange, response)
            front.write(bytes)
            front.flush()
            ended(exchange, intact: true)
        case .bytes(let bytes):
            var response = response
            if !response.headers.contains(name: "Content-Length") {
                response.headers.add(name: "Content-Length", value: "\(bytes.readableBytes)")
            }
            begin(exchange, response)
            ended(exchange, intact: true)
        case .none, .stream, .file:
            var response = response
            if case .none = response.body, !isHead, response.status.mayHaveResponseBody {
                response.headers.replaceOrAdd(name: "Content-Length", value: "0")
            }
            begin(exchange, response)
            ended(exchange, intact: true)
        case .descriptor(let descriptor):
            begin(exchange, response)
            if isHead { ended(exchange, intact: true) } else { stream(exchange, descriptor) }
        case .hijack(let socket, let form):
            hijack(exchange, response, socket, form)
        }
    }

    private func begin(_ exchange: Exchange, _ response: Response) {
        guard exchange === current, !isGone else { return }
        writeHead(exchange, response)
        front.flush()
    }

    private func writeHead(_ exchange: Exchange, _ response: Response) {
        var headers = response.headers
        exchange.status = response.status
        let version = exchange.head.version
        switch response.body {
        case .stream, .descriptor:
            guard response.status.mayHaveResponseBody, !headers.contains(name: "Content-Length") else { break }
            if version.minor >= 1 {
                exchange.framing = .chunks
                headers.add(name: "Transfer-Encoding", value: "chunked")
            } else {
                exchange.keepAlive = false
            }
        default:
            // An answer that comes before the request is complete (mostly an error) ends the connection.
            if !exchange.body.isComplete { exchange.keepAlive = false }
        }
        if !exchange.keepAlive {
            headers.replaceOrAdd(name: "Connection", value: "close")
        } else if version.minor == 0 {
            headers.replaceOrAdd(name: "Connection", value: "keep-alive")
        }
        front.write(ResponseHead.serialize(version: version, status: response.status, headers: headers))
    }

    // MARK: Streams

    /// Writes one piece and waits until the client has taken enough.
    func writeFromStream(_ buffer: ByteBuffer) async throws {
        try Task.checkCancellation()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                eventLoop.execute {
                    guard !self.isGone, let exchange = self.current else {
                        return continuation.resume(throwing: HTTPServerError.clientGone)
                    }
                    guard self.pendingWriter == nil else {
                        return continuation.resume(throwing: HTTPServerError("answer has two writers"))
                    }
                    self.writePiece(exchange, buffer)
                    self.front.flush()
                    if self.channel.isWritable { continuation.resume() } else { self.pendingWriter = continuation }
                }
            }
        } onCancel: {
            eventLoop.execute {
                guard let writer = self.pendingWriter else { return }
                self.pendingWriter = nil
                writer.resume(throwing: CancellationError())
            }
        }
    }

    func writePiece(_ exchange: Exchange, _ buffer: ByteBuffer) {
        switch exchange.framing {
        case .none: front.write(buffer)
        case .chunks:
            front.write(ByteBuffer(string: String(buffer.readableBytes, radix: 16) + "\r\n"))
            front.write(buffer)
            front.write(ByteBuffer(string: "\r\n"))
        case .webSocket(let opcode):
            front.write(WebSocketFrames.head(opcode, count: buffer.readableBytes))
            front.write(buffer)
        }
    }

    func finishStream(_ exchange: Exchange) {
        guard exchange === current, !isGone else { return }
        if case .chunks = exchange.framing { front.write(ByteBuffer(string: "0\r\n\r\n")) }
        front.flush()
        ended(exchange, intact: true)
    }

    /// Bytes of a file that are handed to the kernel at once.
    private static let regionBytes = 1 << 20

    private func send(_ file: SharedDescriptor, _ offset: Int, _ length: Int, to writer: ResponseWriter) async throws {
        guard let descriptor = file.take() else { return }
        let handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: descriptor)
        defer { try? handle.close() }
        var (offset, rest) = (offset, length)
        while rest > 0 {
            let count = min(rest, Self.regionBytes)
            if isEncrypted {
                try await writer.write(try Self.read(descriptor, offset, count))
            } else {
                // The kernel reads ahead meanwhile: sendfile(2) on the event loop should find the pages there.
                if rest > count { posix_fadvise(descriptor, off_t(offset + count), off_t(Self.regionBytes), Int32(POSIX_FADV_WILLNEED)) }
                let region = FileRegion(fileHandle: handle, readerIndex: offset, endIndex: offset + count)
                try await write(region)
            }
            offset += count
            rest -= count
        }
    }

    private static func read(_ descriptor: Int32, _ offset: Int, _ wanted: Int) throws -> ByteBuffer {
        var buffer = ByteBuffer()
        let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) {
            max(0, pread(descriptor, $0.baseAddress, wanted, off_t(offset)))
        }
        guard count == wanted else { throw HTTPServerError("file ended before \(wanted - count) bytes") }
        return buffer
    }

    /// Waits until the kernel has taken it all.
    private func write(_ region: FileRegion) async throws {
        let done = eventLoop.makePromise(of: Void.self)
        eventLoop.execute {
            guard !self.isGone, self.current != nil else { return done.fail(HTTPServerError.clientGone) }
            self.isSendingFile = true
            self.front.write(region, promise: done)
            self.front.flush()
        }
        defer { eventLoop.execute { self.isSendingFile = false } }
        try await done.futureResult.get()
    }

    private func stream(_ exchange: Exchange, _ descriptor: SharedDescriptor) {
        guard let number = descriptor.take() else { return ended(exchange, intact: false) }
        let source = DescriptorSource(connection: self, exchange: exchange)
        self.source = source
        source.open(number, on: eventLoop).whenFailure { error in
            self.server.logger.error("cannot stream descriptor", metadata: ["error": "\(error)"])
            self.sourceEnded(exchange, intact: false)
        }
    }

    func sourceEnded(_ exchange: Exchange, intact: Bool) {
        guard source != nil else { return }
        source = nil
        if intact { finishStream(exchange) } else { ended(exchange, intact: false) }
    }
}
