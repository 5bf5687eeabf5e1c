internal import Archive
internal import CLinux
internal import Glibc
internal import Images
internal import Linux

/// Reads a rotated log forwards: the oldest file first, then the current one, and on with its successor after a rotation.
/// Files but the current one may be packed (`path.1.gz`), now or while they are read.
///
/// The writer renames files at any moment and waits for nobody, so a name says nothing about the file behind it a moment later:
/// a file is known by what was opened, and its neighbours are looked up from there.
struct LogFiles: ~Copyable {
    /// A file of the log, kept open: however often the log is rotated, and though the file is removed, its content is there.
    private final class HeldFile {
        let file: OwnedFD
        let isPacked: Bool

        init(_ file: consuming OwnedFD, isPacked: Bool) {
            self.file = file
            self.isPacked = isPacked
        }
    }

    private let path: String
    private var file: OwnedFD?
    /// The packed file whose content `file` is.
    private var packed: stat?
    private var offset: off_t = 0
    private var pending: [UInt8] = []
    /// The files behind the one at hand that were there at the beginning, in their order.
    private var ahead: [HeldFile] = []
    /// How much is wanted of the last file that was there at the beginning; nil when all that comes is.
    private var endSize: off_t?

    /// Starts at the beginning, or `tail` entries before the end. A log that is not there yet is asked for again later. With
    /// `isBounded` it ends where it ends now, however fast it grows.
    init(path: String, tail: Int?, isBounded: Bool) throws(SystemError) {
        self.path = path
        file = nil
        packed = nil
        let held = try Self.hold(path)
        if isBounded, let last = held.last { endSize = try last.file.status().st_size }
        guard let tail else {
            // One that cannot be unpacked is passed over, as long as nothing has been read.
            for (index, next) in held.enumerated() {
                ahead = Array(held[(index + 1)...])
                if (try? take(next)) != nil { return }
            }
            return
        }
        var missing = tail
        for index in held.indices.reversed() {
            ahead = Array(held[(index + 1)...])
            try take(held[index])
            offset = try start(ofLast: &missing)
            if missing == 0 { return }
        }
    }

    /// Opens all files of the log.
    private static func hold(_ path: String) throws(SystemError) -> [HeldFile] {
        while true {
            var held: [HeldFile] = []
            let entries = entries(path)
            for entry in entries {
                // A rotation may have taken the name away since, or given it to another file.
                guard let opened = try openIfThere(entry.name), try opened.status().st_ino == entry.status.st_ino else { break }
                held.append(HeldFile(opened, isPacked: entry.name.hasSuffix(".gz")))
            }
            if held.count == entries.count { return held }
        }
    }

    private struct Entry: Equatable {
        let name: String
        let status: stat

        static func == (one: Entry, other: Entry) -> Bool { one.name == other.name && one.status.st_ino == other.status.st_ino }
    }

    /// The log's files, the oldest first. A look at a directory is not one moment: two that agree are.
    private static func entries(_ path: String) -> [Entry] {
        var last = lookAround(path)
        while true {
            let next = lookAround(path)
            if next == last { return next }
            last = next
        }
    }

    /// A file that is being replaced by its packed form is told once.
    private static func lookAround(_ path: String) -> [Entry] {
        let base = path.split(separator: "/").last.map(String.init) ?? path
        var numbered: [Int: Entry] = [:]
        for name in (try? Files.list(Files.parent(of: path))) ?? [] where name == base || name.hasPrefix("\(base).") {
            let rest = name.dropFirst(base.count + 1)
            let isPacked = rest.hasSuffix(".gz")
            guard let number = name == base ? 0 : Int(isPacked ? rest.dropLast(3) : rest), number >= 0 else { continue }
            var status = stat()
            let full = number == 0 ? path : "\(path).\(rest)"
            if isPacked && numbered[number] != nil || stat(full, &status) != 0 { continue }
            numbered[number] = Entry(name: full, status: status)
        }
        return numbered.sorted { $0.key > $1.key }.map(\.value)
    }

    /// The file at hand.
    private var number: Int32? {
        switch file {
        case .some(let file): file.raw
        case .none: nil
        }
    }

    private func status() throws(SystemError) -> stat? { try Self.status(file) }

    private static func status(_ file: borrowing OwnedFD?) throws(SystemError) -> stat? {
        switch file {
        case .some(let file): try file.status()
        case .none: nil
        }
    }

    /// Whether the file at hand is the last that is wanted.
    private var isEnd: Bool { endSize != nil && ahead.isEmpty }

    /// Goes to the start of a file; false when it cannot be read.
    private mutating func open(_ name: String) -> Bool {
        do {
            let opened = try OwnedFD.open(name)
            try take(opened, isPacked: name.hasSuffix(".gz"))
            return true
        } catch { return false }
    }

    private mutating func take(_ next: HeldFile) throws(SystemError) {
        let opened = try next.file.duplicate()
        do { try take(opened, isPacked: next.isPacked) } catch {
            throw error as? SystemError ?? SystemError("unpack", "file of \(path)", code: EIO)
        }
    }

    /// A packed file is unpacked into memory.
    private mutating func take(_ opened: consuming OwnedFD, isPacked: Bool) throws {
        let status = try opened.status()
        file = .some(isPacked ? try Self.unpack(opened.raw) : opened)
        packed = isPacked ? status : nil
        offset = 0
        pending = []
    }

    private static func unpack(_ number: Int32) throws -> OwnedFD {
        let memory = OwnedFD(owning: try retrying("memfd_create") { clp_memfd_create("log", UInt32(MFD_CLOEXEC)) })
        // It may have been read before: when the tail was looked for.
        lseek(number, 0, SEEK_SET)
        let source = try DecompressingSource(FileSource(number), limits: .none)
        var buffer = [UInt8](repeating: 0, count: 262_144)
        while true {
            let count = try buffer.withUnsafeMutableBytes { try source.read(into: $0) }
            if count == 0 { return memory }
            try memory.writeAll(buffer[..<count])
        }
    }

    /// Goes to the file behind the one at hand; false when there is none. Behind one that has no name any more, which was the
    /// oldest, comes the oldest.
    private mutating func openNext() throws(SystemError) -> Bool {
        guard let current = try status() else { return false }
        while true {
            let entries = Self.entries(path)
            let wanted = place(of: current, in: entries).map { $0 + 1 } ?? 0
            guard entries.indices.contains(wanted) else { return false }
            // A rotation may have taken the name away since, or given it to another file.
            guard let opened = try Self.openIfThere(entries[wanted].name),
                try opened.status().st_ino == entries[wanted].status.st_ino
            else { continue }
            try take(HeldFile(opened, isPacked: entries[wanted].name.hasSuffix(".gz")))
            return true
        }
    }

    private static func openIfThere(_ name: String) throws(SystemError) -> OwnedFD? {
        do throws(SystemError) { return try OwnedFD.open(name) } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
    }

    /// The offset of the last `count` lines of the file at hand; `count` becomes the number that the file lacks.
    private func start(ofLast count: inout Int) throws(SystemError) -> off_t {
        guard let number, let size = try status()?.st_size else { return 0 }
        var position = isEnd ? endSize ?? size : size
        if count == 0 { return position }
        var buffer = [UInt8](repeating: 0, count: 65536)
        // The newline behind the last line ends it; it begins none.
        var isBehindLast = true
        while position > 0 {
            let length = min(off_t(buffer.count), position)
            position -= length
            let at = position
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
                guard open(path) else { return [] }
            }
            if let lines = try readLines(), !lines.isEmpty { return lines }
            guard try advance() else { return [] }
        }
    }

    private mutating func readLines() throws(SystemError) -> [ArraySlice<UInt8>]? {
        guard let number else { return nil }
        let room = isEnd ? max(0, Int((endSize ?? 0) - offset)) : .max
        var buffer = [UInt8](repeating: 0, count: min(262_144, room))
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
        guard let before = try status(), !isEnd else { return false }
        if !ahead.isEmpty {
            // Nothing is written to a file that has a successor, but more than one reading may be left of it.
            if before.st_size <= offset { try take(ahead.removeFirst()) }
            return true
        }
        let entries = Self.entries(path)
        let place = place(of: before, in: entries)
        // What was written between our last read and the rename is still to be read; behind the rename nothing is written.
        guard let current = try status() else { return false }
        if current.st_size > offset { return true }
        if place == entries.count - 1 {
            // Somebody may have emptied it.
            guard current.st_size < offset else { return false }
            offset = 0
            pending = []
            return true
        }
        return try openNext()
    }

    /// Where the file at hand stands among these. A packed file has the time of the one that it replaced, as others may that
    /// were filled in the same tick of the kernel's clock: then the content tells.
    private func place(of current: stat, in entries: [Entry]) -> Int? {
        let wanted = packed ?? current
        func hasSameTime(_ entry: Entry) -> Bool {
            entry.status.st_mtim.tv_sec == wanted.st_mtim.tv_sec && entry.status.st_mtim.tv_nsec == wanted.st_mtim.tv_nsec
        }
        // The number of a packed file, which is not held open, may be another's by now.
        let isHeld = packed == nil
        if let found = entries.firstIndex(where: { $0.status.st_ino == wanted.st_ino && (isHeld || hasSameTime($0)) }) { return found }
        let candidates = entries.indices.filter { entries[$0].name.hasSuffix(".gz") && hasSameTime(entries[$0]) }
        if candidates.count < 2 { return candidates.first }
        guard let number else { return nil }
        let beginning = Self.beginning(number)
        return candidates.first { index in
            guard let opened = try? OwnedFD.open(entries[index].name), let content = try? Self.unpack(opened.raw) else { return false }
            return Self.beginning(content.raw) == beginning
        }
    }

    /// Enough of a file to tell it from all others: its first line has a time in nanoseconds.
    private static func beginning(_ number: Int32) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = buffer.withUnsafeMutableBytes { pread(number, $0.baseAddress, $0.count, 0) }
        return Array(buffer.prefix(max(0, count)))
    }
}
