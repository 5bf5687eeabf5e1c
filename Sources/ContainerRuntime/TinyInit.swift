internal import CLinux
internal import Glibc
internal import Linux

/// The container's pid 1 for `--init`: starts the program, hands signals on to it, reaps every orphan, and ends with
/// the program's exit code. Needs /proc in the container (a static Swift program looks itself up there).
public enum TinyInit {
    /// `arguments` are the program and its arguments, after an optional `--`.
    public static func run(_ arguments: [String]) -> Int32 {
        let command = arguments.first == "--" ? Array(arguments.dropFirst()) : arguments
        guard !command.isEmpty else { return report("init: no command given", 127) }
        var all = sigset_t()
        sigfillset(&all)
        // What the kernel sends to a broken program itself must stay deliverable.
        for number in [SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU] { sigdelset(&all, number) }
        sigprocmask(SIG_BLOCK, &all, nil)
        // Not clone3: a container's seccomp profile usually answers it with ENOSYS, and the C library's fork knows the way around.
        let child = clp_fork()
        if child == 0 { _exit(becomeProgram(command)) }
        if child < 0 { return report("\(SystemError("init: fork"))", 1) }
        return serve(child, all)
    }

    /// In the child; returns only the exit code of a failure.
    private static func becomeProgram(_ command: [String]) -> Int32 {
        clp_reset_signals()
        // A group of its own, in the foreground of the terminal if there is one.
        setpgid(0, 0)
        tcsetpgrp(0, getpid())
        return Program.withCStrings(command) { argv in
            execvp(command[0], argv)
            let code = errno
            return report("exec: \"\(command[0])\": \(SystemError.text(of: code))", code == ENOENT ? 127 : 126)
        }
    }

    private static func serve(_ child: Int32, _ signals: sigset_t) -> Int32 {
        var signals = signals
        while true {
            var number: Int32 = 0
            if sigwait(&signals, &number) != 0 { continue }
            if number != SIGCHLD {
                _ = kill(-child, number) == 0 ? 0 : kill(child, number)
                continue
            }
            var status: Int32 = 0
            while true {
                let pid = waitpid(-1, &status, WNOHANG)
                if pid == child { return ProcessStatus.exitCode(status) }
                if pid <= 0 { break }
            }
        }
    }

    private static func report(_ text: String, _ code: Int32) -> Int32 {
        let line = Array("\(text)\n".utf8)
        _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
        return code
    }
}
