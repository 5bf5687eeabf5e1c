internal import Glibc
internal import NIOConcurrencyHelpers
public import NIOCore
public import NIOHTTP1

/// The answer to a request.
public struct Response: Sendable {
    public enum Body: Sendable {
        case none
        case bytes(ByteBuffer)
        /// Written by a closure after the head has been sent; when it throws, the connection is cut.
        case stream(@Sendable (ResponseWriter) async throws -> Void)
        /// Bytes of a pipe or socket until its end.
        case descriptor(SharedDescriptor)
        /// A part of a regular file.
        case file(SharedDescriptor, offset: Int, length: Int)
        /// The connection leaves HTTP and is glued to a stream socket both ways; see `Response.hijack` and `Response.webSocket`.
        case hijack(SharedDescriptor, Hijack)
    }

    /// What comes before the stream, once the client has read the head.
    public typealias Prologue = @Sendable (ResponseWriter) async throws -> Void

    /// How a connection becomes a stream.
    public struct Hijack: Sendable {
        enum Kind: Sendable {
            case tcp(upgradedContentType: String)
            case webSocket(accept: String, isBinary: Bool)
        }
        let kind: Kind
        let prologue: Prologue?
    }

    public var status: HTTPResponseStatus
    public var headers: HTTPHeaders
    public var body: Body

    public init(status: HTTPResponseStatus, headers: HTTPHeaders = [:], body: Body = .none) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// Bytes with their content type.
    public static func bytes(_ bytes: some Collection<UInt8>, contentType: String, status: HTTPResponseStatus = .ok) -> Response {
        Response(status: status, headers: ["Content-Type": contentType], body: .bytes(ByteBuffer(bytes: bytes)))
    }

    /// Takes the connection out of HTTP: `101 UPGRADED` with `upgradedContentType` when the client asked for an
    /// upgrade, else `200 OK` with Docker's raw-stream type; then bytes go both ways. The client's half-close is
    /// passed on to `socket`, the end of `socket` closes the connection. Owns `socket`.
    ///
    /// `prologue` runs when the head has been sent and before the first byte of `socket`; what it writes goes to the client
    /// first. Clients that read the head through a buffer (the Python SDK) lose stream bytes that come together with it.
    public static func hijack(socket: Int32, upgradedContentType: String, prologue: Prologue? = nil) -> Response {
        let hijack = Hijack(kind: .tcp(upgradedContentType: upgradedContentType), prologue: prologue)
        return Response(status: .ok, body: .hijack(SharedDescriptor(owning: socket), hijack))
    }

    /// The same for a client that asked for a WebSocket: `socket`'s bytes go out as messages, and messages come in as bytes. The
    /// client's close half-closes `socket`, the end of `socket` closes the WebSocket. Owns `socket`.
    /// - Parameter isBinary: Whether messages to the client say that they are binary, or text.
    public static func webSocket(_ opening: WebSocketOpening, socket: Int32, isBinary: Bool, prologue: Prologue? = nil) -> Response {
        let hijack = Hijack(kind: .webSocket(accept: opening.accept, isBinary: isBinary), prologue: prologue)
        return Response(status: .switchingProtocols, body: .hijack(SharedDescriptor(owning: socket), hijack))
    }

    /// Streams a pipe or socket until its end. Owns `descriptor`.
    public static func stream(descriptor: Int32, contentType: String) -> Response {
        Response(status: .ok, headers: ["Content-Type": contentType], body: .descriptor(SharedDescriptor(owning: descriptor)))
    }
}

/// A descriptor inside a response: closed when the response is dropped without having been sent.
public final class SharedDescriptor: Sendable {
    private let number: NIOLockedValueBox<Int32?>

    public init(owning number: Int32) { self.number = NIOLockedValueBox(number) }

    deinit {
        if let number = take() { _ = close(number) }
    }

    /// Gives the descriptor away, once.
    func take() -> Int32? {
        number.withLockedValue { number in
            defer { number = nil }
            return number
        }
    }
}

/// Where a streaming answer is written. Each call sends at once and waits while the client is slow.
public struct ResponseWriter: Sendable {
    let connection: Connection

    /// Sends bytes. Throws `HTTPServerError.clientGone`, or `CancellationError` when the task was cancelled.
    public func write(_ bytes: [UInt8]) async throws { try await write(ByteBuffer(bytes: bytes)) }

    /// Sends bytes. Throws `HTTPServerError.clientGone`, or `CancellationError` when the task was cancelled.
    public func write(_ buffer: ByteBuffer) async throws {
        if buffer.readableBytes > 0 { try await connection.writeFromStream(buffer) }
    }
}
