internal import CLinux
internal import ContainerRuntime
internal import Glibc
internal import Linux

/// One run of an external runtime's command, which may hang: the shim has one thread and nothing else goes on meanwhile.
struct RuntimeProcess {
    private let pid: Int32

    /// Starts a program with default signal actions and nothing blocked. `standard` are descriptors for 0, 1 and 2; -1 is /dev/null.
    ///
    /// Not with posix_spawn(3): glibc's leaves its own two signals ignored, and a runtime hands that on to the container.
    init(_ arguments: [String], standard: [Int32]) throws(SystemError) {
        let report = try OwnedFD.pipe()
        let number = report.writing.raw
        let child = try ClonedProcess.clone(namespaces: 0) {
            clp_reset_signals()
            ForeignProgram.takeLimits()
            guard Self.place(standard) else { return Self.tell(errno, number) }
            return Self.withCStrings(arguments) { argv in
                Self.withCStrings(ChildProcess.plainEnvironment) { environment in
                    execve(arguments[0], argv, environment)
                    return Self.tell(errno, number)
                }
            }
        }
        pid = child.pid
        // The pipe ends with execve, or says why there was none.
        var ends = report
        ends.writing = try OwnedFD.open("/dev/null")
        let code = try ends.reading.readAll(limit: 4)
        guard code.isEmpty else {
            _ = try ProcessStatus.reap(pid)
            throw SystemError("start", arguments[0], code: code.first.map(Int32.init) ?? EIO)
        }
    }

    /// In the child. Copies first: one of them may sit in another's place.
    private static func place(_ standard: [Int32]) -> Bool {
        var copies: [Int32] = []
        for (number, descriptor) in standard.enumerated() {
            let opened = descriptor < 0 ? clp_open("/dev/null", number == 0 ? O_RDONLY : O_WRONLY, 0) : descriptor
            let copy = clp_fcntl(opened, F_DUPFD_CLOEXEC, 10)
            if copy < 0 { return false }
            copies.append(copy)
        }
        for (number, copy) in copies.enumerated() where dup2(copy, Int32(number)) < 0 { return false }
        return true
    }

    /// The child's last word: error numbers fit into a byte.
    private static func tell(_ code: Int32, _ pipe: Int32) -> Int32 {
        var byte = UInt8(truncatingIfNeeded: code)
        _ = write(pipe, &byte, 1)
        return 127
    }

    private static func withCStrings<Result>(_ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result) -> Result {
        let pointers = texts.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers + [nil])
    }

    /// Its exit code, as a shell has it; nil when it did not end in time and was killed, with all that it had started. 0 seconds
    /// wait as long as it takes.
    func wait(seconds: UInt32) throws(SystemError) -> Int32? {
        let isInTime = seconds == 0 ? true : try ends(within: seconds)
        if !isInTime {
            for process in Self.tree(pid) { _ = kill(process, SIGKILL) }
        }
        let status = try ProcessStatus.reap(pid)
        return isInTime ? status : nil
    }

    private func ends(within seconds: UInt32) throws(SystemError) -> Bool {
        let handle = OwnedFD(owning: try retrying("watch process", "\(pid)") { clp_pidfd_open(pid, 0) })
        let deadline = Self.now() + Int64(seconds) * 1000
        while true {
            var watched = pollfd(fd: handle.raw, events: Int16(POLLIN), revents: 0)
            let rest = deadline - Self.now()
            if rest <= 0 { return false }
            let ready = poll(&watched, 1, Int32(clamping: rest))
            if ready > 0 { return true }
            if ready < 0 && errno != EINTR { throw SystemError("wait for process", "\(pid)") }
        }
    }

    /// Milliseconds of the clock that nobody sets.
    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// The process and all below it, itself first: stopped before its children can be handed on.
    private static func tree(_ pid: Int32) -> [Int32] {
        var found = [pid]
        var index = 0
        while index < found.count {
            _ = kill(found[index], SIGSTOP)
            let children = (try? Files.readText("/proc/\(found[index])/task/\(found[index])/children")) ?? ""
            found += children.split(separator: " ").compactMap { Int32($0) }
            index += 1
        }
        return found
    }
}
