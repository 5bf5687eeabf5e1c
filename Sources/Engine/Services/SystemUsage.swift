internal import CLinux
public import EngineTypes
internal import Glibc
internal import Linux

extension SystemService {
    /// Every byte under the data root, by what it is for. Blocks on disk, as du(1) counts them.
    public func usage() async throws -> [SystemUsage] {
        let configuration = containers.configuration
        let (root, logs) = (configuration.dataRoot, containers.store.all.compactMap { configuration.logPath(of: $0.record) })
        return try await offloading {
            var count = BlockCount(root: root, logs: logs)
            try count.run()
            return count.lines
        }
    }
}

/// Walks a data root once and adds up what lies in it, by place.
private struct BlockCount {
    private let root: String
    /// Log files of containers, and those that were rotated, begin with one of these.
    private let logs: Set<String>
    private var seen: Set<UInt64> = []
    private var sums: [String: (files: Int, bytes: Int64)] = [:]

    init(root: String, logs: [String]) {
        self.root = root
        self.logs = Set(logs)
    }

    /// Places in the order in which they are told, and the paths of each under the root. The last one is the rest.
    private static let places: [(name: String, path: String)] = [
        ("layers", "layers"), ("skeletons", "layers/*/skeleton"), ("content", "blobs"), ("in progress", "tmp"), ("set aside", "damaged"),
        ("writable layers", "containers/*/upper"), ("logs", "containers/*/*.log*"), ("container files", "containers"),
        ("volumes", "volumes"), ("build cache", "builder"), ("records", "clipper.db*"), ("other", ""),
    ]

    var lines: [SystemUsage] {
        Self.places.compactMap { name, path in
            guard let sum = sums[name] else { return nil }
            return SystemUsage(Place: name, Path: path.isEmpty ? root : "\(root)/\(path)", Files: sum.files, Size: sum.bytes)
        }
    }

    mutating func run() throws {
        let directory = try OwnedFD.open(root, O_RDONLY | O_DIRECTORY)
        add(try directory.status(), to: "other")
        try walk(directory, components: [])
    }

    private func place(of components: [String]) -> String {
        switch components[0] {
        case "layers": return components.count == 3 && components[2] == "skeleton" ? "skeletons" : "layers"
        case "blobs": return "content"
        case "tmp": return "in progress"
        case "damaged": return "set aside"
        case "volumes": return "volumes"
        case "builder": return "build cache"
        case "containers":
            if components.count > 2, components[2] == "upper" { return "writable layers" }
            if components.count == 3, logs.contains(where: { "\(root)/\(components.joined(separator: "/"))".hasPrefix($0) }) {
                return "logs"
            }
            return "container files"
        default: return components[0].hasPrefix("clipper.db") ? "records" : "other"
        }
    }

    private mutating func walk(_ directory: borrowing OwnedFD, components: [String]) throws {
        for name in try Files.rawNames(try directory.openAt(".", O_RDONLY | O_DIRECTORY)) {
            var status = stat()
            // What goes away meanwhile takes nothing.
            guard fstatat(directory.raw, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            // Below a place everything belongs to it: only the first three names matter.
            let text = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let path = components.count < 3 ? components + [text] : components
            add(status, to: place(of: path))
            guard status.st_mode & S_IFMT == S_IFDIR else { continue }
            let child = clp_openat(directory.raw, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0)
            if child >= 0 { try walk(OwnedFD(owning: child), components: path) }
        }
    }

    private mutating func add(_ status: stat, to place: String) {
        if status.st_nlink > 1 && status.st_mode & S_IFMT != S_IFDIR && !seen.insert(UInt64(status.st_ino)).inserted { return }
        let sum = sums[place] ?? (0, 0)
        sums[place] = (sum.files + 1, sum.bytes + Int64(status.st_blocks) * 512)
    }
}
