internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

extension RootFilesystem {
    /// What every container finds in /dev (config-linux.md, "Default Devices").
    static let defaultDevices: [Spec.Device] = [
        .init(path: "/dev/null", kind: .character, major: 1, minor: 3), .init(path: "/dev/zero", kind: .character, major: 1, minor: 5),
        .init(path: "/dev/full", kind: .character, major: 1, minor: 7), .init(path: "/dev/random", kind: .character, major: 1, minor: 8),
        .init(path: "/dev/urandom", kind: .character, major: 1, minor: 9), .init(path: "/dev/tty", kind: .character, major: 5, minor: 0),
    ]

    /// Makes the default and the spec's devices, and the links of /dev.
    func makeDevices(_ plan: ContainerPlan) throws {
        // An image whose /dev is a symbolic link would have the nodes made elsewhere (CVE-2026-41579).
        let dev = try root.openInRootWithoutLinks("/dev", O_PATH | O_DIRECTORY)
        let before = clp_umask(0)
        defer { _ = clp_umask(before) }
        let own = Set(plan.spec.linux.devices.map(\.path))
        for device in Self.defaultDevices where !own.contains(device.path) {
            try make(device, in: dev, name: String(device.path.dropFirst(5)), bind: plan.namespaces.hasUser)
        }
        for device in plan.spec.linux.devices {
            let parent = try root.makeDirectoriesInRoot(Files.parent(of: device.path))
            try make(device, in: parent, name: String(device.path.split(separator: "/").last ?? ""), bind: plan.namespaces.hasUser)
        }
        try makeLinks(dev)
    }

    private func make(_ device: Spec.Device, in directory: borrowing OwnedFD, name: String, bind: Bool) throws {
        if bind && device.kind != .fifo { return try bindFromHost(device, in: directory, name: name) }
        let type: mode_t =
            switch device.kind {
            case .character: S_IFCHR
            case .block: S_IFBLK
            case .fifo: S_IFIFO
            }
        let mode = type | mode_t((device.fileMode ?? 0o666) & 0o7777)
        let number = device.kind == .fifo ? 0 : clp_makedev(device.major, device.minor)
        if mknodat(directory.raw, name, mode, number) != 0 {
            let code = errno
            if code == EPERM { return try bindFromHost(device, in: directory, name: name) }
            guard code == EEXIST else { throw SystemError("create device", device.path, code: code) }
            let existing = try directory.openAt(name, O_PATH | O_NOFOLLOW).status()
            guard existing.st_mode & S_IFMT == type, existing.st_rdev == number else {
                throw SystemError("create device", device.path, code: EEXIST)
            }
        }
        if device.uid != 0 || device.gid != 0 {
            try retrying("change owner of", device.path) {
                fchownat(directory.raw, name, device.uid, device.gid, AT_SYMLINK_NOFOLLOW)
            }
        }
    }

    /// In a user namespace no device can be made: the host's is bound there, if it is the same.
    private func bindFromHost(_ device: Spec.Device, in directory: borrowing OwnedFD, name: String) throws {
        let made = clp_openat(directory.raw, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        if made >= 0 { _ = close(made) } else if errno != EEXIST { throw SystemError("create file", device.path) }
        let tree = try Mounts.clone(device.path)
        let status = try tree.status()
        guard status.st_rdev == clp_makedev(device.major, device.minor) else {
            throw SystemError("bind device \(device.path): the host's is another one", code: ENODEV)
        }
        try Mounts.attach(tree, to: try directory.openAt(name, O_PATH | O_NOFOLLOW), name: device.path)
    }

    private func makeLinks(_ dev: borrowing OwnedFD) throws {
        var links = [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")]
        if Files.exists("/proc/kcore") { links.append(("core", "/proc/kcore")) }
        for (name, target) in links where symlinkat(target, dev.raw, name) != 0 && errno != EEXIST {
            throw SystemError("create link", "/dev/\(name)")
        }
        // The container's own pseudoterminals, not the image's idea of them.
        _ = unlinkat(dev.raw, "ptmx", 0)
        if symlinkat("pts/ptmx", dev.raw, "ptmx") != 0 { throw SystemError("create link", "/dev/ptmx") }
    }

    /// Opens a pseudoterminal in the container's devpts.
    func openTerminal() throws -> PseudoTerminal {
        try PseudoTerminal.open(ptmx: try root.openInRootWithoutLinks("/dev/pts/ptmx", O_RDWR | O_NOCTTY))
    }

    /// Shows a terminal's slave as /dev/console.
    func bindConsole(_ terminal: borrowing PseudoTerminal) throws {
        let dev = try root.openInRootWithoutLinks("/dev", O_PATH | O_DIRECTORY)
        let made = clp_openat(dev.raw, "console", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        if made >= 0 { _ = close(made) } else if errno != EEXIST { throw SystemError("create file", "/dev/console") }
        let console = try dev.openAt("console", O_PATH | O_NOFOLLOW)
        try Mounts.attach(try Mounts.clone(terminal.slave, name: "/dev/console"), to: console, name: "/dev/console")
    }
}
