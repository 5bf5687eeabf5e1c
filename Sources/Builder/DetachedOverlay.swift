internal import CLinux
internal import Glibc
public import Linux

/// An overlay file system that no mount table shows: made with fsopen(2) and fsmount(2), reached through a
/// descriptor, gone when the descriptor is closed, even when the process is killed. The file steps of a build (COPY, ADD,
/// WORKDIR) work in one, so that symbolic links across layers resolve as a container would see them.
public enum DetachedOverlay {
    /// Mounts `layers` (directories, top first, at least one) read-only below `upper` and returns the root directory, an O_PATH descriptor.
    ///
    /// `work` must be an empty directory on the file system of `upper`. Needs CAP_SYS_ADMIN and Linux 5.10.
    /// The mount is volatile: nothing is flushed when it goes away. Whoever keeps `upper` makes it durable.
    /// `redirect_dir` and `metacopy` are off, so that `upper` by itself is a layer in OCI's sense.
    public static func open(layers: [String], upper: String, work: String) throws(SystemError) -> OwnedFD {
        do { return try open(layers: layers, upper: upper, work: work, oneByOne: true) } catch {
            // Linux before 6.7 doesn't know `lowerdir+`.
            if error.code != EINVAL { throw error }
        }
        return try openWithShortNames(layers: layers, upper: upper, work: work)
    }

    /// The way of Linux before 6.7: all layers in one option of at most 255 bytes, so each by its descriptor's number alone,
    /// relative to a working directory that only this thread has. Room for 63 layers with numbers of three digits.
    static func openWithShortNames(layers: [String], upper: String, work: String) throws(SystemError) -> OwnedFD {
        let task = ThreadTask {
            // A thread of its own ends afterwards: its working directory is nobody else's.
            do throws(SystemError) {
                _ = try retrying("unshare", "working directory") { unshare(CLONE_FS) }
                _ = try retrying("enter", "/proc/self/fd") { chdir("/proc/self/fd") }
                return .success(try open(layers: layers, upper: upper, work: work, oneByOne: false).take())
            } catch { return .failure(error) }
        }
        return OwnedFD(owning: try task.run().get())
    }

    /// Calls `body` with the root directory of the merged file system and takes the overlay away again.
    public static func withRootfs<Result>(
        layers: [String], upper: String, work: String, _ body: (borrowing OwnedFD) throws -> Result
    ) throws -> Result {
        let mount = try open(layers: layers, upper: upper, work: work)
        // fsmount's descriptor is O_PATH: open the root itself for reading, as callers list it.
        let root = try mount.openAt(".", O_RDONLY | O_DIRECTORY)
        return try body(root)
    }

    /// `oneByOne` gives each layer by itself; otherwise all stand in one option, as older kernels want it.
    static func open(layers: [String], upper: String, work: String, oneByOne: Bool) throws(SystemError) -> OwnedFD {
        let context = OwnedFD(owning: try retrying("open file system context", "overlay") { clp_overlay_fsopen("overlay") })
        // A string value of fsconfig(2) is limited to 255 bytes; the kernel's name of an open directory never is longer.
        var opened: [Int32] = []
        defer { for number in opened { _ = close(number) } }
        for layer in layers { opened.append(try OwnedFD.open(layer, O_PATH | O_DIRECTORY).take()) }
        if oneByOne {
            for number in opened { try set(context, "lowerdir+", "/proc/self/fd/\(number)") }
        } else {
            let value = opened.map(String.init).joined(separator: ":")
            guard value.utf8.count < 256 else { throw SystemError("set overlay option lowerdir", "of \(layers.count) layers", code: E2BIG) }
            try set(context, "lowerdir", value)
        }
        let upperDirectory = try OwnedFD.open(upper, O_PATH | O_DIRECTORY)
        let workDirectory = try OwnedFD.open(work, O_PATH | O_DIRECTORY)
        try set(context, "upperdir", upperDirectory.procPath)
        try set(context, "workdir", workDirectory.procPath)
        for (key, value) in [("redirect_dir", "off"), ("metacopy", "off"), ("index", "off"), ("xino", "off")] {
            try set(context, key, value)
        }
        _ = try retrying("set overlay option", "volatile") { clp_overlay_set_flag(context.raw, "volatile") }
        _ = try retrying("create overlay on", upper) { clp_overlay_create(context.raw) }
        return OwnedFD(owning: try retrying("mount overlay on", upper) { clp_overlay_fsmount(context.raw) })
    }

    private static func set(_ context: borrowing OwnedFD, _ key: String, _ value: String) throws(SystemError) {
        let number = context.raw
        _ = try retrying("set overlay option \(key)", value) { clp_overlay_set_string(number, key, value) }
    }
}

/// Something that is done on a thread made for it.
private final class ThreadTask {
    private let body: () -> Result<Int32, SystemError>
    private var result: Result<Int32, SystemError> = .failure(SystemError("start thread", code: EAGAIN))

    init(_ body: @escaping () -> Result<Int32, SystemError>) { self.body = body }

    /// Waits for the thread's end.
    func run() -> Result<Int32, SystemError> {
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, nil,
            { argument in
                // Retained by `run`, which waits.
                guard let argument else { return nil }
                let task = Unmanaged<ThreadTask>.fromOpaque(argument).takeUnretainedValue()
                task.result = task.body()
                return nil
            }, argument.toOpaque())
        defer { argument.release() }
        if code != 0 { return .failure(SystemError("start thread", code: code)) }
        pthread_join(thread, nil)
        return result
    }
}
