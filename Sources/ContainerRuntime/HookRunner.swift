internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// Runs hooks one after the other, the container's state on their standard input.
enum HookRunner {
    /// Throws at the first hook that fails, with the end of what it wrote. `directory`, the bundle, is where the hooks of
    /// the runtime's namespace start (as under runc); nil leaves them where this process is.
    static func run(_ hooks: [Spec.Hook], _ point: Spec.HookPoint, state: [UInt8], in directory: String? = nil) throws(RuntimeError) {
        for (index, hook) in hooks.enumerated() { try run(hook, index, point, state, directory) }
    }

    /// Runs all, whatever fails; answers what did.
    static func runAll(_ hooks: [Spec.Hook], _ point: Spec.HookPoint, state: [UInt8], in directory: String) -> [RuntimeError] {
        hooks.enumerated().compactMap { index, hook in
            do throws(RuntimeError) { try run(hook, index, point, state, directory) } catch { return error }
            return nil
        }
    }

    private static func run(
        _ hook: Spec.Hook, _ index: Int, _ point: Spec.HookPoint, _ state: [UInt8], _ directory: String?
    ) throws(RuntimeError) {
        do { try run(hook, state, directory) } catch {
            throw RuntimeError(kind: .hook, message: "error running \(point.rawValue) hook #\(index): \(hook.path): \(error)")
        }
    }

    private static func run(_ hook: Spec.Hook, _ state: [UInt8], _ directory: String?) throws {
        // Files in memory: a hook that reads nothing or writes much cannot block us.
        let input = OwnedFD(owning: try retrying("create file in memory") { clp_memfd_create("state", UInt32(MFD_CLOEXEC)) })
        try input.writeAll(state)
        lseek(input.raw, 0, SEEK_SET)
        let output = OwnedFD(owning: try retrying("create file in memory") { clp_memfd_create("output", UInt32(MFD_CLOEXEC)) })
        let inputNumber = input.raw
        let outputNumber = output.raw
        let child = try ClonedProcess.clone(namespaces: 0) {
            clp_reset_signals()
            ForeignProgram.takeLimits()
            guard dup2(inputNumber, 0) == 0, dup2(outputNumber, 1) == 1, dup2(outputNumber, 2) == 2 else { return 127 }
            _ = clp_close_range(3, UInt32.max, UInt32(CLOSE_RANGE_CLOEXEC))
            // A bundle that has gone by the time of the last hooks is no reason not to run them.
            if let directory { _ = chdir(directory) }
            return Program.withCStrings(hook.args.isEmpty ? [hook.path] : hook.args) { argv in
                Program.withCStrings(hook.env) { envp in
                    execve(hook.path, argv, envp)
                    let reason = SystemError.text(of: errno)
                    _ = reason.withCString { write(2, $0, strlen($0)) }
                    return 127
                }
            }
        }
        try wait(child, hook, output)
    }

    private static func wait(_ child: borrowing ClonedProcess, _ hook: Spec.Hook, _ output: borrowing OwnedFD) throws {
        if let timeout = hook.timeout {
            var watched = pollfd(fd: child.pidfd.raw, events: Int16(POLLIN), revents: 0)
            let milliseconds = Int32(clamping: timeout.multipliedReportingOverflow(by: 1000).partialValue)
            let ready = try retrying("wait for hook") { poll(&watched, 1, milliseconds) }
            if ready == 0 {
                child.killAndReap()
                throw RuntimeError(kind: .hook, message: "still running after \(timeout) s, killed")
            }
        }
        let ending = try ProcessStatus.ending(child.pid)
        if ending == .exited(0) { return }
        lseek(output.raw, 0, SEEK_SET)
        let text = String(decoding: (try? output.readAll(limit: 1 << 16))?.suffix(1024) ?? [], as: UTF8.self)
        let words = text.split(whereSeparator: \.isNewline).joined(separator: "; ")
        throw RuntimeError(kind: .hook, message: "\(ending)\(words.isEmpty ? "" : ": \(words)")")
    }
}
