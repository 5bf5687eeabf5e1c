public import JSON

extension ShimWire {
    /// One frame: length and document.
    public static func frame(_ value: JSONValue) -> [UInt8] {
        let body = value.serialized()
        let length = UInt32(truncatingIfNeeded: body.count)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(body.count + 4)
        for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: length >> shift)) }
        bytes.append(contentsOf: body)
        return bytes
    }
}

/// Puts frames together from what a socket gives, however it is cut.
public struct FrameReader: Sendable {
    private var buffer: [UInt8] = []

    public init() {}

    /// Bytes that have come and belong to no whole frame yet; on a connection that turns into a raw stream, its beginning.
    public var rest: [UInt8] { buffer }

    public mutating func append(_ bytes: some Collection<UInt8>) { buffer.append(contentsOf: bytes) }

    /// The next whole frame; nil until more bytes come. Throws for a length over the limit and for what is not JSON.
    public mutating func next() throws(ShimFailure) -> JSONValue? {
        guard buffer.count >= 4 else { return nil }
        let length = buffer[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard length <= ShimWire.longestFrame else { throw ShimFailure(.invalidRequest, "frame of \(length) bytes is too long") }
        guard buffer.count >= 4 + length else { return nil }
        let body = Array(buffer[4..<4 + length])
        buffer.removeFirst(4 + length)
        if buffer.isEmpty { buffer = [] }
        do throws(JSONError) { return try JSONValue(parsing: body) } catch { throw ShimFailure(.invalidRequest, error.description) }
    }
}
