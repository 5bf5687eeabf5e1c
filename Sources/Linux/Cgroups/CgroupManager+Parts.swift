extension CgroupManager {
    /// The cgroups of the container that a process is to enter, by controller (`cpu`, `name=systemd`, `unified`) or, with
    /// the empty name, in all hierarchies; a path that is not given is the container's own. Made by somebody before;
    /// a path that leads out of the container's cgroup is refused.
    public func part(_ paths: [String: String]) throws -> CgroupManager {
        var rest = Set(paths.keys)
        let parts = try directories.map { directory in
            let names = directory.isUnified ? [""] + directory.controllers + ["unified"] : [""] + directory.controllers
            rest.subtract(names)
            guard let path = names.compactMap({ paths[$0] }).first else { return directory }
            let components = path.split(separator: "/").filter { $0 != "." }
            if components.contains("..") || path.utf8.contains(0) {
                throw CgroupError.invalid(
                    setting: "--cgroup", reason: "bad sub cgroup path \(path.debugDescription): not below the container's cgroup")
            }
            let part = CgroupDirectory(
                mountPoint: directory.mountPoint, relative: ([directory.relative[...]] + components).joined(separator: "/"),
                controllers: directory.controllers, isUnified: directory.isUnified)
            if !Files.isDirectory(part.path) { throw SystemError("enter cgroup", part.path, code: 2) }
            return part
        }
        if let unknown = rest.sorted().first {
            throw CgroupError.controllerMissing(controller: unknown, setting: "--cgroup")
        }
        return CgroupManager(layout: layout, path: path, directories: parts)
    }
}
