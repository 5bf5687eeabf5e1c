internal import Archive
internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import ShimProtocol

/// `clipper-runtime rootfs`: one piece of work inside the root filesystem of a container or an image.
///
/// The overlay of a stopped container is a detached mount, so nothing is ever seen on the host and nothing is left.
public enum RootfsHelper {
    /// Does the one job that the frame on descriptor 3 asks for, and answers there. Returns the exit status.
    public static func run(_ arguments: [String]) -> Int32 {
        clp_ignore_signal(SIGPIPE)
        umask(0)
        let control = OwnedFD(owning: ShimWire.controlDescriptor)
        _ = clp_fcntl(ShimWire.controlDescriptor, F_SETFD, Int(FD_CLOEXEC))
        let answer: RootfsAnswer
        do throws(ShimFailure) {
            let request = try request(control)
            answer = try perform(request) { if request.tellsOpening { say(.opened, control) } }
        } catch { answer = .failure(error) }
        say(answer, control)
        if case .failure(let failure) = answer {
            ShimLog.write("rootfs: \(failure)")
            return 1
        }
        return 0
    }

    private static func say(_ answer: RootfsAnswer, _ control: borrowing OwnedFD) {
        do { try control.writeAll(ShimWire.frame(answer.json)) } catch { ShimLog.write("rootfs: \(error)") }
    }

    private static func request(_ control: borrowing OwnedFD) throws(ShimFailure) -> RootfsRequest {
        var reader = FrameReader()
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            if let frame = try reader.next() { return try RootfsRequest(frame) }
            guard let count = try? control.read(into: &chunk), count > 0 else {
                throw ShimFailure(.invalidRequest, "rootfs: started by clipperd, not by hand: expected a request on descriptor 3")
            }
            reader.append(chunk[..<count])
        }
    }

    /// - Parameter opened: called when the root is there, before the work.
    private static func perform(_ request: RootfsRequest, _ opened: () -> Void) throws(ShimFailure) -> RootfsAnswer {
        do {
            let root = try open(request)
            opened()
            switch request.operation {
            case .stat(let path): return .status(try RootfsPath(path).status(in: root))
            case .archiveOut(let path): try archiveOut(path, root)
            case .archiveIn(let path, let keepsDirectories, let owner): try archiveIn(path, root, keepsDirectories, owner)
            case .export: try export(root)
            case .copyUp(let path, let destination): try CopyUp.run(path, in: root, to: destination)
            case .buildCopy(let path): try buildCopy(path, root)
            }
            return .done
        } catch { throw ShimFailure(rootfs: error) }
    }

    // MARK: The root

    private static func open(_ request: RootfsRequest) throws -> OwnedFD {
        switch request.target {
        case .overlay(let overlay):
            guard let place = overlay.upper else { return try reopened(try OverlayMount.make(overlay)) }
            if request.mounts.isEmpty {
                // On the disk the files have the container's own ids.
                var plain = overlay
                plain.mappedRoot = nil
                return try reopened(try OverlayMount.make(plain))
            }
            return try MountSources.mount(request.mounts, in: try OverlayMount.make(overlay), at: place, as: overlay.mappedRoot)
        case .directory(let path): return try OwnedFD.open(path, O_RDONLY | O_DIRECTORY)
        case .process(let pid, let startTime):
            let hasEnded = ShimFailure(.ended, "container is not running")
            do {
                let root = try openRoot(of: pid, request.operation)
                // The owners that the container sees, and that it may have.
                try UserNamespace.joinOwner(ofProcessesOf: pid)
                // Asked after all is open: the number was its own then, and what is open is its root.
                guard ProcessStatus.snapshot(pid)?.startTime == startTime else { throw hasEnded }
                return root
            } catch let error as SystemError where [ENOENT, ESRCH].contains(error.code) {
                // A process that ends has no root any more before it is gone itself.
                throw hasEnded
            }
        }
    }

    private static func openRoot(of pid: Int32, _ operation: RootfsRequest.Operation) throws -> OwnedFD {
        if case .export = operation { return try rootMount(of: pid) }
        // Its mounts included: volumes are part of what `cp` sees. They stay together until this process ends, though the container may
        // end before.
        _ = try OwnedFD.open("/proc/\(pid)/ns/mnt").take()
        return try OwnedFD.open("/proc/\(pid)/root", O_RDONLY | O_DIRECTORY)
    }

    /// A mount's descriptor is a path only; directories are read through one that is open for reading. It keeps the
    /// mount in being.
    private static func reopened(_ tree: consuming OwnedFD) throws -> OwnedFD { try tree.openAt(".", O_RDONLY | O_DIRECTORY) }

    /// The root filesystem of a running container without what is mounted in it.
    private static func rootMount(of pid: Int32) throws -> OwnedFD { try reopened(try NamespaceMounts.copy("/", of: pid)) }

    // MARK: Archives

    private static func archiveOut(_ text: String, _ root: borrowing OwnedFD) throws {
        let path = RootfsPath(text)
        let writer = TarWriter(FileSink(1))
        var options = TreeArchiver.Options()
        options.leavesOutKernelFiles = true
        guard let name = path.last, !path.namesContent else {
            // `/`, or `dir/.`: the content, under the name `.`.
            let directory = try root.openInRoot(path.resolvable, O_RDONLY | O_DIRECTORY)
            options.prefix = Array("./".utf8)
            _ = try TreeArchiver(options: options).archive(directory, to: writer)
            return try writer.finish()
        }
        if path.followsLast {
            let place = try RootfsPath(path.resolved(in: root))
            guard let real = place.last else { throw SystemError("open", text, code: ENOENT) }
            let parent = try root.openInRoot(place.parent, O_RDONLY | O_DIRECTORY)
            _ = try TreeArchiver(options: options).archive(real, in: parent, as: name, to: writer)
        } else {
            let parent = try root.openInRoot(path.parent, O_RDONLY | O_DIRECTORY)
            _ = try TreeArchiver(options: options).archive(name, in: parent, as: name, to: writer)
        }
        try writer.finish()
    }

    private static func archiveIn(_ path: String, _ root: borrowing OwnedFD, _ keepsDirectories: Bool, _ owner: RootfsRequest.Owner?) throws
    {
        var options = TreeExtractor.Options()
        options.destination = path
        options.keepsDirectories = keepsDirectories
        options.owner = owner.map { Owner(uid: $0.uid, gid: $0.gid) }
        let status = try root.openInRoot(path, O_PATH).status()
        guard status.st_mode & S_IFMT == S_IFDIR else { throw ShimFailure(.invalidRequest, "extraction point is not a directory") }
        _ = try TreeExtractor(root: root, options: options).extract(TarReader(FileSource(0)))
    }

    private static func buildCopy(_ path: String, _ root: borrowing OwnedFD) throws {
        let prefix = path.split(separator: "/").filter { $0 != "." }
        if prefix.contains("..") { throw ShimFailure(.invalidRequest, "\(path): .. in a destination") }
        let head = prefix.isEmpty ? [] : Array((prefix.joined(separator: "/") + "/").utf8)
        var options = TreeExtractor.Options()
        options.rename = { head + $0 }
        _ = try TreeExtractor(root: root, options: options).extract(TarReader(FileSource(0)))
    }

    private static func export(_ root: borrowing OwnedFD) throws {
        let writer = TarWriter(FileSink(1))
        _ = try TreeArchiver().archive(root, to: writer)
        try writer.finish()
    }
}

extension ShimFailure {
    /// Any error of the helper's work as one of these.
    init(rootfs error: any Error) {
        switch error {
        case let failure as ShimFailure: self = failure
        case let error as SystemError:
            let kind: ShimFailure.Kind =
                switch error.code {
                case ENOENT, ENOTDIR, ESRCH: .notFound
                case EACCES, EPERM, EROFS: .permission
                default: .rootfs
                }
            self.init(kind, error.description)
        case let error as ArchiveError: self.init(error.code == .unsupported ? .unsupported : .invalidRequest, error.message)
        default: self.init(.rootfs, "\(error)")
        }
    }
}
