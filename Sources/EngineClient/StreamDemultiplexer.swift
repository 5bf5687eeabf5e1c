/// Takes Docker's stream framing apart: 8 bytes of header (stream, three zeros, length big-endian), then the data.
/// Frames may come in pieces of any size.
public struct StreamDemultiplexer {
    public enum Stream: UInt8, Sendable {
        case stdin = 0
        case stdout = 1
        case stderr = 2
        /// An error of the daemon itself.
        case systemError = 3
    }

    private var header: [UInt8] = []
    private var stream = Stream.stdout
    private var remaining = 0

    public init() {}

    /// Whether the input ended between two frames.
    public var isAtBoundary: Bool { header.isEmpty && remaining == 0 }

    /// Hands each piece of data on as it comes.
    public mutating func feed(_ bytes: UnsafeRawBufferPointer, _ sink: (Stream, UnsafeRawBufferPointer) throws -> Void) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            if remaining > 0 {
                let piece = rest.prefix(remaining)
                remaining -= piece.count
                rest = rest.dropFirst(piece.count)
                try sink(stream, UnsafeRawBufferPointer(rebasing: piece))
                continue
            }
            let piece = rest.prefix(8 - header.count)
            header.append(contentsOf: piece)
            rest = rest.dropFirst(piece.count)
            if header.count == 8 { try begin() }
        }
    }

    private mutating func begin() throws {
        guard let stream = Stream(rawValue: header[0]) else { throw ClientError.malformed("stream frame of type \(header[0])") }
        self.stream = stream
        remaining = header[4...].reduce(0) { $0 << 8 | Int($1) }
        header.removeAll(keepingCapacity: true)
    }
}
