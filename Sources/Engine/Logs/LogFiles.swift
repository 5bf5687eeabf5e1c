internal import Archive
internal import CLinux
internal import Glibc
internal import Images
internal import Linux

/// Reads a rotated log forwards: the oldest file first, then the current one, and on with its successor after a rotation.
/// Files but the current one may be packed (`path.1.gz`), now or while they are read.
struct LogFiles: ~Copyable {
    private let path: String
    /// The file to begin with, when none is open yet; its name was looked up just now.
    private var first: String?
    private var file: OwnedFD?
    /// The packed file whose content `file` is.
    private var packed: stat?
    private var offset: off_t = 0
    private var pending: [UInt8] = []

    /// Starts at the beginning, or `tail` entries before the end.
    init(path: String, tail: Int?) throws(SystemError) {
        self.path = path
        var names = Self.names(path)
        first = names.first
        file = nil
        packed = nil
        guard let tail else { return }
        var missing = tail
        while let newest = names.popLast() {
            let start = try Self.start(ofLast: &missing, in: newest)
            if missing == 0 || names.isEmpty {
                open(newest)
                offset = start
                return
            }
        }
    }

    /// The log's files, the oldest first. A file that is being replaced by its packed form is named once.
    private static func names(_ path: String) -> [String] {
        let base = path.split(separator: "/").last.map(String.init) ?? path
        var numbered: [Int: String] = [:]
        for name in (try? Files.list(Files.parent(of: path))) ?? [] where name.hasPrefix("\(base).") {
            let rest = name.dropFirst(base.count + 1)
            let isPacked = rest.hasSuffix(".gz")
            guard let number = Int(isPacked ? rest.dropLast(3) : rest), number > 0 else { continue }
            if !isPacked || numbered[number] == nil { numbered[number] = "\(path).\(rest)" }
        }
        return numbered.sorted { $0.key > $1.key }.map(\.value) + [path]
    }

    /// Opens a file for reading at any place; a packed one is unpacked into memory, with its status.
    private static func content(_ name: String) throws -> (number: Int32, packed: stat?) {
        let file = try OwnedFD.open(name)
        guard name.hasSuffix(".gz") else { return (file.take(), nil) }
        let memory = OwnedFD(owning: try retrying("memfd_create") { clp_memfd_create("log", UInt32(MFD_CLOEXEC)) })
        let source = try DecompressingSource(FileSource(file.raw), limits: .none)
        var buffer = [UInt8](repeating: 0, count: 262_144)
        while true {
            let count = try buffer.withUnsafeMutableBytes { try source.read(into: $0) }
            if count == 0 { break }
            try memory.writeAll(buffer[..<count])
        }
        return (memory.take(), try file.status())
    }

    /// Goes to the start of a file; false when it cannot be read.
    @discardableResult
    private mutating func open(_ name: String) -> Bool {
        guard let content = try? Self.content(name) else { return false }
        file = OwnedFD(owning: content.number)
        packed = content.packed
        offset = 0
        pending = []
        return true
    }

    /// The offset of the last `count` lines of a file; `count` becomes the number that the file lacks.
    private static func start(ofLast count: inout Int, in path: String) throws(SystemError) -> off_t {
        guard let content = try? content(path) else { return 0 }
        let file = OwnedFD(owning: content.number)
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
        }
        // A file without a newline has no entry.
        if !isBehindLast { count -= 1 }
        return 0
    }

    /// The next complete lines, at most about 256 KiB; empty when there are none for now.
    mutating func next() throws(SystemError) -> [ArraySlice<UInt8>] {
        while true {
            if file == nil {
                guard let name = first else { return [] }
                // Not there yet: asked for again.
                guard open(name) else { return [] }
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

    /// Goes on to the following file, if the one at hand is finished; false when there is none. Which one follows is asked
    /// anew each time: while a slow client reads, the files move on to higher numbers.
    private mutating func advance() throws(SystemError) -> Bool {
        guard let current = try file?.status() else { return false }
        let names = Self.names(path)
        let wanted = packed ?? current
        let place = names.lastIndex { name in
            var status = stat()
            return stat(name, &status) == 0 && Self.isSame(status, wanted, isPacked: name.hasSuffix(".gz"))
        }
        if place == names.count - 1 {
            // A log of one file is emptied when it is full.
            guard current.st_size < offset else { return false }
            offset = 0
            pending = []
            return true
        }
        // What was written between our last read and the rename is still to be read.
        if current.st_size > offset { return true }
        // A file that has no name any more was the oldest.
        return open(names[place.map { $0 + 1 } ?? 0])
    }

    /// A packed file has the time of the one that it replaced.
    private static func isSame(_ file: stat, _ wanted: stat, isPacked: Bool) -> Bool {
        if file.st_ino == wanted.st_ino { return true }
        return isPacked && file.st_mtim.tv_sec == wanted.st_mtim.tv_sec && file.st_mtim.tv_nsec == wanted.st_mtim.tv_nsec
    }
}
