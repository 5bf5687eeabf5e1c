internal import CLinux
internal import Glibc

/// Starting another program with a clean slate.
public enum ChildProcess {
    /// The environment of a program that needs none of ours.
    public static let plainEnvironment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]

    /// posix_spawn(3) with default signal actions and nothing blocked. `standard` are descriptors for 0, 1 and 2; -1 is /dev/null.
    /// A program without a slash is looked for in this process's PATH.
    public static func spawn(_ arguments: [String], standard: [Int32], environment: [String] = plainEnvironment) throws(SystemError)
        -> Int32
    {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        for (number, descriptor) in standard.enumerated() {
            if descriptor < 0 {
                posix_spawn_file_actions_addopen(&actions, Int32(number), "/dev/null", number == 0 ? O_RDONLY : O_WRONLY, 0)
            } else {
                posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
            }
        }
        var all = sigset_t()
        var none = sigset_t()
        sigfillset(&all)
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        var pid: pid_t = 0
        let code = withCStrings(arguments) { argv in
            withCStrings(environment) { posix_spawnp(&pid, arguments[0], &actions, &attributes, argv, $0) }
        }
        if code != 0 { throw SystemError("start", arguments[0], code: code) }
        return pid
    }

    /// waitpid(2) until the program has ended: its exit code, or 128 and the number of the signal that ended it.
    public static func wait(for pid: Int32) throws(SystemError) -> Int32 {
        var status: Int32 = 0
        _ = try retrying("wait for", "process \(pid)") { waitpid(pid, &status, 0) }
        let signal = status & 0x7f
        return signal == 0 ? status >> 8 & 0xff : 128 + signal
    }

    private static func withCStrings<Result>(_ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result) -> Result {
        let pointers = texts.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers + [nil])
    }
}
