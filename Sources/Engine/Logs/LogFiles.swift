internal import CLinux
internal import Glibc
internal import Linux

/// Reads a rotated log forwards: the oldest file first, then the current one, and on with its successor after a rotation.
struct LogFiles: ~Copyable {
    private let path: String
    private var older: [String]
    private var file: OwnedFD?
    private var offset: off_t = 0
    private var pending: [UInt8] = []

    /// Starts at the beginning, or `tail` entries before the end.
    init(path: String, tail: Int?) throws(SystemError) {
        self.path = path
        var names: [String] = []
        var number = 1
        while Files.exists("\(path).\(number)") {
            names.insert("\(path).\(number)", at: 0)
            number += 1
        }
        names.append(path)
        older = names
        file = nil
        guard let tail else { return }
        var missing = tail
        while let newest = names.popLast() {
            let start = try Self.start(ofLast: &missing, in: newest)
            if missing == 0 || names.isEmpty {
                older = Array(older.drop { $0 != newest }.dropFirst())
                file = try? OwnedFD.open(newest)
                offset = start
                return
            }
        }
    }

    /// The offset of the last `count` lines of a file; `count` becomes the number that the file lacks.
    private static func start(ofLast count: inout Int, in path: String) throws(SystemError) -> off_t {
        guard let file = try? OwnedFD.open(path) else { return 0 }
        var position = try file.status().st_size
        if count == 0 { return position }
        var buffer = [UInt8](repeating: 0, count: 65536)
        // The newline behind the last line ends it; it begins none.
        var isBehindLast = true
        while position > 0 {
            let length = min(off_t(buffer.count), position)
            position -= length
            let at = position
            let number = file.raw
            let got = try retrying("read", path) { buffer.withUnsafeMutableBytes { pread(number, $0.baseAddress, Int(length), at) } }
            for index in stride(from: got - 1, through: 0, by: -1) where buffer[index] == 10 {
                if isBehindLast { isBehindLast = false; continue }
                count -= 1
                if count == 0 { return position + off_t(index) + 1 }
            }
            isBehindLast = false
        }
        count -= 1
        return 0
    }

    /// The next complete lines, at most about 256 KiB; empty when there are none for now.
    mutating func next() throws(SystemError) -> [ArraySlice<UInt8>] {
        while true {
            if file == nil {
                guard !older.isEmpty else { return [] }
                let name = older.removeFirst()
                file = try? OwnedFD.open(name)
                offset = 0
                if file == nil { continue }
            }
            if let lines = try readLines(), !lines.isEmpty { return lines }
            guard try advance() else { return [] }
        }
    }

    private mutating func readLines() throws(SystemError) -> [ArraySlice<UInt8>]? {
        guard let number = file?.raw else { return nil }
        var buffer = [UInt8](repeating: 0, count: 262_144)
        let at = offset
        let count = try retrying("read", path) { buffer.withUnsafeMutableBytes { pread(number, $0.baseAddress, $0.count, at) } }
        if count == 0 { return nil }
        offset += off_t(count)
        pending.append(contentsOf: buffer[..<count])
        guard let last = pending.lastIndex(of: 10) else { return [] }
        let lines = pending[...last].split(separator: 10)
        pending = Array(pending[(last + 1)...])
        return lines
    }

    /// Goes on to the following file, if the one at hand is finished; false when there is none.
    private mutating func advance() throws(SystemError) -> Bool {
        if !older.isEmpty {
            file = nil
            pending = []
            return true
        }
        // The current log was rotated away when its name means another file now.
        var status = stat()
        guard stat(path, &status) == 0, let current = try file?.status(), current.st_ino != status.st_ino else { return false }
        // What was written between our last read and the rename is still to be read.
        if current.st_size > offset { return true }
        file = nil
        pending = []
        older = [path]
        return true
    }
}
