internal import CLinux

/// One header block of 512 bytes.
struct TarHeader {
    private let bytes: [UInt8]
    let typeFlag: UInt8
    let size: Int64

    /// Checks sum and size.
    init(_ block: UnsafeRawBufferPointer) throws {
        bytes = Array(block)
        typeFlag = bytes[156]
        var unsigned = 8 * 32
        var signed = 8 * 32
        for (index, byte) in bytes.enumerated() where !(148..<156).contains(index) {
            unsigned += Int(byte)
            signed += Int(Int8(bitPattern: byte))
        }
        // Old tars summed signed characters.
        guard let sum = Self.parse(bytes[148..<156]), sum == Int64(unsigned) || sum == Int64(signed) else {
            throw ArchiveError(.malformed, "invalid tar header")
        }
        guard let size = Self.parse(bytes[124..<136]), size >= 0, size < 1 << 62 else {
            throw ArchiveError(.malformed, "invalid size in tar header")
        }
        self.size = size
    }

    /// A continuation block, which has no header's fields.
    init(unchecked block: UnsafeRawBufferPointer) {
        bytes = Array(block)
        typeFlag = 0
        size = 0
    }

    static func isZero(_ block: UnsafeRawBufferPointer) -> Bool { block.allSatisfy { $0 == 0 } }

    /// Bytes from the end of `size` bytes to the next block.
    static func padding(_ size: Int64) -> Int64 { (512 - size % 512) % 512 }

    /// Up to the first zero byte.
    static func text(_ bytes: ArraySlice<UInt8>) -> [UInt8] { Array(bytes.prefix { $0 != 0 }) }

    func number(_ offset: Int, _ length: Int) throws -> Int64 {
        guard let value = Self.parse(bytes[offset..<offset + length]) else {
            throw ArchiveError(.malformed, "invalid number in tar header")
        }
        return value
    }

    /// Octal digits, or base 256 when the first bit is set (negative when the second is, too). Empty is 0.
    static func parse(_ field: ArraySlice<UInt8>) -> Int64? {
        guard let first = field.first else { return 0 }
        if first & 0x80 != 0 {
            var value: Int64 = first & 0x40 != 0 ? -1 : 0
            for (index, byte) in field.enumerated() {
                let digit = index == 0 ? (value < 0 ? byte | 0x80 : byte & 0x7f) : byte
                guard value >= -(1 << 54), value < 1 << 54 else { return nil }
                value = value << 8 | Int64(digit)
            }
            return value
        }
        var value: Int64 = 0
        var hasDigits = false
        for byte in field {
            switch byte {
            case 48...55:
                guard value < 1 << 59 else { return nil }
                value = value << 3 | Int64(byte - 48)
                hasDigits = true
            case 0, 32: if hasDigits { return value }
            default: return nil
            }
        }
        return value
    }

    /// The entry as this header alone has it.
    func entry() throws -> TarEntry {
        var entry = TarEntry(kind: kind, path: path, linkTarget: Self.text(bytes[157..<257]))
        entry.mode = UInt32(truncatingIfNeeded: try number(100, 8)) & 0o7777
        entry.uid = UInt32(truncatingIfNeeded: try number(108, 8))
        entry.gid = UInt32(truncatingIfNeeded: try number(116, 8))
        entry.modified = FileTime(seconds: try number(136, 12))
        if isPOSIX || isGNU {
            entry.userName = String(decoding: Self.text(bytes[265..<297]), as: UTF8.self)
            entry.groupName = String(decoding: Self.text(bytes[297..<329]), as: UTF8.self)
            // Only a device's header has to have these; others may hold anything.
            if entry.kind == .characterDevice || entry.kind == .blockDevice {
                entry.deviceMajor = UInt32(truncatingIfNeeded: try number(329, 8))
                entry.deviceMinor = UInt32(truncatingIfNeeded: try number(337, 8))
            }
        }
        return entry
    }

    private var isPOSIX: Bool { bytes[257..<263].elementsEqual("ustar\0".utf8) }
    private var isGNU: Bool { bytes[257..<265].elementsEqual("ustar  \0".utf8) }

    private var path: [UInt8] {
        let name = Self.text(bytes[0..<100])
        guard isPOSIX else { return name }
        // star keeps times in the last 24 bytes of the prefix.
        let isStar = bytes[508..<512].elementsEqual("tar\0".utf8)
        let prefix = Self.text(bytes[345..<(isStar ? 476 : 500)])
        return prefix.isEmpty ? name : prefix + [UInt8(ascii: "/")] + name
    }

    private var kind: TarEntry.Kind {
        switch typeFlag {
        case 0, UInt8(ascii: "0"), UInt8(ascii: "7"), UInt8(ascii: "S"): .file
        case UInt8(ascii: "1"): .hardLink
        case UInt8(ascii: "2"): .symbolicLink
        case UInt8(ascii: "3"): .characterDevice
        case UInt8(ascii: "4"): .blockDevice
        case UInt8(ascii: "5"): .directory
        case UInt8(ascii: "6"): .fifo
        default: .other(typeFlag)
        }
    }

    /// Extents of GNU's first sparse form; true when another block of them follows.
    func appendOldSparse(to extents: inout [SparseExtent], at start: Int, count: Int, flagAt flag: Int) throws -> Bool {
        for index in 0..<count {
            let offset = start + index * 24
            if bytes[offset] == 0 { break }
            extents.append(SparseExtent(offset: try number(offset, 12), length: try number(offset + 12, 12)))
        }
        return bytes[flag] != 0
    }
}
