internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// Writes a container's output as Docker's json-file driver does:
/// `{"log":"line\n","stream":"stdout","attrs":{…},"time":"2026-11-23T21:00:00.5Z"}`, one object a line.
///
/// Of a line that comes in pieces (`LogLines`) only the last ends in `\n`. What one read brought has one time and, room
/// permitting, is one write.
final class LogWriter: ContainerLog {
    private let configuration: LaunchRequest.Log.JSONFile
    private var file: OwnedFD
    private var size: Int64
    /// `"attrs":{…},` or nothing.
    private let attributes: [UInt8]
    private var lines = LogLines()
    private let compression: LogCompression?
    private let buffer: UnsafeMutablePointer<UInt8>
    private let capacity: Int
    private var used = 0
    private var hasComplained = false

    init(_ configuration: LaunchRequest.Log.JSONFile) throws(SystemError) {
        self.configuration = configuration
        attributes = LogWriter.attributesText(configuration.attributes)
        compression =
            configuration.compresses && configuration.maxFiles > 1
            ? LogCompression(path: configuration.path, maxFiles: configuration.maxFiles) : nil
        file = try LogWriter.open(configuration.path)
        size = Int64(try file.status().st_size)
        // Room for a piece of which every byte becomes six, and for what one read usually makes.
        capacity = 6 * LogLines.longestPiece + attributes.count + 256 + 65536
        buffer = .allocate(capacity: capacity)
    }

    deinit { buffer.deallocate() }

    private static func open(_ path: String) throws(SystemError) -> OwnedFD {
        try OwnedFD.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: 0o640)
    }

    private static func attributesText(_ attributes: [String: String]) -> [UInt8] {
        if attributes.isEmpty { return [] }
        var text = Array("\"attrs\":{".utf8)
        for (index, attribute) in attributes.sorted(by: { $0.key < $1.key }).enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            for (part, end) in [(attribute.key, ":"), (attribute.value, "")] {
                text += GELFEncoder.quoted(Array(part.utf8)) + Array(end.utf8)
            }
        }
        return text + Array("},".utf8)
    }

    /// Takes what one read brought. `stream` is 1 or 2.
    func append(_ data: UnsafeRawBufferPointer, stream: Int) {
        let ending = endings(stream: stream)
        lines.append(data, stream: stream) { write($0, $1, $2 ? ending.finished : ending.unfinished) }
        flush()
    }

    /// The container ended: unfinished lines are written as they are.
    func finish() {
        for stream in 1...2 {
            lines.finish(stream: stream) { bytes, count, _ in write(bytes, count, endings(stream: stream).unfinished) }
        }
        flush()
        compression?.stop()
    }

    /// A file takes what it is given at once.
    var isOverfull: Bool { false }
    var onRelief: () -> Void = {}

    func childEnded(_ pid: Int32, status: Int32) { compression?.childEnded(pid, status: status) }

    /// What follows the text of a line that is finished and of one that is not.
    private func endings(stream: Int) -> (finished: [UInt8], unfinished: [UInt8]) {
        let head = Array("\",\"stream\":\"\(stream == 1 ? "stdout" : "stderr")\",".utf8)
        let tail = head + attributes + Array("\"time\":\"\(Timestamp.now())\"}\n".utf8)
        return (Array("\\n".utf8) + tail, tail)
    }

    private func write(_ bytes: UnsafePointer<UInt8>, _ count: Int, _ ending: [UInt8]) {
        if used + 6 * count + ending.count + 16 > capacity { flush() }
        if configuration.maxSize > 0 && size + Int64(used) >= configuration.maxSize {
            flush()
            rotate()
        }
        used += put("{\"log\":\"", at: buffer + used)
        used += LogEscape.write(bytes, count, to: buffer + used)
        ending.withUnsafeBufferPointer { if let base = $0.baseAddress { memcpy(buffer + used, base, $0.count) } }
        used += ending.count
    }

    private func put(_ text: StaticString, at place: UnsafeMutablePointer<UInt8>) -> Int {
        memcpy(place, text.utf8Start, text.utf8CodeUnitCount)
        return text.utf8CodeUnitCount
    }

    /// A log that cannot be written (disk full) never stops the container: the lines are lost, the first time is told.
    private func flush() {
        var offset = 0
        while offset < used {
            let count = Glibc.write(file.raw, buffer + offset, used - offset)
            if count < 0 {
                if errno == EINTR { continue }
                complain(SystemError("write log", configuration.path))
                break
            }
            offset += count
        }
        size += Int64(offset)
        used = 0
    }

    /// `path` becomes `path.1` and so on; the oldest goes. With one file a new one takes its place: who reads it still has all of it.
    private func rotate() {
        let path = configuration.path
        if configuration.maxFiles > 1 {
            if configuration.compresses { shiftPacked() }
            for number in stride(from: configuration.maxFiles - 1, through: 1, by: -1) {
                rename(number == 1 ? path : "\(path).\(number - 1)", "\(path).\(number)")
            }
        } else {
            unlink(path)
        }
        do {
            file = try LogWriter.open(path)
            size = 0
        } catch { complain(error) }
        compression?.rotated()
    }

    /// Makes room for the packed files, which move with the others.
    private func shiftPacked() {
        let path = configuration.path
        let last = configuration.maxFiles - 1
        unlink("\(path).\(last)")
        unlink("\(path).\(last).gz")
        for number in stride(from: last, to: 1, by: -1) { rename("\(path).\(number - 1).gz", "\(path).\(number).gz") }
    }

    private func complain(_ error: SystemError) {
        if hasComplained { return }
        hasComplained = true
        ShimLog.write("\(error)")
    }
}
