internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// The requests of one connection, in order, one at a time. A pipelined request waits until the one before it has
/// been answered; the client isn't read meanwhile (NIO reports its going away all the same).
///
/// `@unchecked Sendable`: all state is touched only on the channel's event loop; tasks reach it through `execute`.
final class Connection: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart

    /// One request and its answer.
    /// `@unchecked Sendable`: as the connection, touched only on its event loop; `head` and `body` are immutable.
    final class Exchange: @unchecked Sendable {
        let head: HTTPRequestHead
        let body: RequestBody
        let mayHijack: Bool
        let started = NIODeadline.now()
        var task: Task<Void, Never>?
        var expectsContinue: Bool
        var keepAlive: Bool
        var status: HTTPResponseStatus?
        var framing = Framing.none

        init(head: HTTPRequestHead, body: RequestBody, mayHijack: Bool) {
            self.head = head
            self.body = body
            self.mayHijack = mayHijack
            // NIO's parser stops at a request with Upgrade, and behind one that may hijack bytes are held back.
            keepAlive = head.isKeepAlive && !mayHijack && !head.headers.contains(name: "Upgrade")
            expectsContinue = head.headers[canonicalForm: "expect"].contains { $0.lowercased() == "100-continue" }
        }
    }

    /// What stands around the pieces of an answer that is written bit by bit.
    enum Framing {
        case none
        case chunks
        case webSocket(WebSocketFrames.Opcode)
    }

    let server: HTTPServer
    let channel: any Channel
    let eventLoop: any EventLoop
    /// Set in init; `FrontHandler` refers back.
    private(set) lazy var front = FrontHandler(connection: self)
    var current: Exchange?
    private var waiting = CircularBuffer<Exchange>()
    /// The body that is being received: of the current request or of the last waiting one.
    private var receiving: RequestBody?
    private var closing = false
    private var lingering = false
    var isGone = false
    /// A streaming handler that waits for room.
    var pendingWriter: CheckedContinuation<Void, any Error>?
    var source: DescriptorSource?
    /// A part of a file is on its way to the socket.
    var isSendingFile = false
    private var isRelay = false
    /// Bytes pass through TLS: files can't go to the socket by themselves.
    var isEncrypted = false

    init(server: HTTPServer, channel: any Channel) {
        self.server = server
        self.channel = channel
        eventLoop = channel.eventLoop
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): receive(head)
        case .body(let bytes): receiving?.append(bytes)
        case .end:
            receiving?.finish(.success(()))
            receiving = nil
            if front.phase == .hijackableBody { front.phase = .hijackableEnd } else if front.phase == .body { front.phase = .head }
        }
    }

    private func receive(_ head: HTTPRequestHead) {
        let mayHijack = server.configuration.mayHijack(head.method.rawValue, head.uri)
        front.phase = mayHijack ? .hijackableBody : .body
        // Docker's client sends an empty Host when it hijacks; that is one.
        let hosts = head.headers["host"].count
        if head.version.major != 1 { return refuse(.httpVersionNotSupported, "unsupported protocol version") }
        if hosts > 1 || (hosts == 0 && head.version.minor >= 1) { return refuse(.badRequest, "missing or repeated Host header") }
        let limit = server.configuration.bodyBufferBytes
        let hasBody = head.headers.contains(name: "Content-Length") || head.headers.contains(name: "Transfer-Encoding")
        let body =
            hasBody
            ? RequestBody(source: .init(eventLoop: eventLoop, limit: limit) { [weak self] in self?.bodyWanted() }) : RequestBody.empty
        receiving = body
        let exchange = Exchange(head: head, body: body, mayHijack: mayHijack)
        if current == nil && !closing { start(exchange) } else { waiting.append(exchange) }
    }

    private func start(_ exchange: Exchange) {
        current = exchange
        let request = Request(
            method: exchange.head.method, target: exchange.head.uri, version: exchange.head.version, headers: exchange.head.headers,
            body: exchange.body, remoteAddress: channel.remoteAddress)
        exchange.task = Task { [server] in
            let response: Response
            do { response = try await server.handler(request) } catch {
                return self.eventLoop.execute { self.failed(exchange, error) }
            }
            await self.answer(exchange, response)
        }
    }

    /// A reader has begun, or has made room.
    private func bodyWanted() {
        if let exchange = current, exchange.expectsContinue, exchange.body.isStarted {
            exchange.expectsContinue = false
            if exchange.status == nil && !isGone {
                front.write(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n"))
                front.flush()
            }
        }
        readIfWanted()
    }

    func channelReadComplete(context: ChannelHandlerContext) { readIfWanted() }

    private func readIfWanted() {
        guard !isGone, !isRelay else { return }
        if closing { if lingering { front.read() }; return }
        if let receiving { if receiving.hasRoom && waiting.isEmpty { front.read() } } else if current == nil { front.read() }
    }

    // MARK: The end of an exchange

    /// The answer has been written (and flushed) whole; or `intact` is false and the connection must be cut.
    func ended(_ exchange: Exchange, intact: Bool) {
        guard exchange === current else { return }
        if server.logger.logLevel <= .debug {
            let microseconds = (NIODeadline.now() - exchange.started).nanoseconds / 1000
            server.logger.debug(
                "request",
                metadata: [
                    "method": "\(exchange.head.method)", "target": "\(exchange.head.uri)", "status": "\(exchange.status?.code ?? 0)",
                    "us": "\(microseconds)",
                ])
        }
        current = nil
        exchange.task = nil
        exchange.body.discard()
        guard intact else { return closeNowOnLoop() }
        let isComplete = exchange.body.isComplete
        if !exchange.keepAlive || closing || !isComplete || front.inputClosed {
            return closeAfterFlush(linger: !isComplete || exchange.mayHijack)
        }
        if let next = waiting.popFirst() { start(next) }
        readIfWanted()
    }

    /// Turns away bytes that are no acceptable request, and closes.
    private func refuse(_ status: HTTPResponseStatus, _ reason: String) {
        front.phase = .deaf
        receiving?.finish(.failure(HTTPServerError.bodyIncomplete))
        receiving = nil
        guard current == nil else {
            closing = true
            return
        }
        guard !closing, !isGone else { return }
        let body = ByteBuffer(string: "\(status.code) \(status.reasonPhrase): \(reason)\n")
        var head = HTTPHeaders([("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")])
        head.add(name: "Content-Length", value: "\(body.readableBytes)")
        front.write(ResponseHead.serialize(version: .http1_1, status: status, headers: head))
        front.write(body)
        closeAfterFlush(linger: true)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError else { return context.close(promise: nil) }
        if error == .headerOverflow {
            refuse(.requestHeaderFieldsTooLarge, "request header too large")
        } else {
            refuse(.badRequest, "\(error)")
        }
    }

    /// Closes once everything written has gone out. With `linger` the client may still be sending: what it sends is
    /// thrown away for a while, because closing a socket with unread bytes would destroy the answer on its way.
    func closeAfterFlush(linger: Bool) {
        closing = true
        front.phase = .deaf
        let flushed = eventLoop.makePromise(of: Void.self)
        front.write(ByteBuffer(), promise: flushed)
        front.flush()
        flushed.futureResult.whenComplete { _ in
            if !linger || self.front.inputClosed { return self.closeNowOnLoop() }
            self.channel.close(mode: .output, promise: nil)
            self.lingering = true
            self.eventLoop.scheduleTask(in: .seconds(5)) { self.closeNowOnLoop() }
            self.readIfWanted()
        }
    }

    private func closeNowOnLoop() {
        closing = true
        if !isGone { channel.close(promise: nil) }
    }

    // MARK: The client

    /// The client has sent its last byte: half-closed, or gone.
    func inputClosed() {
        receiving?.finish(.failure(HTTPServerError.bodyIncomplete))
        receiving = nil
        guard let current, !lingering else { return closeNowOnLoop() }
        // As net/http does: a client that closes while its request is worked on is taken as gone, unless the
        // connection is about to become a stream, where half-close is normal.
        if !current.mayHijack && current.body.isComplete { current.task?.cancel() }
    }

    func writabilityChanged() {
        guard channel.isWritable else { return }
        if let writer = pendingWriter {
            pendingWriter = nil
            writer.resume()
        }
        source?.resume()
    }

    /// Nothing has moved for `idleSeconds`. Only a client that is waited for is to blame: a handler may take its time.
    func idle() {
        guard !isRelay else { return }
        if current == nil || pendingWriter != nil || isSendingFile || receiving?.isAwaited ?? false { closeNowOnLoop() }
    }

    /// The channel is closed.
    func gone() {
        isGone = true
        receiving?.finish(.failure(HTTPServerError.bodyIncomplete))
        receiving = nil
        current?.body.finish(.failure(HTTPServerError.bodyIncomplete))
        current?.task?.cancel()
        current = nil
        waiting.removeAll()
        if let writer = pendingWriter {
            pendingWriter = nil
            writer.resume(throwing: HTTPServerError.clientGone)
        }
        source?.abandon()
        source = nil
        server.remove(self)
    }

    // MARK: Stopping

    /// Lets the request in progress end; closes at once otherwise.
    func closeWhenIdle() {
        eventLoop.execute {
            self.closing = true
            if self.current == nil { self.closeNowOnLoop() }
        }
    }

    func closeNow() { eventLoop.execute { self.closeNowOnLoop() } }

    /// Everything that follows belongs to the relay.
    func becomeRelay() {
        isRelay = true
        current = nil
    }
}
