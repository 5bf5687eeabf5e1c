/// The records of pax extended headers (POSIX pax, "pax Extended Header"): `length key=value\n`.
struct PaxRecords {
    private var defaults: [String: ArraySlice<UInt8>] = [:]
    private var values: [String: ArraySlice<UInt8>] = [:]
    /// In the order of the header: pax sparse 0.0 repeats its keys.
    private var sparseParts: [(isOffset: Bool, value: ArraySlice<UInt8>)] = []
    private(set) var byteCount = 0

    init() {}

    /// Starts with a global header's records, which single ones override.
    init(defaults: PaxRecords) { self.defaults = defaults.values }

    subscript(key: String) -> ArraySlice<UInt8>? {
        guard let value = values[key] ?? defaults[key], !value.isEmpty else { return nil }
        return value
    }

    mutating func replaceGlobals(by global: PaxRecords) { defaults = global.values }

    /// Adds the records of one header. A later record of a key wins; an empty value takes the key back.
    mutating func parse(_ bytes: [UInt8]) throws {
        byteCount += bytes.count
        var position = 0
        while position < bytes.count {
            // Some writers fill the header's data with zeros.
            if bytes[position...].allSatisfy({ $0 == 0 }) { return }
            var length = 0
            var cursor = position
            while cursor < bytes.count, (48...57).contains(bytes[cursor]), length < 1 << 40 {
                length = length * 10 + Int(bytes[cursor] - 48)
                cursor += 1
            }
            let end = position + length
            guard cursor > position, cursor < bytes.count, bytes[cursor] == 32, end <= bytes.count, end > cursor + 2, bytes[end - 1] == 10,
                let equals = bytes[cursor + 1..<end - 1].firstIndex(of: UInt8(ascii: "=")), equals > cursor + 1
            else { throw ArchiveError(.malformed, "malformed archive: pax header") }
            add(String(decoding: bytes[cursor + 1..<equals], as: UTF8.self), bytes[equals + 1..<end - 1])
            position = end
        }
    }

    private mutating func add(_ key: String, _ value: ArraySlice<UInt8>) {
        switch key {
        case "GNU.sparse.offset": sparseParts.append((true, value))
        case "GNU.sparse.numbytes": sparseParts.append((false, value))
        default: values[key] = value
        }
    }

    /// Overrides the header's fields.
    func apply(to entry: inout TarEntry, storedSize: inout Int64) throws {
        if values.isEmpty && defaults.isEmpty { return }
        if let path = self["path"] { entry.path = Array(path) }
        if let link = self["linkpath"] { entry.linkTarget = Array(link) }
        if let size = try number("size") { storedSize = size }
        if let uid = try number("uid") { entry.uid = UInt32(truncatingIfNeeded: uid) }
        if let gid = try number("gid") { entry.gid = UInt32(truncatingIfNeeded: gid) }
        if let name = self["uname"] { entry.userName = String(decoding: name, as: UTF8.self) }
        if let name = self["gname"] { entry.groupName = String(decoding: name, as: UTF8.self) }
        if let time = self["mtime"] { entry.modified = try Self.time(time) }
        if let major = try number("SCHILY.devmajor") { entry.deviceMajor = UInt32(truncatingIfNeeded: major) }
        if let minor = try number("SCHILY.devminor") { entry.deviceMinor = UInt32(truncatingIfNeeded: minor) }
        for (key, value) in defaults.merging(values, uniquingKeysWith: { $1 }) where key.hasPrefix("SCHILY.xattr.") {
            entry.attributes.append(ExtendedAttribute(name: Array(key.utf8.dropFirst(13)), value: Array(value)))
        }
        entry.attributes.sort { $0.name.lexicographicallyPrecedes($1.name) }
    }

    /// A decimal number that is not negative.
    func number(_ key: String) throws -> Int64? {
        guard let value = self[key] else { return nil }
        guard let number = Int64(String(decoding: value, as: UTF8.self)), number >= 0, number < 1 << 62 else {
            throw ArchiveError(.malformed, "malformed archive: pax header \(key)")
        }
        return number
    }

    /// Seconds with an optional fraction, possibly negative.
    static func time(_ text: ArraySlice<UInt8>) throws -> FileTime {
        let parts = String(decoding: text, as: UTF8.self).split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first, let seconds = Int64(whole), abs(seconds) < 1 << 60 else {
            throw ArchiveError(.malformed, "malformed archive: pax header mtime")
        }
        guard parts.count == 2 else { return FileTime(seconds: seconds) }
        let digits = parts[1].prefix(9)
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }), var fraction = Int64(digits.isEmpty ? "0" : digits) else {
            throw ArchiveError(.malformed, "malformed archive: pax header mtime")
        }
        for _ in digits.count..<9 { fraction *= 10 }
        if whole.hasPrefix("-") && fraction > 0 { return FileTime(seconds: seconds - 1, nanoseconds: 1_000_000_000 - fraction) }
        return FileTime(seconds: seconds, nanoseconds: fraction)
    }

    /// The map of pax sparse 0.0 (repeated records) or 0.1 (one list).
    func sparseExtents() throws -> [SparseExtent] {
        let parts = self["GNU.sparse.map"].map { $0.split(separator: UInt8(ascii: ",")) } ?? sparseParts.map(\.value)
        let numbers = parts.map { Int64(String(decoding: $0, as: UTF8.self)) }
        let isPaired = self["GNU.sparse.map"] != nil || sparseParts.enumerated().allSatisfy { $0.element.isOffset == ($0.offset % 2 == 0) }
        guard numbers.count % 2 == 0, isPaired, numbers.allSatisfy({ ($0 ?? -1) >= 0 }) else {
            throw ArchiveError(.malformed, "malformed archive: sparse file's map")
        }
        return stride(from: 0, to: numbers.count, by: 2).map { SparseExtent(offset: numbers[$0] ?? 0, length: numbers[$0 + 1] ?? 0) }
    }
}
