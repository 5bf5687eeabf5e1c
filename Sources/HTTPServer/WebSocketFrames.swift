internal import NIOCore

/// Reads the frames of a WebSocket's client (RFC 6455 section 5). A message's bytes are handed on as they come: neither a long
/// frame nor a message of many frames is ever held.
struct WebSocketFrames {
    enum Opcode: UInt8 {
        case continuation = 0
        case text = 1
        case binary = 2
        case close = 8
        case ping = 9
        case pong = 10

        var isControl: Bool { rawValue >= 8 }
    }

    /// What a client has sent.
    enum Event: Equatable {
        /// Some bytes of a message.
        case data(ByteBuffer)
        case ping(ByteBuffer)
        /// The client closes; its status code, or none (1005).
        case close(UInt16)
    }

    /// The client broke the protocol; the status code to close with.
    enum Violation: UInt16, Error {
        case protocolError = 1002
    }

    private struct Frame {
        let opcode: Opcode
        var rest: UInt64
        let mask: UInt32
        /// How far into the mask the next byte is.
        var phase = 0
        /// A control frame's payload so far.
        var payload = ByteBuffer()
    }

    private static let longestControlPayload = 125
    private var head = ByteBuffer()
    private var frame: Frame?
    private var isFragmented = false
    private var isClosed = false

    /// The next event in `buffer`; nil when more must come. Nothing follows a close.
    mutating func next(in buffer: inout ByteBuffer) throws(Violation) -> Event? {
        while !isClosed {
            if frame == nil {
                guard let begun = try readHead(&buffer) else { return nil }
                frame = begun
            }
            guard var current = frame else { return nil }
            let isEmpty = current.rest == 0
            if !isEmpty && buffer.readableBytes == 0 { return nil }
            var piece = buffer.readSlice(length: Int(min(UInt64(buffer.readableBytes), current.rest))) ?? ByteBuffer()
            current.rest -= UInt64(piece.readableBytes)
            Self.unmask(&piece, current.mask, &current.phase)
            if current.opcode.isControl { current.payload.writeBuffer(&piece) }
            frame = current.rest == 0 ? nil : current
            if !current.opcode.isControl {
                if piece.readableBytes > 0 { return .data(piece) }
            } else if current.rest == 0, let event = try Self.event(of: current) {
                if case .close = event { isClosed = true }
                return event
            }
        }
        return nil
    }

    private static func event(of frame: Frame) throws(Violation) -> Event? {
        switch frame.opcode {
        case .ping: return .ping(frame.payload)
        case .close:
            if frame.payload.readableBytes == 0 { return .close(1005) }
            guard let code = frame.payload.getInteger(at: frame.payload.readerIndex, as: UInt16.self), isCode(code) else {
                throw .protocolError
            }
            return .close(code)
        case .pong, .continuation, .text, .binary: return nil
        }
    }

    /// Codes that may be sent (section 7.4).
    private static func isCode(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1011, 3000...4999: true
        default: false
        }
    }

    /// The head of the next frame: two to fourteen bytes, which may come one by one.
    private mutating func readHead(_ buffer: inout ByteBuffer) throws(Violation) -> Frame? {
        while let byte = buffer.readInteger(as: UInt8.self) {
            head.writeInteger(byte)
            let bytes = head.readableBytesView
            if head.readableBytes < 2 { continue }
            let (first, second) = (bytes[bytes.startIndex], bytes[bytes.startIndex + 1])
            // Every client masks, so that no proxy takes what it sends for HTTP.
            guard second & 0x80 != 0, first & 0x70 == 0, let opcode = Opcode(rawValue: first & 0x0F) else { throw .protocolError }
            let short = second & 0x7F
            let isLast = first & 0x80 != 0
            if opcode.isControl && (!isLast || short > Self.longestControlPayload) { throw .protocolError }
            let lengthBytes = short == 126 ? 2 : short == 127 ? 8 : 0
            guard head.readableBytes == 2 + lengthBytes + 4 else { continue }
            let length = try Self.length(short, &head)
            let mask = head.readInteger(as: UInt32.self) ?? 0
            head.clear()
            if !opcode.isControl {
                guard (opcode == .continuation) == isFragmented else { throw .protocolError }
                isFragmented = !isLast
            }
            return Frame(opcode: opcode, rest: length, mask: mask)
        }
        return nil
    }

    /// Moves the head's reader behind the length.
    private static func length(_ short: UInt8, _ head: inout ByteBuffer) throws(Violation) -> UInt64 {
        head.moveReaderIndex(forwardBy: 2)
        switch short {
        case 126: return UInt64(head.readInteger(as: UInt16.self) ?? 0)
        case 127:
            guard let length = head.readInteger(as: UInt64.self), length >> 63 == 0 else { throw .protocolError }
            return length
        default: return UInt64(short)
        }
    }

    private static func unmask(_ buffer: inout ByteBuffer, _ mask: UInt32, _ phase: inout Int) {
        let start = phase
        buffer.withUnsafeMutableReadableBytes { bytes in
            for index in bytes.indices { bytes[index] ^= UInt8(truncatingIfNeeded: mask >> (24 - 8 * ((start + index) & 3))) }
        }
        phase = (start + buffer.readableBytes) & 3
    }

    // MARK: To the client

    /// The head of a whole, unmasked frame of so many bytes.
    static func head(_ opcode: Opcode, count: Int) -> ByteBuffer {
        var head = ByteBuffer()
        head.writeInteger(0x80 | opcode.rawValue)
        switch count {
        case ..<126: head.writeInteger(UInt8(count))
        case ..<65536:
            head.writeInteger(UInt8(126))
            head.writeInteger(UInt16(count))
        default:
            head.writeInteger(UInt8(127))
            head.writeInteger(UInt64(count))
        }
        return head
    }

    /// A close with its code; 1005 stands for none.
    static func close(_ code: UInt16) -> ByteBuffer {
        var frame = head(.close, count: code == 1005 ? 0 : 2)
        if code != 1005 { frame.writeInteger(code) }
        return frame
    }
}
