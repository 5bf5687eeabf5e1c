internal import Archive
internal import CLinux
internal import Glibc
internal import Linux

/// What is left of a layer's plain stream when the data of its files are taken out: all headers, padding and what stands behind
/// the end, in order, and in place of data the name of the file in the layer's directory that holds them. Both together make the
/// very stream again. Packed with zstd.
///
/// The file: a magic word, then parts. `R` length bytes: bytes of the stream. `F` length-of-path size offset count path: `count`
/// bytes of the file at `offset`; `size` is the whole file's. Numbers are 64 bit, little-endian. `E` ends it.
enum LayerSkeleton {
    static let magic = Array("CLPSKEL1".utf8)
    /// Raw bytes of one part, and of a path.
    static let partLimit = 1 << 20

    enum Mark {
        static let raw = UInt8(ascii: "R")
        static let file = UInt8(ascii: "F")
        static let end = UInt8(ascii: "E")
    }

    // MARK: Making

    /// Writes the skeleton of a plain tar stream to a file. The names are taken from the stream: whether the files are what
    /// they were is for `write` to tell.
    static func make(of stream: any ByteSource, at path: String, limits: TarReader.Limits) throws {
        let file = try OwnedFD.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        let output = FileSink(file.raw)
        let parts = try SkeletonParts(ZstdSink(output))
        let recorder = Recorder(stream, parts)
        let reader = TarReader(recorder, limits: limits)
        while let entry = try reader.next() {
            try recorder.keep(upTo: reader.position)
            if let path = fileName(entry) {
                for extent in entry.sparseMap ?? [SparseExtent(offset: 0, length: entry.size)] where extent.length > 0 {
                    try parts.file(path, size: entry.size, extent)
                }
                recorder.leaveOut(upTo: reader.position + reader.storedSize)
            } else {
                while try reader.withData({ _ in }) != nil { try recorder.keep(upTo: reader.position) }
            }
        }
        recorder.keepsAll = true
        try recorder.keep(upTo: recorder.position)
        try reader.drain()
        try parts.finish()
        try file.sync()
    }

    /// The file in the layer's directory whose data an entry brings; nil when that can't be told by name.
    private static func fileName(_ entry: TarEntry) -> String? {
        guard entry.kind == .file, entry.path.count < partLimit else { return nil }
        guard let path = String(validating: entry.path, as: UTF8.self) else { return nil }
        // A whiteout with data is none.
        let name = path.split(separator: "/").last ?? ""
        return name.hasPrefix(".wh.") ? nil : path
    }

    /// Reads through to the tar reader, and keeps what was read until it is told what to do with it.
    private final class Recorder: ByteSource {
        private let source: any ByteSource
        private let parts: SkeletonParts
        private var pending: [UInt8] = []
        /// Where `pending` begins in the stream, and how far the stream was read.
        private var base: Int64 = 0
        private(set) var position: Int64 = 0
        /// What comes is kept at once: the archive has ended.
        var keepsAll = false

        init(_ source: any ByteSource, _ parts: SkeletonParts) {
            self.source = source
            self.parts = parts
        }

        func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
            let count = try source.read(into: buffer)
            let skipped = Int(min(Int64(count), max(0, base - position)))
            pending.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffer[skipped..<count]))
            position += Int64(count)
            if keepsAll { try keep(upTo: position) }
            return count
        }

        /// The stream up to an offset that was read goes into the skeleton.
        func keep(upTo end: Int64) throws {
            let count = Int(min(max(0, end - base), Int64(pending.count)))
            try pending.withUnsafeBytes { try parts.raw(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            pending.removeFirst(count)
            base += Int64(count)
        }

        /// The stream up to an offset, which may not be read yet, does not.
        func leaveOut(upTo end: Int64) {
            pending.removeFirst(Int(min(end - base, Int64(pending.count))))
            base = end
        }
    }

    // MARK: Putting together

    /// Writes the stream again: the skeleton at `path` with the files under `directory`. Throws `ImageError.damaged` for a file
    /// that is gone or has another length; that another changed is for the stream's digest to tell.
    static func write(_ path: String, directory: String, to sink: any ByteSink) throws {
        let file = try OwnedFD.open(path)
        let root = try OwnedFD.open(directory, O_RDONLY | O_DIRECTORY)
        let parts = SkeletonReader(try DecompressingSource(FileSource(file.raw), limits: .none))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        while let part = try parts.next() {
            switch part {
            case .raw(let bytes): try bytes.withUnsafeBytes { try sink.write($0) }
            case .file(let path, let size, let extent): try copy(path, size, extent, in: root, to: sink, buffer)
            }
        }
    }

    private static func copy(
        _ path: String, _ size: Int64, _ extent: SparseExtent, in root: borrowing OwnedFD, to sink: any ByteSink,
        _ buffer: UnsafeMutableRawBufferPointer
    ) throws {
        let file = try root.openInRoot(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        var status = stat()
        _ = try retrying("stat", path) { fstat(file.raw, &status) }
        guard status.st_mode & S_IFMT == S_IFREG, Int64(status.st_size) == size else {
            throw ImageError(.damaged, "file \(path) is not what it was")
        }
        var (offset, left) = (extent.offset, extent.length)
        while left > 0 {
            let wanted = Int(min(left, Int64(buffer.count)))
            let count = try retrying("read", path) { pread(file.raw, buffer.baseAddress, wanted, off_t(offset)) }
            guard count > 0 else { throw ImageError(.damaged, "file \(path) is not what it was") }
            try sink.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += Int64(count)
            left -= Int64(count)
        }
    }
}

/// Writes a skeleton's parts.
private final class SkeletonParts {
    private let sink: any ByteSink

    init(_ sink: any ByteSink) throws {
        self.sink = sink
        try write(LayerSkeleton.magic)
    }

    private func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try sink.write($0) } }

    private static func bytes(_ number: Int64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } }

    func raw(_ bytes: UnsafeRawBufferPointer) throws {
        for start in stride(from: 0, to: bytes.count, by: LayerSkeleton.partLimit) {
            let part = bytes[start..<min(start + LayerSkeleton.partLimit, bytes.count)]
            try write([LayerSkeleton.Mark.raw] + Self.bytes(Int64(part.count)))
            try sink.write(UnsafeRawBufferPointer(rebasing: part))
        }
    }

    func file(_ path: String, size: Int64, _ extent: SparseExtent) throws {
        let name = Array(path.utf8)
        try write(
            [LayerSkeleton.Mark.file] + [Int64(name.count), size, extent.offset, extent.length].flatMap(Self.bytes) + name)
    }

    func finish() throws {
        try write([LayerSkeleton.Mark.end])
        try sink.finish()
    }
}

/// Reads a skeleton's parts.
private final class SkeletonReader {
    enum Part {
        case raw([UInt8])
        case file(path: String, size: Int64, SparseExtent)
    }

    private let source: any ByteSource
    private var hasBegun = false

    init(_ source: any ByteSource) { self.source = source }

    /// Nil at the end.
    func next() throws -> Part? {
        if !hasBegun {
            guard try read(LayerSkeleton.magic.count) == LayerSkeleton.magic else { throw Self.malformed }
            hasBegun = true
        }
        switch try read(1)[0] {
        case LayerSkeleton.Mark.raw: return .raw(try read(try count()))
        case LayerSkeleton.Mark.file:
            let length = try count()
            let (size, offset, count) = (try number(), try number(), try number())
            guard offset >= 0, count >= 0, let path = String(validating: try read(length), as: UTF8.self) else { throw Self.malformed }
            return .file(path: path, size: size, SparseExtent(offset: offset, length: count))
        case LayerSkeleton.Mark.end: return nil
        default: throw Self.malformed
        }
    }

    private func count() throws -> Int {
        let count = try number()
        guard (0...Int64(LayerSkeleton.partLimit)).contains(count) else { throw Self.malformed }
        return Int(count)
    }

    private func number() throws -> Int64 { try read(8).reversed().reduce(0) { $0 << 8 | Int64($1) } }

    private func read(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let read = try bytes.withUnsafeMutableBytes { try source.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...])) }
            if read == 0 { throw Self.malformed }
            filled += read
        }
        return bytes
    }

    private static var malformed: ImageError { ImageError(.damaged, "the layer's skeleton is damaged") }
}
