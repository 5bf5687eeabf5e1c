internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

extension RootFilesystem {
    /// Writes the kernel parameters through the container's own procfs, before /proc/sys becomes read-only.
    func setSysctls(_ plan: ContainerPlan) throws {
        if plan.spec.linux.sysctl.isEmpty { return }
        let procfs = try Procfs(proving: try root.openInRootWithoutLinks("/proc", O_PATH | O_DIRECTORY))
        for (key, value) in plan.spec.linux.sysctl.sorted(by: { $0.key < $1.key }) {
            do throws(SystemError) { try procfs.write(value, to: "sys/\(Sysctl.path(key))") } catch {
                throw SystemError("set sysctl", "\(key)=\(value)", code: error.code)
            }
        }
    }

    /// Binds each path read-only over itself, with everything below it. A path that is not there needs nothing.
    func makeReadOnly(_ paths: [String]) throws {
        for path in paths {
            guard let target = try open(path) else { continue }
            let tree = try Mounts.clone(target, name: path, recursive: true)
            try Mounts.setAttributes(tree, name: path, set: UInt64(MOUNT_ATTR_RDONLY))
            try Mounts.attach(tree, to: target, name: path)
        }
    }

    /// Hides files behind /dev/null and directories behind one empty read-only tmpfs that all of them share.
    func mask(_ paths: [String], label: String?) throws {
        var empty: OwnedFD?
        var null: OwnedFD?
        var seen = Set<String>()
        for path in paths where seen.insert(path).inserted {
            guard let target = try open(path) else { continue }
            let isDirectory = try target.status().st_mode & S_IFMT == S_IFDIR
            if isDirectory {
                if empty == nil { empty = try Mounts.emptyTmpfs(context: label) }
                do { try cover(target, with: empty, path) } catch let error as SystemError where error.code == EINVAL {
                    // Before Linux 6.15 a mount that is attached nowhere cannot be cloned: one tmpfs for each path.
                    try Mounts.attach(try Mounts.emptyTmpfs(context: label), to: target, name: path)
                }
            } else {
                if null == nil { null = try openNull() }
                try cover(target, with: null, path)
            }
        }
    }

    private func cover(_ target: borrowing OwnedFD, with cover: borrowing OwnedFD?, _ path: String) throws {
        switch cover {
        case .some(let cover):
            let tree = try Mounts.clone(cover, name: "mask of \(path)")
            try Mounts.attach(tree, to: target, name: path)
        case .none: throw SystemError("mask", path, code: EINVAL)
        }
    }

    /// The container's /dev/null, if it really is the null device: an image's file in its place would make every masked
    /// path writable (CVE-2025-31133).
    private func openNull() throws -> OwnedFD {
        let null = try root.openInRootWithoutLinks("/dev/null", O_PATH)
        let status = try null.status()
        guard status.st_mode & S_IFMT == S_IFCHR, status.st_rdev == clp_makedev(1, 3) else {
            throw SystemError("mask paths: /dev/null is not the null device", code: ENODEV)
        }
        return null
    }

    private func open(_ path: String) throws(SystemError) -> OwnedFD? {
        do throws(SystemError) { return try root.openInRoot(path, O_PATH) } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return nil }
            throw error
        }
    }
}
