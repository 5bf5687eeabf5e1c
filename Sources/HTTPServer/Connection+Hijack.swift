internal import Glibc
internal import Logging
internal import NIOCore
internal import NIOHTTP1

// How a connection leaves HTTP. All of it runs on the event loop.
extension Connection {
    func hijack(_ exchange: Exchange, _ response: Response, _ socket: SharedDescriptor, _ form: Response.Hijack) {
        guard let number = socket.take() else { return ended(exchange, intact: false) }
        let relay: Relay
        // The head goes out before the stream's first byte can: `open` completes later, on this loop.
        var head = ByteBuffer()
        switch form.kind {
        case .webSocket(let accept, let isBinary):
            let opcode = isBinary ? WebSocketFrames.Opcode.binary : .text
            exchange.status = .switchingProtocols
            exchange.framing = .webSocket(opcode)
            relay = Relay(front: front, client: channel, messages: opcode)
            head.writeString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
            head.writeString("Sec-WebSocket-Accept: \(accept)\r\n")
        case .tcp(let contentType):
            relay = Relay(front: front, client: channel)
            if exchange.head.headers.contains(name: "Upgrade") {
                exchange.status = .switchingProtocols
                head.writeString("HTTP/1.1 101 UPGRADED\r\nContent-Type: \(contentType)\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n")
            } else {
                exchange.status = .ok
                head.writeString("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n")
            }
        }
        ResponseHead.write(response.headers, to: &head)
        head.writeStaticString("\r\n")
        front.write(head)
        front.flush()
        begin(form.prologue).flatMapErrorThrowing { error in
            _ = close(number)
            throw error
        }.flatMap { relay.open(number, on: self.eventLoop) }.whenComplete { result in
            switch result {
            case .success where self.isGone: relay.clientGone()
            case .success:
                self.becomeRelay()
                self.front.hijack(with: relay)
            case .failure(let error):
                if !self.isGone { self.server.logger.error("cannot glue stream", metadata: ["error": "\(error)"]) }
                self.ended(exchange, intact: false)
            }
        }
    }

    private func begin(_ prologue: Response.Prologue?) -> EventLoopFuture<Void> {
        guard let prologue else { return eventLoop.makeSucceededVoidFuture() }
        let begun = eventLoop.makePromise(of: Void.self)
        // Some clients read the head through a buffer and the stream past it: what comes along with the head is lost to them
        // (the Python SDK). What the prologue starts begins when the head has been read.
        HeadDelivery(channel: channel).wait().whenComplete { _ in
            begun.completeWithTask { try await prologue(ResponseWriter(connection: self)) }
        }
        return begun.futureResult
    }
}
