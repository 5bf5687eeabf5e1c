internal import CLinux
internal import Glibc
internal import Linux

/// Open descriptors of the directories from a root down to where work goes on: neighbours in an archive mostly share
/// them, so that an entry costs no walk of its path.
///
/// A walk never follows a symbolic link by itself: where one stands in the way, the kernel resolves it inside the root
/// (openat2(2), RESOLVE_IN_ROOT).
struct DirectoryStack: ~Copyable {
    /// Deeper trees are refused: each level costs a descriptor.
    static let maximumDepth = 256

    /// The root of all resolution, and the directory in it where paths begin.
    private let root: OwnedFD
    private let base: OwnedFD
    private let basePath: [UInt8]
    private var names: [[UInt8]] = []
    private var descriptors: [Int32] = []

    init(root: consuming OwnedFD, destination: String) throws {
        base = try root.openInRoot(destination.isEmpty ? "/" : destination, O_RDONLY | O_DIRECTORY)
        basePath = Array(destination.utf8)
        self.root = root
    }

    deinit { for descriptor in descriptors { _ = close(descriptor) } }

    var baseDescriptor: Int32 { base.raw }

    /// The directory of these components, open for reading; valid until the next call. Missing ones are made when asked.
    mutating func descriptor(of components: ArraySlice<[UInt8]>, makingMissing: Bool) throws -> Int32 {
        if components.count > Self.maximumDepth {
            throw ArchiveError(.refused, "directories nested deeper than \(Self.maximumDepth) in archive")
        }
        var shared = 0
        while shared < min(names.count, components.count), names[shared] == components[components.startIndex + shared] { shared += 1 }
        while descriptors.count > shared {
            _ = close(descriptors.removeLast())
            names.removeLast()
        }
        for name in components[(components.startIndex + shared)...] {
            let child = try open(name, in: descriptors.last ?? base.raw, makingMissing: makingMissing)
            descriptors.append(child)
            names.append(name)
        }
        return descriptors.last ?? base.raw
    }

    private func open(_ name: [UInt8], in parent: Int32, makingMissing: Bool) throws -> Int32 {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        while true {
            let child = PathBytes.withCString(name) { clp_openat(parent, $0, flags, 0) }
            if child >= 0 { return child }
            let path = names + [name]
            switch errno {
            case EINTR: continue
            case ENOENT where makingMissing:
                if PathBytes.withCString(name, { mkdirat(parent, $0, 0o755) }) != 0 && errno != EEXIST {
                    throw SystemError("create directory", PathBytes.text(PathBytes.joined(path)))
                }
            case ELOOP, ENOTDIR: return try resolve(path)
            default: throw SystemError("open directory", PathBytes.text(PathBytes.joined(path)))
            }
        }
    }

    private func resolve(_ path: [[UInt8]]) throws -> Int32 {
        let full = PathBytes.text(basePath + [PathBytes.slash] + PathBytes.joined(path))
        do { return try root.openInRoot(full, O_RDONLY | O_DIRECTORY).take() } catch {
            throw SystemError("open directory", PathBytes.text(PathBytes.joined(path)), code: error.code)
        }
    }
}
