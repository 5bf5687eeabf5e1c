internal import Glibc

/// Paths as the kernel has them: bytes without zero, parted by `/`.
enum PathBytes {
    static let slash = UInt8(ascii: "/")

    /// Calls `body` with the bytes as a C string.
    @inline(__always)
    static func withCString<Result>(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
        try withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytes.count + 1) { buffer in
            for (index, byte) in bytes.enumerated() { buffer.initializeElement(at: index, to: CChar(bitPattern: byte)) }
            buffer.initializeElement(at: bytes.count, to: 0)
            // Never nil: the capacity is at least one.
            return try body(UnsafePointer(buffer.baseAddress.unsafelyUnwrapped))
        }
    }

    static func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    /// The components of a path without empty ones and `.`, with `..` taken back; nil when it leads above its beginning.
    static func components(_ path: [UInt8]) -> [[UInt8]]? {
        var result: [[UInt8]] = []
        for part in path.split(separator: slash) {
            if part.elementsEqual(".".utf8) { continue }
            if part.elementsEqual("..".utf8) {
                if result.popLast() == nil { return nil }
                continue
            }
            result.append(Array(part))
        }
        return result
    }

    static func joined(_ components: some Collection<[UInt8]>) -> [UInt8] { Array(components.joined(separator: [slash])) }
}
