/// Reads a tar stream, entry by entry: ustar, pax, GNU and the formats before them.
///
/// What one entry is made of is put together here: extension headers (pax `x` and `g`, GNU `L` and `K`) apply to the
/// header after them. Formats: POSIX pax(1), tar(5), GNU tar manual "Sparse Formats".
public final class TarReader {
    /// What a stream may ask of us.
    public struct Limits: Sendable {
        /// Bytes of one pax header, GNU long name or sparse map.
        public var headerBytes = 1 << 20
        /// Entries in the stream.
        public var entries = Int.max
        /// Bytes of all files together, holes included.
        public var totalBytes = Int64.max

        public init() {}
    }

    private let input: BlockInput
    private let limits: Limits
    private var globalRecords = PaxRecords()
    private var entryCount = 0
    private var totalBytes: Int64 = 0
    /// Stored bytes of the current entry that were not read yet, and the filling after them.
    private var remaining: Int64 = 0
    private var padding: Int64 = 0
    private var current = TarEntry(kind: .file, path: [])
    private var isAtEnd = false
    /// Bytes of the stream that were read. After `next`, the current entry's stored data begin here.
    public var position: Int64 { input.position }
    /// Bytes of the current entry's stored data that were not read yet; after `next` all of them.
    public var storedSize: Int64 { remaining }

    public init(_ source: any ByteSource, limits: Limits = Limits()) {
        input = BlockInput(source)
        self.limits = limits
    }

    /// The next entry; nil at the end of the archive. Skips what was not read of the entry before.
    public func next() throws -> TarEntry? {
        if isAtEnd { return nil }
        try skipData()
        var pending = PendingHeaders(global: globalRecords)
        while let header = try readHeader() {
            switch header.typeFlag {
            case UInt8(ascii: "x"), UInt8(ascii: "X"):
                let bytes = try readExtension(header)
                try pending.records.parse(bytes)
                if pending.records.byteCount > limits.headerBytes { throw ArchiveError(.refused, "tar headers of one entry are too large") }
            case UInt8(ascii: "g"):
                try globalRecords.parse(try readExtension(header))
                if globalRecords.byteCount > limits.headerBytes { throw ArchiveError(.refused, "global tar headers are too large") }
                pending.records.replaceGlobals(by: globalRecords)
            case UInt8(ascii: "L"): pending.longName = TarHeader.text(try readExtension(header)[...])
            case UInt8(ascii: "K"): pending.longLink = TarHeader.text(try readExtension(header)[...])
            case UInt8(ascii: "V"): try skip(header.size)
            case UInt8(ascii: "M"): throw ArchiveError(.unsupported, "not implemented: archives of several volumes")
            default:
                try begin(header, pending)
                return current
            }
        }
        isAtEnd = true
        return nil
    }

    /// The next piece of the current entry's stored data (for a sparse file: its extents, one after another); nil after the last.
    /// The bytes are valid only inside `body`.
    public func withData<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result? {
        if remaining == 0 { return nil }
        let piece = try input.piece(upTo: Int(min(remaining, Int64(Int.max))))
        guard !piece.isEmpty else { throw truncated(in: current.pathText) }
        remaining -= Int64(piece.count)
        return try body(piece)
    }

    /// Reads the current entry's stored data into `buffer`, which is not empty; 0 at its end.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if remaining == 0 { return 0 }
        let count = try input.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(Int(min(remaining, Int64(buffer.count))))))
        guard count > 0 else { throw truncated(in: current.pathText) }
        remaining -= Int64(count)
        return count
    }

    /// All data of the current entry, holes filled with zeros. Throws when it is longer than `limit`.
    public func readAll(limit: Int) throws -> [UInt8] {
        guard current.size <= Int64(limit) else {
            throw ArchiveError(.refused, "\(current.pathText) in archive is larger than \(limit) bytes")
        }
        var stored: [UInt8] = []
        stored.reserveCapacity(Int(min(remaining, 1 << 20)))
        while try withData({ stored.append(contentsOf: $0) }) != nil {}
        guard let map = current.sparseMap else { return stored }
        var content = [UInt8](repeating: 0, count: Int(current.size))
        var position = 0
        for extent in map {
            let end = position + Int(extent.length)
            content.replaceSubrange(Int(extent.offset)..<Int(extent.offset + extent.length), with: stored[position..<end])
            position = end
        }
        return content
    }

    /// Reads the source to its end, past the archive's: what a hash of the whole stream needs.
    public func drain() throws {
        remaining = 0
        padding = 0
        while !(try input.piece(upTo: Int.max).isEmpty) {}
    }

    // MARK: Headers

    private func readHeader() throws -> TarHeader? {
        guard let block = try input.block() else { return nil }
        if TarHeader.isZero(block) {
            // Two empty blocks end an archive; one at the end of the stream will do.
            guard let second = try input.block() else { return nil }
            guard TarHeader.isZero(second) else { throw malformed("data after its end mark") }
            return nil
        }
        return try TarHeader(block)
    }

    private func readExtension(_ header: TarHeader) throws -> [UInt8] {
        guard header.size <= Int64(limits.headerBytes) else {
            throw ArchiveError(.refused, "tar header of \(header.size) bytes is larger than \(limits.headerBytes)")
        }
        return try readPadded(Int(header.size))
    }

    private func readPadded(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let piece = try input.piece(upTo: count - bytes.count)
            guard !piece.isEmpty else { throw truncated(in: "a header") }
            bytes.append(contentsOf: piece)
        }
        try discard(TarHeader.padding(Int64(count)))
        return bytes
    }

    private func begin(_ header: TarHeader, _ pending: PendingHeaders) throws {
        entryCount += 1
        if entryCount > limits.entries { throw ArchiveError(.refused, "archive has more than \(limits.entries) entries") }
        var entry = try header.entry()
        if let name = pending.longName { entry.path = name }
        if let link = pending.longLink { entry.linkTarget = link }
        var stored = header.size
        try pending.records.apply(to: &entry, storedSize: &stored)
        if entry.path.contains(0) || entry.linkTarget.contains(0) { throw malformed("a name with a zero byte") }
        if entry.kind == .file, entry.path.last == UInt8(ascii: "/") { entry.kind = .directory }
        if !entry.kind.carriesData { stored = 0 }
        remaining = stored
        padding = TarHeader.padding(stored)
        current = entry
        if entry.kind == .file { try beginFile(header, pending, &entry, stored) }
        current = entry
    }

    private func beginFile(_ header: TarHeader, _ pending: PendingHeaders, _ entry: inout TarEntry, _ stored: Int64) throws {
        entry.size = stored
        if let map = try sparseMap(header, pending.records) {
            entry.size = map.realSize
            entry.sparseMap = map.extents
            if let name = pending.records["GNU.sparse.name"] { entry.path = Array(name) }
            try SparseExtent.validate(map.extents, size: map.realSize, stored: remaining, name: entry.pathText)
        }
        let (total, overflow) = totalBytes.addingReportingOverflow(entry.size)
        if overflow || total > limits.totalBytes {
            throw ArchiveError(.refused, "archive has more than \(limits.totalBytes) bytes of files")
        }
        totalBytes = total
    }

    // MARK: Sparse files

    private func sparseMap(_ header: TarHeader, _ records: PaxRecords) throws -> (realSize: Int64, extents: [SparseExtent])? {
        if header.typeFlag == UInt8(ascii: "S") { return try oldSparseMap(header) }
        if records["GNU.sparse.major"] == Array("1".utf8)[...] {
            let size = try records.number("GNU.sparse.realsize") ?? 0
            return (size, try sparseMapInData())
        }
        guard let size = try records.number("GNU.sparse.size") else { return nil }
        return (size, try records.sparseExtents())
    }

    /// GNU's first form: four extents in the header, then blocks of 21.
    private func oldSparseMap(_ header: TarHeader) throws -> (realSize: Int64, extents: [SparseExtent]) {
        var extents: [SparseExtent] = []
        var isExtended = try header.appendOldSparse(to: &extents, at: 386, count: 4, flagAt: 482)
        while isExtended {
            guard let block = try input.block() else { throw truncated(in: "a sparse file's map") }
            isExtended = try TarHeader(unchecked: block).appendOldSparse(to: &extents, at: 0, count: 21, flagAt: 504)
            if extents.count * 24 > limits.headerBytes { throw ArchiveError(.refused, "sparse file's map is too large") }
        }
        return (try header.number(483, 12), extents)
    }

    /// pax sparse 1.0: the map stands before the data, decimal numbers in lines, filled to a block.
    private func sparseMapInData() throws -> [SparseExtent] {
        var lines = LineNumbers { [self] in
            guard remaining >= 512, let block = try input.block() else { throw malformed("sparse file's map is cut off") }
            remaining -= 512
            return Array(block)
        }
        let count = try lines.next()
        guard count >= 0, count <= Int64(limits.headerBytes / 4) else { throw ArchiveError(.refused, "sparse file's map is too large") }
        var extents: [SparseExtent] = []
        for _ in 0..<count { extents.append(SparseExtent(offset: try lines.next(), length: try lines.next())) }
        return extents
    }

    // MARK: Skipping

    private func skipData() throws {
        try discard(remaining)
        remaining = 0
        try skipPadding()
    }

    /// Some writers (umoci) end their stream with the last file's last byte: that is an end, as Go's reader has it.
    private func skipPadding() throws {
        var left = Int(padding)
        padding = 0
        let wanted = left
        while left > 0 {
            let piece = try input.piece(upTo: left)
            if piece.isEmpty && left == wanted { return }
            guard !piece.isEmpty else { throw truncated(in: current.pathText) }
            left -= piece.count
        }
    }

    private func skip(_ size: Int64) throws { try discard(size + TarHeader.padding(size)) }

    private func discard(_ count: Int64) throws {
        var left = count
        while left > 0 {
            let piece = try input.piece(upTo: Int(min(left, 1 << 30)))
            guard !piece.isEmpty else { throw truncated(in: current.pathText) }
            left -= Int64(piece.count)
        }
    }

    private func truncated(in name: String) -> ArchiveError {
        ArchiveError(.truncated, "unexpected end of archive in \(name.isEmpty ? "its first entry" : name)")
    }

    private func malformed(_ what: String) -> ArchiveError { ArchiveError(.malformed, "malformed archive: \(what)") }
}

/// Extension headers that wait for the header which they describe.
private struct PendingHeaders {
    var records: PaxRecords
    var longName: [UInt8]?
    var longLink: [UInt8]?

    init(global: PaxRecords) { records = PaxRecords(defaults: global) }
}

/// Decimal numbers, one a line, from blocks of 512 bytes.
private struct LineNumbers {
    let nextBlock: () throws -> [UInt8]
    var block: [UInt8] = []
    var position = 0

    init(nextBlock: @escaping () throws -> [UInt8]) { self.nextBlock = nextBlock }

    mutating func next() throws -> Int64 {
        var value: Int64 = 0
        var digits = 0
        while true {
            if position == block.count {
                block = try nextBlock()
                position = 0
            }
            let byte = block[position]
            position += 1
            if byte == 10 && digits > 0 { return value }
            digits += 1
            guard (48...57).contains(byte), digits <= 18 else { throw ArchiveError(.malformed, "malformed archive: sparse file's map") }
            value = value * 10 + Int64(byte - 48)
        }
    }
}

extension SparseExtent {
    /// Extents are in order, inside the file, and as long together as the stored data.
    static func validate(_ extents: [SparseExtent], size: Int64, stored: Int64, name: String) throws {
        var end: Int64 = 0
        var sum: Int64 = 0
        for extent in extents {
            let (next, overflow) = extent.offset.addingReportingOverflow(extent.length)
            guard extent.offset >= end, extent.length >= 0, !overflow, next <= size else {
                throw ArchiveError(.malformed, "malformed archive: sparse map of \(name)")
            }
            end = next
            sum += extent.length
        }
        guard size >= 0, sum == stored else { throw ArchiveError(.malformed, "malformed archive: sparse map of \(name)") }
    }
}

extension TarEntry.Kind {
    /// Whether data blocks follow the header. Links and devices have none, whatever their size field says.
    var carriesData: Bool {
        switch self {
        case .file, .other: true
        case .directory, .symbolicLink, .hardLink, .characterDevice, .blockDevice, .fifo: false
        }
    }
}
