internal import Glibc

/// Cuts the output of one process into lines, as Docker's copier does.
///
/// A line longer than 16 KiB comes in pieces, of which only the last is finished. Unfinished lines wait until they are
/// finished or the container ends.
struct LogLines {
    /// Longest piece of a line, as in Docker.
    static let longestPiece = 16384

    /// Unfinished lines of standard output and standard error.
    private var unfinished: [[UInt8]] = [[], []]

    /// What takes a line without its newline: the bytes, their number, and whether the line ends with them.
    typealias Taker = (_ bytes: UnsafePointer<UInt8>, _ count: Int, _ isFinished: Bool) -> Void

    /// Takes what one read brought. `stream` is 1 or 2.
    mutating func append(_ data: UnsafeRawBufferPointer, stream: Int, _ take: Taker) {
        guard let base = data.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        var position = 0
        while position < data.count {
            let rest = data.count - position
            let newline = memchr(base + position, 10, rest).map { UnsafeRawPointer($0) - UnsafeRawPointer(base + position) }
            takeLine(base + position, newline ?? rest, isFinished: newline != nil, stream: stream, take)
            position += newline.map { $0 + 1 } ?? rest
        }
    }

    /// The unfinished lines, as they are.
    mutating func finish(stream: Int, _ take: Taker) {
        let line = unfinished[stream - 1]
        unfinished[stream - 1] = []
        line.withUnsafeBufferPointer { if let base = $0.baseAddress, !line.isEmpty { take(base, $0.count, false) } }
    }

    private mutating func takeLine(_ bytes: UnsafePointer<UInt8>, _ count: Int, isFinished: Bool, stream: Int, _ take: Taker) {
        var start = 0
        if !unfinished[stream - 1].isEmpty {
            start = min(count, LogLines.longestPiece - unfinished[stream - 1].count)
            unfinished[stream - 1].append(contentsOf: UnsafeBufferPointer(start: bytes, count: start))
            let isWhole = isFinished && start == count && unfinished[stream - 1].count < LogLines.longestPiece
            guard isWhole || unfinished[stream - 1].count == LogLines.longestPiece else { return }
            let line = unfinished[stream - 1]
            unfinished[stream - 1] = []
            line.withUnsafeBufferPointer { if let base = $0.baseAddress { take(base, $0.count, isWhole) } }
            if isWhole { return }
        }
        while count - start >= LogLines.longestPiece {
            take(bytes + start, LogLines.longestPiece, false)
            start += LogLines.longestPiece
        }
        if isFinished {
            take(bytes + start, count - start, true)
        } else if start < count {
            unfinished[stream - 1] = Array(UnsafeBufferPointer(start: bytes + start, count: count - start))
        }
    }
}
