import Archive
import CLinux
import Glibc
import Linux

/// A directory for one test, removed at its end.
final class Scratch {
    let path: String

    init() throws {
        path = "/tmp/clp-archive-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        try Files.makeDirectories(path)
    }

    deinit { try? Files.removeTree(path) }

    func make(_ name: String) throws -> String {
        try Files.makeDirectories("\(path)/\(name)")
        return "\(path)/\(name)"
    }
}

/// Runs a shell line; its standard output.
@discardableResult
func shell(_ line: String) throws -> String {
    guard let stream = popen("set -e; " + line + " 2>&1", "r") else { throw SystemError("popen", line) }
    var output: [UInt8] = []
    var byte = fgetc(stream)
    while byte != EOF {
        output.append(UInt8(truncatingIfNeeded: byte))
        byte = fgetc(stream)
    }
    let status = pclose(stream)
    let text = String(decoding: output, as: UTF8.self)
    if status != 0 { throw ArchiveError(.malformed, "\(line): status \(status): \(text)") }
    return text
}

/// The bytes of an archive with these entries.
func tar(_ entries: [(TarEntry, [UInt8])]) throws -> [UInt8] {
    let sink = MemorySink()
    let writer = TarWriter(sink)
    for (entry, content) in entries {
        if entry.kind == .file { try writer.add(entry, content: content) } else { try writer.add(entry) }
    }
    try writer.finish()
    return sink.bytes
}

func entry(_ kind: TarEntry.Kind, _ path: String, link: String = "", mode: mode_t = 0o644) -> TarEntry {
    TarEntry(kind: kind, path: Array(path.utf8), linkTarget: Array(link.utf8), mode: mode)
}

@discardableResult
func extract(_ bytes: [UInt8], to path: String, _ options: TreeExtractor.Options = .init()) throws -> TreeExtractor.Summary {
    let root = try OwnedFD.open(path, O_RDONLY | O_DIRECTORY)
    let extractor = try TreeExtractor(root: root, options: options)
    return try extractor.extract(TarReader(MemorySource(bytes)))
}

func archive(_ path: String, _ options: TreeArchiver.Options = .init()) throws -> [UInt8] {
    let root = try OwnedFD.open(path, O_RDONLY | O_DIRECTORY)
    let sink = MemorySink()
    let writer = TarWriter(sink)
    _ = try TreeArchiver(options: options).archive(root, to: writer)
    try writer.finish()
    return sink.bytes
}

func entries(_ bytes: [UInt8], limits: TarReader.Limits = .init()) throws -> [TarEntry] {
    let reader = TarReader(MemorySource(bytes), limits: limits)
    var result: [TarEntry] = []
    while let entry = try reader.next() { result.append(entry) }
    return result
}
