internal import CLinux
internal import Glibc

/// A container's cgroup in all hierarchies of the host: made with `create`, found again with `open`.
///
/// `path` is relative to each hierarchy's mount root (`/clipper/<id>`); nothing outside it is changed, except that
/// on v2 the controllers are switched on in the ancestors' `cgroup.subtree_control`.
public struct CgroupManager: Sendable {
    public let layout: CgroupLayout
    /// As OCI's `cgroupsPath`, absolute below each mount root.
    public let path: String
    let directories: [CgroupDirectory]

    init(layout: CgroupLayout, path: String, directories: [CgroupDirectory]) {
        self.layout = layout
        self.path = path
        self.directories = directories
    }

    /// Makes the cgroup in every mounted hierarchy and applies the limits. A cgroup that exists and is empty is taken
    /// over; one with processes in it, other than `expecting`, is refused. On any failure what was made is removed again.
    ///
    /// Throws `CgroupError` and `SystemError`.
    public static func create(path: String, resources: CgroupResources, layout: CgroupLayout? = nil, expecting: Int32? = nil) throws
        -> CgroupManager
    {
        let layout = try layout ?? CgroupLayout.detect()
        let manager = CgroupManager(layout: layout, path: try validated(path), everywhereIn: layout)
        var made: [CgroupDirectory] = []
        do {
            for directory in manager.directories {
                if try directory.make(expecting: expecting) { made.append(directory) }
            }
            // One that was left behind frozen would hold whoever enters it.
            if made.count < manager.directories.count && manager.isFrozen { try manager.thaw() }
            try manager.enableUnifiedControllers(for: resources)
            try manager.apply(resources)
            return manager
        } catch {
            for directory in made { _ = rmdir(directory.path) }
            throw error
        }
    }

    /// Finds an existing cgroup: in those hierarchies where its directory is. Throws ENOENT when it is in none.
    public static func open(path: String, layout: CgroupLayout? = nil) throws -> CgroupManager {
        let everywhere = try named(path, layout: layout)
        let existing = everywhere.directories.filter { Files.isDirectory($0.path) }
        if existing.isEmpty { throw SystemError("open cgroup", path, code: ENOENT) }
        return CgroupManager(layout: everywhere.layout, path: everywhere.path, directories: existing)
    }

    /// A cgroup by its name alone: its directories may be gone.
    public static func named(_ path: String, layout: CgroupLayout? = nil) throws -> CgroupManager {
        let layout = try layout ?? CgroupLayout.detect()
        return CgroupManager(layout: layout, path: try validated(path), everywhereIn: layout)
    }

    private init(layout: CgroupLayout, path: String, everywhereIn _: CgroupLayout) {
        self.init(
            layout: layout, path: path,
            directories: layout.hierarchies.map {
                CgroupDirectory(mountPoint: $0.mountPoint, relative: path, controllers: $0.controllers, isUnified: $0.isUnified)
            })
    }

    /// Absolute, without empty, `.` and `..` components; the systemd driver's `slice:prefix:name` is refused.
    static func validated(_ path: String) throws -> String {
        let components = path.split(separator: "/")
        if path.utf8.contains(0) || components.contains("..") {
            throw CgroupError.invalid(setting: "cgroupsPath", reason: "\(path.debugDescription) leaves its hierarchy")
        }
        if !path.hasPrefix("/") && path.split(separator: ":", omittingEmptySubsequences: false).count == 3 {
            throw CgroupError.notImplemented("systemd cgroup driver (cgroupsPath \(path))")
        }
        let kept = components.filter { $0 != "." }
        if kept.isEmpty { throw CgroupError.invalid(setting: "cgroupsPath", reason: "it names the root of the hierarchy") }
        return "/" + kept.joined(separator: "/")
    }

    /// Controller (or `name=systemd`, or `unified`) → directory, for the state file.
    public var paths: [String: String] {
        var result: [String: String] = [:]
        for directory in directories {
            if directory.isUnified {
                result["unified"] = directory.path
            } else {
                directory.controllers.forEach { result[$0] = directory.path }
            }
        }
        return result
    }

    /// The cgroup2 directory, on pure v2 and hybrid hosts.
    var unified: CgroupDirectory? { directories.first(where: \.isUnified) }

    /// The directory that carries a controller.
    func directory(of controller: String) -> CgroupDirectory? { directories.first { $0.controllers.contains(controller) } }
}
