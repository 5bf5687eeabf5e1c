internal import CLinux

/// Writes a tar stream: the same bytes for the same entries, whoever runs it and when.
///
/// Each entry is a ustar header; what that can't say (long or non-ASCII names, large numbers, fractions of seconds,
/// extended attributes) goes into a pax header before it, its records sorted by key.
public final class TarWriter {
    private let sink: any ByteSink
    private var remaining: Int64 = 0
    private var padding = 0
    private var isFinished = false

    public init(_ sink: any ByteSink) { self.sink = sink }

    /// Begins an entry; exactly `entry.size` bytes must follow when it is a file. Sparse maps are not written: give the holes as zeros.
    public func add(_ entry: TarEntry) throws {
        try endEntry()
        let size = entry.kind == .file ? entry.size : 0
        guard size >= 0, !entry.path.isEmpty, !entry.path.contains(0), !entry.linkTarget.contains(0) else {
            throw ArchiveError(.malformed, "cannot write \(entry.pathText) to an archive")
        }
        var header = HeaderBlock()
        var records: [(key: [UInt8], value: [UInt8])] = []
        try Self.fill(&header, from: entry, size: size, records: &records)
        if !records.isEmpty { try writePax(records, for: entry) }
        header.seal()
        try emit(header.bytes)
        remaining = size
        padding = Int(TarHeader.padding(size))
    }

    /// Data of the current entry.
    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard Int64(bytes.count) <= remaining else { throw ArchiveError(.malformed, "more data than the tar header says") }
        remaining -= Int64(bytes.count)
        try sink.write(bytes)
    }

    /// A whole regular file.
    public func add(_ entry: TarEntry, content: [UInt8]) throws {
        var entry = entry
        entry.size = Int64(content.count)
        try add(entry)
        try content.withUnsafeBytes { try write($0) }
    }

    /// Ends the archive with two empty blocks and finishes the sink.
    public func finish() throws {
        if isFinished { return }
        try endEntry()
        isFinished = true
        try emit([UInt8](repeating: 0, count: 1024))
        try sink.finish()
    }

    private func endEntry() throws {
        guard remaining == 0 else { throw ArchiveError(.malformed, "less data than the tar header says") }
        if padding > 0 { try emit([UInt8](repeating: 0, count: padding)) }
        padding = 0
    }

    private func emit(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try sink.write($0) } }

    // MARK: Fields

    private static func fill(
        _ header: inout HeaderBlock, from entry: TarEntry, size: Int64, records: inout [(key: [UInt8], value: [UInt8])]
    ) throws {
        func record(_ key: String, _ value: [UInt8]) { records.append((Array(key.utf8), value)) }
        func number(_ key: String, _ value: Int64, _ offset: Int, _ length: Int) {
            if !header.setOctal(value, offset, length) { record(key, Array("\(value)".utf8)) }
        }
        var path = entry.path
        if entry.kind == .directory && path.last != UInt8(ascii: "/") { path.append(UInt8(ascii: "/")) }
        if !header.setPath(path) { record("path", path) }
        if !header.setText(entry.linkTarget, 157, 100) { record("linkpath", entry.linkTarget) }
        _ = header.setOctal(Int64(entry.mode & 0o7777), 100, 8)
        number("uid", Int64(entry.uid), 108, 8)
        number("gid", Int64(entry.gid), 116, 8)
        number("size", size, 124, 12)
        if !header.setOctal(entry.modified.seconds, 136, 12) || entry.modified.nanoseconds != 0 {
            record("mtime", Array(Self.text(of: entry.modified).utf8))
        }
        header.bytes[156] = try Self.typeFlag(of: entry.kind)
        if !header.setText(Array(entry.userName.utf8), 265, 31) { record("uname", Array(entry.userName.utf8)) }
        if !header.setText(Array(entry.groupName.utf8), 297, 31) { record("gname", Array(entry.groupName.utf8)) }
        if entry.kind == .characterDevice || entry.kind == .blockDevice {
            number("SCHILY.devmajor", Int64(entry.deviceMajor), 329, 8)
            number("SCHILY.devminor", Int64(entry.deviceMinor), 337, 8)
        }
        for attribute in entry.attributes { records.append((Array("SCHILY.xattr.".utf8) + attribute.name, attribute.value)) }
    }

    private static func typeFlag(of kind: TarEntry.Kind) throws -> UInt8 {
        switch kind {
        case .file: UInt8(ascii: "0")
        case .hardLink: UInt8(ascii: "1")
        case .symbolicLink: UInt8(ascii: "2")
        case .characterDevice: UInt8(ascii: "3")
        case .blockDevice: UInt8(ascii: "4")
        case .directory: UInt8(ascii: "5")
        case .fifo: UInt8(ascii: "6")
        case .other(let letter): throw ArchiveError(.unsupported, "not implemented: writing tar entries of type \(letter)")
        }
    }

    /// `seconds[.fraction]`; before 1970 the fraction counts away from zero, as the seconds do.
    static func text(of time: FileTime) -> String {
        var seconds = time.seconds
        var nanoseconds = time.nanoseconds
        var sign = ""
        if seconds < 0 {
            sign = "-"
            if nanoseconds > 0 {
                seconds += 1
                nanoseconds = 1_000_000_000 - nanoseconds
            }
            seconds = -seconds
        }
        if nanoseconds == 0 { return "\(sign)\(seconds)" }
        var digits = String(nanoseconds)
        digits = String(repeating: "0", count: 9 - digits.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        return "\(sign)\(seconds).\(digits)"
    }

    // MARK: pax

    private func writePax(_ records: [(key: [UInt8], value: [UInt8])], for entry: TarEntry) throws {
        var data: [UInt8] = []
        if records.contains(where: { !Self.isUTF8($0.value) && ($0.key == Array("path".utf8) || $0.key == Array("linkpath".utf8)) }) {
            data += Self.paxRecord(Array("hdrcharset".utf8), Array("BINARY".utf8))
        }
        for record in records.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) { data += Self.paxRecord(record.key, record.value) }
        var header = HeaderBlock()
        let base = entry.path.split(separator: UInt8(ascii: "/")).last.map { Array($0.prefix(80)) } ?? []
        _ = header.setText(Array("PaxHeaders.0/".utf8) + base.filter { $0 < 128 }, 0, 100)
        _ = header.setOctal(0o644, 100, 8)
        _ = header.setOctal(0, 108, 8)
        _ = header.setOctal(0, 116, 8)
        _ = header.setOctal(Int64(data.count), 124, 12)
        _ = header.setOctal(0, 136, 12)
        header.bytes[156] = UInt8(ascii: "x")
        header.seal()
        data += [UInt8](repeating: 0, count: Int(TarHeader.padding(Int64(data.count))))
        try emit(header.bytes + data)
    }

    /// The length counts itself.
    static func paxRecord(_ key: [UInt8], _ value: [UInt8]) -> [UInt8] {
        let rest = key.count + value.count + 3
        var length = rest + String(rest).utf8.count
        if String(length).utf8.count > String(rest).utf8.count { length = rest + String(length).utf8.count }
        return Array("\(length) ".utf8) + key + [UInt8(ascii: "=")] + value + [10]
    }

    static func isUTF8(_ bytes: [UInt8]) -> Bool { String(validating: bytes, as: UTF8.self) != nil }
}

/// A ustar header under construction.
private struct HeaderBlock {
    var bytes = [UInt8](repeating: 0, count: 512)

    init() {
        bytes.replaceSubrange(257..<265, with: Array("ustar\u{0}00".utf8))
    }

    /// False when it doesn't fit or is not ASCII: then a part stands here for old readers and the whole belongs into a pax record.
    mutating func setText(_ text: [UInt8], _ offset: Int, _ length: Int) -> Bool {
        let part = text.prefix(length)
        bytes.replaceSubrange(offset..<offset + part.count, with: part)
        return text.count <= length && text.allSatisfy { $0 < 128 }
    }

    /// Name and prefix, parted at a slash.
    mutating func setPath(_ path: [UInt8]) -> Bool {
        if path.count <= 100 { return setText(path, 0, 100) }
        guard path.allSatisfy({ $0 < 128 }),
            let slash = path.indices.dropLast().last(where: { path[$0] == UInt8(ascii: "/") && $0 <= 155 && $0 > 0 }),
            path.count - slash - 1 <= 100
        else { return setText(path, 0, 100) }
        bytes.replaceSubrange(345..<345 + slash, with: path[..<slash])
        bytes.replaceSubrange(0..<path.count - slash - 1, with: path[(slash + 1)...])
        return true
    }

    /// Octal digits and a closing zero byte; false (and zero in the field) when it doesn't fit.
    mutating func setOctal(_ value: Int64, _ offset: Int, _ length: Int) -> Bool {
        let fits = value >= 0 && value < 1 << Int64(3 * (length - 1))
        let digits = Array(String(fits ? value : 0, radix: 8).utf8)
        let filled = [UInt8](repeating: 48, count: length - 1 - digits.count) + digits
        bytes.replaceSubrange(offset..<offset + length - 1, with: filled)
        return fits
    }

    /// Computes the sum over all other fields.
    mutating func seal() {
        bytes.replaceSubrange(148..<156, with: [UInt8](repeating: 32, count: 8))
        let sum = bytes.reduce(0) { $0 + Int($1) }
        let digits = Array(String(sum, radix: 8).utf8)
        bytes.replaceSubrange(148..<154, with: [UInt8](repeating: 48, count: 6 - digits.count) + digits)
        bytes[154] = 0
    }
}
