import Archive
import CLinux
import Glibc
import Images
import JSON
import Linux
import Logging
import OCIImageSpec
import RecordStore

/// A store in a directory of its own, removed at the end.
final class Fixture {
    let path: String
    private(set) var store: ImageStore
    private(set) var records: RecordStore

    private let limits: UnpackLimits
    private let blobPolicy: BlobPolicy

    /// A new directory, or one that exists.
    init(existing: String? = nil, limits: UnpackLimits = .standard, blobPolicy: BlobPolicy = .keep) throws {
        path = existing ?? "/var/tmp/clp-images-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        self.limits = limits
        self.blobPolicy = blobPolicy
        records = try RecordStore(root: path)
        store = try ImageStore(
            root: "\(path)/image", records: records, logger: Logger(label: "test"), limits: limits, blobPolicy: blobPolicy)
    }

    deinit { try? Files.removeTree(path) }

    /// What the next start of the daemon sees.
    func reopen(between: () throws -> Void = {}) throws {
        let gap = "\(path)/gap"
        records = try RecordStore(root: gap)
        store = try ImageStore(root: gap, records: records, logger: Logger(label: "test"), limits: limits, blobPolicy: blobPolicy)
        try between()
        records = try RecordStore(root: path)
        store = try ImageStore(
            root: "\(path)/image", records: records, logger: Logger(label: "test"), limits: limits, blobPolicy: blobPolicy)
    }

    /// A layer whose files have these contents, adopted as the overlay's upper directory would be.
    func adopt(_ content: [String: String], on parent: Digest? = nil) throws -> Layer {
        let directory = try store.makeScratchDirectory()
        for (name, text) in content {
            try Files.makeDirectories(Files.parent(of: "\(directory)/\(name)"))
            try Files.write("\(directory)/\(name)", text)
        }
        var times = [timespec(tv_sec: 1_700_000_000, tv_nsec: 0), timespec(tv_sec: 1_700_000_000, tv_nsec: 0)]
        for name in content.keys { utimensat(AT_FDCWD, "\(directory)/\(name)", &times, 0) }
        return try store.adoptLayer(directory: directory, parent: parent)
    }

    @discardableResult
    func makeImage(_ tags: String..., content: [String: String] = ["a": "1"], command: String = "sh", parent: Image? = nil) throws -> Image
    {
        var config = ImageConfig(created: "2024-01-01T00:00:00Z")
        config.config = RunConfig()
        config.config?.cmd = [command]
        let layers = try (parent?.layers ?? []) + [adopt(content, on: parent?.topLayer)]
        config.history = layers.map { _ in .init(createdBy: "step") }
        return try store.createImage(config: config, layers: layers, parent: parent?.id, tags: tags.map { try ImageReference($0) })
    }

    func file(_ bytes: [UInt8]) throws -> OwnedFD {
        let name = "\(path)/file-\(UInt64.random(in: 0 ... .max))"
        try OwnedFD.open(name, O_WRONLY | O_CREAT).writeAll(bytes)
        return try OwnedFD.open(name)
    }

    func load(_ bytes: [UInt8]) throws -> [LoadedImage] { try store.load(from: try file(bytes).take()) }

    func save(_ names: String...) throws -> [UInt8] {
        let name = "\(path)/saved-\(UInt64.random(in: 0 ... .max))"
        let target = try OwnedFD.open(name, O_WRONLY | O_CREAT)
        try store.save(names: names, to: target.raw)
        return try Files.read(name)
    }

    /// Names in the store's directories.
    func count(_ directory: String) throws -> Int { try Files.list("\(path)/image/\(directory)").count }

    var isEmpty: Bool {
        get throws { try store.list().isEmpty && count("layers") == 0 && count("blobs/sha256") == 0 && count("tmp") == 0 }
    }
}

@discardableResult
func shell(_ line: String) throws -> String {
    guard let stream = popen("set -e; " + line + " 2>&1", "r") else { throw SystemError("popen", line) }
    var output: [UInt8] = []
    var byte = fgetc(stream)
    while byte != EOF {
        output.append(UInt8(truncatingIfNeeded: byte))
        byte = fgetc(stream)
    }
    let text = String(decoding: output, as: UTF8.self)
    if pclose(stream) != 0 { throw ArchiveError(.malformed, "\(line): \(text)") }
    return text
}

/// Bytes of an archive of these files.
func tar(_ files: [(String, [UInt8])], links: [(String, String)] = []) throws -> [UInt8] {
    let sink = MemorySink()
    let writer = TarWriter(sink)
    for (path, content) in files { try writer.add(TarEntry(kind: .file, path: Array(path.utf8)), content: content) }
    for (path, target) in links { try writer.add(TarEntry(kind: .symbolicLink, path: Array(path.utf8), linkTarget: Array(target.utf8))) }
    try writer.finish()
    return sink.bytes
}

func hex(_ bytes: [UInt8]) throws -> String { try ContentHash.digest(of: bytes).hex }

/// `docker save` as Docker 1.10 to 24 writes it.
func dockerArchive(
    layers: [[UInt8]], tags: [String] = ["x:1"], diffIDs: [String]? = nil, cut: Bool = false, links: [(String, String)] = []
) throws -> [UInt8] {
    let diffs = try diffIDs ?? layers.map { "sha256:" + (try hex($0)) }
    let config: JSONValue = [
        "architecture": "amd64", "os": "linux", "created": "2020-02-02T02:02:02Z", "config": ["Cmd": ["sh"]],
        "rootfs": ["type": "layers", "diff_ids": .array(diffs.map { .string($0) })],
    ]
    let bytes = config.serialized()
    let name = try hex(bytes)
    let paths = layers.indices.map { "layer\($0)/layer.tar" } + links.map(\.0)
    let manifest: JSONValue = [
        ["Config": .string("\(name).json"), "RepoTags": .array(tags.map { .string($0) }), "Layers": .array(paths.map { .string($0) })]
    ]
    var files: [(String, [UInt8])] = []
    for (index, layer) in layers.enumerated() {
        files += [
            ("layer\(index)/VERSION", Array("1.0".utf8)), ("layer\(index)/json", Array("{}".utf8)), ("layer\(index)/layer.tar", layer),
        ]
    }
    files += [("\(name).json", bytes), ("manifest.json", manifest.serialized()), ("repositories", Array("{}".utf8))]
    return try tar(files, links: links)
}
