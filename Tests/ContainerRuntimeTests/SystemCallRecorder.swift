import CLinux
import CSystemCalls
import Glibc

/// A kernel on paper: records what a piece of code asks of the kernel, in order and in words, and answers as if it were
/// done. Nothing is: files and mounts are stand-ins, so that a test needs no rights and changes nothing.
///
/// A path inside the root filesystem is a directory unless the test says otherwise; what lies below /proc stands on procfs.
final class SystemCallRecorder {
    /// Calls in words: `mount proc on /proc type proc`, `setresuid 33`.
    private(set) var calls: [String] = []
    /// Regular files inside the root filesystem.
    var files: Set<String> = []
    /// The host's file that is opened in a path's place, where the sort of file matters.
    var standIns: [String: String] = [:]
    /// Paths that are not there.
    var absent: Set<String> = []
    /// The capabilities that the bounding set holds at first: as this kernel, all.
    var lastCapability = 40
    /// What a call fails with, by the beginning of its words.
    var failures: [(call: String, code: Int32)] = []

    private var umask = 0o77
    /// What an open stand-in stands for, by descriptor.
    private var labels: [Int32: String] = [:]

    /// Runs `body` on this kernel.
    func run<Result>(_ body: () throws -> Result) rethrows -> Result {
        let context = Unmanaged.passUnretained(self).toOpaque()
        clp_set_call_handler(
            { context, name, arguments, handled in
                guard let context, let name, let arguments else { return 0 }
                let recorder = Unmanaged<SystemCallRecorder>.fromOpaque(context).takeUnretainedValue()
                guard let answer = recorder.answer(Call(String(cString: name), arguments)) else { return 0 }
                handled?.pointee = 1
                if answer < 0 { errno = Int32(-answer) }
                return answer < 0 ? -1 : answer
            }, context)
        defer { clp_set_call_handler(nil, nil) }
        return try body()
    }

    /// Names a descriptor of the test's own.
    func name(_ descriptor: Int32, _ label: String) { labels[descriptor] = label }

    /// The calls that begin with one of the words.
    func calls(_ beginnings: String...) -> [String] { calls.filter { call in beginnings.contains { call.hasPrefix($0) } } }

    // MARK: - Answers

    /// A result, an error number below zero, or nil: the call goes on to the kernel.
    private func answer(_ call: Call) -> Int? {
        guard let handler = Self.handlers[call.name] else {
            // A call that this kernel does not know: the test that meets it must see it.
            return record("unknown call \(call.name) \(call[0])", -Int(ENOSYS))
        }
        return handler(self, call)
    }

    /// Notes a call and answers it, unless the test wants it to fail.
    private func record(_ text: String, _ answer: Int = 0) -> Int {
        calls.append(text)
        if let failure = failures.first(where: { text.hasPrefix($0.call) }) { return -Int(failure.code) }
        return answer
    }

    /// What a descriptor stands for.
    private func label(_ descriptor: Int) -> String { labels[Int32(truncatingIfNeeded: descriptor)] ?? "fd \(descriptor)" }

    /// Opens a stand-in of the right sort for a path inside the root filesystem.
    private func open(_ path: String, wantsDirectory: Bool = false) -> Int {
        if absent.contains(path) { return -Int(ENOENT) }
        if let place = standIns[path] { return stand(path, in: Glibc.open(place, O_PATH | O_CLOEXEC)) }
        let isFile = files.contains(path) || path.hasPrefix("/proc/sys/") || path.hasPrefix("/dev/")
        if isFile && wantsDirectory && files.contains(path) { return -Int(ENOTDIR) }
        let inProc = path == "/proc" || path.hasPrefix("/proc/")
        let place =
            switch (isFile && !wantsDirectory, inProc) {
            case (true, true): "/proc/version"
            case (true, false): path == "/dev/null" ? "/dev/null" : "/etc/passwd"
            case (false, true): "/proc"
            case (false, false): "/"
            }
        return stand(path, in: Glibc.open(place, O_PATH | O_CLOEXEC))
    }

    private func stand(_ label: String, in descriptor: Int32) -> Int {
        labels[descriptor] = label
        return Int(descriptor)
    }

    private func file(_ label: String) -> Int { stand(label, in: clp_memfd_create("stand-in", UInt32(MFD_CLOEXEC))) }

    /// A target through which a descriptor is reached, by what it stands for.
    private func target(_ path: String) -> String {
        guard path.hasPrefix("/proc/self/fd/"), let number = Int(path.dropFirst(14)) else { return path }
        return label(number)
    }

    private func below(_ directory: Int, _ name: String) -> String {
        if name.isEmpty { return label(directory) }
        if name.hasPrefix("/") || Int32(truncatingIfNeeded: directory) == AT_FDCWD { return name }
        let parent = label(directory)
        return name == "." ? parent : parent.hasSuffix("/") ? parent + name : "\(parent)/\(name)"
    }

    // MARK: - The calls

    private typealias Handler = @Sendable (SystemCallRecorder, Call) -> Int?

    private static let handlers: [String: Handler] = {
        var table: [String: Handler] = [:]
        // In words as they come: numbers.
        for (name, count) in [
            ("setresuid", 1), ("setresgid", 1), ("unshare", 1), ("personality", 1), ("rt_sigprocmask", 0), ("setsid", 0),
            ("seccomp", 1), ("clone3", 0), ("capset", 0), ("pidfd_send_signal", 0), ("bpf", 0), ("sched_setattr", 0),
            ("sched_setaffinity", 0), ("ioprio_set", 0), ("set_mempolicy", 0), ("execveat", 1),
        ] {
            table[name] = { recorder, call in
                recorder.record(([name] + (0..<count).map { String(call[$0]) }).joined(separator: " "), name == "clone3" ? -Int(EPERM) : 0)
            }
        }
        // Only looked at: the real kernel may answer.
        for name in ["capget", "faccessat2", "statx", "fcntl", "memfd_create", "pidfd_open", "getcwd"] { table[name] = { _, _ in nil } }
        table.merge(mountHandlers) { _, new in new }
        table.merge(fileHandlers) { _, new in new }
        table.merge(processHandlers) { _, new in new }
        return table
    }()

    private static let mountHandlers: [String: Handler] = [
        "mount": { recorder, call in
            let (source, type, data) = (call.text(0), call.text(2), call.text(4))
            let flags = String(call[3], radix: 16)
            var words = "mount \(source) on \(recorder.target(call.text(1)))"
            if !type.isEmpty { words += " type \(type)" }
            words += " flags \(flags)"
            return recorder.record(data.isEmpty ? words : "\(words) data \(data)")
        },
        "umount2": { recorder, call in recorder.record("umount \(call.text(0)) \(call[1])") },
        "pivot_root": { recorder, call in recorder.record("pivot_root \(call.text(0)) \(call.text(1))") },
        "open_tree": { recorder, call in
            let source = recorder.below(call[0], call.text(1))
            let answer = recorder.record("open_tree \(source)\(call[2] & Int(AT_RECURSIVE) != 0 ? " recursive" : "")")
            if answer < 0 { return answer }
            return recorder.stand(
                "tree of \(source)", in: Glibc.open(recorder.files.contains(source) ? "/etc/passwd" : "/", O_PATH | O_CLOEXEC))
        },
        "move_mount": { recorder, call in
            recorder.record("move_mount \(recorder.below(call[0], call.text(1))) to \(recorder.below(call[2], call.text(3)))")
        },
        "mount_setattr": { recorder, call in
            let values = call.numbers(3, count: 3)
            var words = "mount_setattr \(recorder.below(call[0], call.text(1))) set \(String(values[0], radix: 16))"
            if values[1] != 0 { words += " clear \(String(values[1], radix: 16))" }
            if values[2] != 0 { words += " propagation \(String(values[2], radix: 16))" }
            return recorder.record(call[2] & Int(AT_RECURSIVE) != 0 ? words + " recursive" : words)
        },
        "fsopen": { recorder, call in
            _ = recorder.record("fsopen \(call.text(0))")
            return recorder.file("new \(call.text(0))")
        },
        "fsconfig": { recorder, call in recorder.record("fsconfig \(recorder.label(call[0])) \(call.text(2)) \(call.text(3))") },
        "fsmount": { recorder, call in
            _ = recorder.record("fsmount \(recorder.label(call[0]))")
            return recorder.stand("mount of \(recorder.label(call[0]))", in: Glibc.open("/", O_PATH | O_CLOEXEC))
        },
        "setns": { recorder, call in recorder.record("setns \(recorder.label(call[0])) \(String(call[1], radix: 16))") },
    ]

    private static let fileHandlers: [String: Handler] = [
        "openat2": { recorder, call in
            let flags = call.numbers(2, count: 3)
            let path = recorder.below(call[0], call.text(1))
            return recorder.open(path.hasPrefix("/") ? path : "/\(path)", wantsDirectory: flags[0] & UInt64(O_DIRECTORY) != 0)
        },
        "open": { recorder, call in
            let path = call.text(0)
            if call[1] & Int(O_PATH) != 0 { return recorder.stand(path, in: Glibc.open(path, O_PATH | O_CLOEXEC)) }
            if call[1] & Int(O_ACCMODE) == Int(O_RDONLY) && !path.hasPrefix("/proc/self/ns/") && !path.hasPrefix("/run/") { return nil }
            return recorder.file(path)
        },
        "openat": { recorder, call in
            let path = recorder.below(call[0], call.text(1))
            if call[2] & Int(O_CREAT) == 0 { return recorder.open(path, wantsDirectory: call[2] & Int(O_DIRECTORY) != 0) }
            return recorder.record("create \(path)", recorder.file(path))
        },
        "write": { recorder, call in
            guard let label = recorder.labels[Int32(truncatingIfNeeded: call[0])] else { return nil }
            return recorder.record("write \(call.text(1, count: call[2])) to \(label)", call[2])
        },
        "close": { recorder, call in
            recorder.labels[Int32(truncatingIfNeeded: call[0])] = nil
            return nil
        },
        "mkdirat": { recorder, call in recorder.record("mkdir \(recorder.below(call[0], call.text(1)))") },
        "mkdir": { recorder, call in recorder.record("mkdir \(call.text(0))") },
        "symlinkat": { recorder, call in recorder.record("symlink \(recorder.below(call[1], call.text(2))) to \(call.text(0))") },
        "unlinkat": { recorder, call in recorder.record("unlink \(recorder.below(call[0], call.text(1)))") },
        "unlink": { recorder, call in recorder.record("unlink \(call.text(0))") },
        "rmdir": { recorder, call in recorder.record("rmdir \(call.text(0))") },
        "rename": { recorder, call in recorder.record("rename \(call.text(0)) to \(call.text(1))") },
        "mknodat": { recorder, call in
            let number = dev_t(truncatingIfNeeded: call[3])
            let mode = String(call[2], radix: 8)
            return recorder.record("mknod \(recorder.below(call[0], call.text(1))) \(mode) \(clp_major(number)):\(clp_minor(number))")
        },
        "fchown": { recorder, call in recorder.record("fchown \(recorder.label(call[0])) \(call[1])") },
        "fchmod": { recorder, call in recorder.record("fchmod \(recorder.label(call[0])) \(String(call[1], radix: 8))") },
        "fchownat": { recorder, call in recorder.record("chown \(recorder.below(call[0], call.text(1))) \(call[2]):\(call[3])") },
        "fchmodat": { recorder, call in recorder.record("chmod \(recorder.below(call[0], call.text(1))) \(String(call[2], radix: 8))") },
        "chdir": { recorder, call in recorder.record("chdir \(call.text(0))") },
        "fchdir": { recorder, call in recorder.record("chdir to \(recorder.label(call[0]))") },
        "chroot": { recorder, call in recorder.record("chroot \(call.text(0))") },
        "ioctl": { recorder, call in recorder.record("ioctl \(String(UInt32(truncatingIfNeeded: call[1]), radix: 16))") },
        "dup2": { recorder, call in recorder.record("dup2 \(recorder.label(call[0])) to \(call[1])", call[1]) },
        "close_range": { recorder, call in recorder.record("close_range \(call[0]) flags \(call[2])") },
    ]

    private static let processHandlers: [String: Handler] = [
        "prctl": { recorder, call in
            // Only a question, asked once for each capability.
            if call[0] == Int(PR_CAPBSET_READ) { return call[1] <= recorder.lastCapability ? 1 : -Int(EINVAL) }
            if call[0] == Int(PR_CAP_AMBIENT) {
                return recorder.record(call[1] == Int(PR_CAP_AMBIENT_RAISE) ? "prctl ambient raise \(call[2])" : "prctl ambient clear")
            }
            return recorder.record("prctl \(name(ofPrctl: call[0])) \(call[1])")
        },
        "capset": { recorder, call in
            // Two blocks of 32 bits for each set; read as the lower halves of effective, permitted, inheritable.
            let words = call.words(1, count: 6)
            let sets = (0..<3).map { String(UInt64(words[$0]) | UInt64(words[$0 + 3]) << 32, radix: 16) }
            return recorder.record("capset effective \(sets[0]) permitted \(sets[1]) inheritable \(sets[2])")
        },
        "umask": { recorder, call in
            defer { recorder.umask = call[0] }
            return recorder.record("umask \(call[0])", recorder.umask)
        },
        "setgroups": { recorder, call in
            let groups = call[0] == 0 ? [] : call.words(1, count: call[0]).map(String.init)
            return recorder.record((["setgroups"] + groups).joined(separator: " "))
        },
        "prlimit64": { recorder, call in
            if call[2] == 0 { return nil }
            let values = call.numbers(2, count: 2)
            return recorder.record("setrlimit \(call[1]) \(values[0]):\(values[1])")
        },
        "keyctl": { recorder, call in
            call[0] == 1 ? recorder.record("join keyring \(call.text(1))", 7) : recorder.record("keyctl \(call[0])")
        },
        // Sixty-four of them.
        "rt_sigaction": { _, _ in 0 },
        "sethostname": { recorder, call in recorder.record("sethostname \(call.text(0))") },
        "setdomainname": { recorder, call in recorder.record("setdomainname \(call.text(0))") },
        "getcwd": { _, call in
            UnsafeMutablePointer<CChar>(bitPattern: call[0])?.pointee = CChar(UInt8(ascii: "/"))
            UnsafeMutablePointer<CChar>(bitPattern: call[0])?[1] = 0
            return 2
        },
        "seccomp": { recorder, call in recorder.record("seccomp") },
        "execve": { recorder, call in recorder.record("execve \(call.text(0))", -Int(ENOEXEC)) },
        "sendmsg": { recorder, call in
            _ = recorder.record("send message \(clp_message_first_byte(call[1]))")
            return nil
        },
    ]

    private static func name(ofPrctl option: Int) -> String {
        switch option {
        case Int(PR_SET_DUMPABLE): "dumpable"
        case Int(PR_CAPBSET_DROP): "drop"
        case Int(PR_SET_KEEPCAPS): "keepcaps"
        case Int(PR_SET_NO_NEW_PRIVS): "no_new_privs"
        default: "\(option)"
        }
    }
}

/// A call as it reaches the kernel: a name and up to six numbers, some of them addresses.
private struct Call {
    let name: String
    private let arguments: UnsafePointer<Int>

    init(_ name: String, _ arguments: UnsafePointer<Int>) {
        self.name = name
        self.arguments = arguments
    }

    subscript(_ index: Int) -> Int { arguments[index] }

    /// A string argument; empty for none.
    func text(_ index: Int) -> String { UnsafePointer<CChar>(bitPattern: arguments[index]).map { String(cString: $0) } ?? "" }

    /// So many bytes of an argument, as text.
    func text(_ index: Int, count: Int) -> String {
        UnsafePointer<UInt8>(bitPattern: arguments[index]).map {
            String(decoding: UnsafeBufferPointer(start: $0, count: count), as: UTF8.self)
        } ?? ""
    }

    /// A block of 64-bit numbers.
    func numbers(_ index: Int, count: Int) -> [UInt64] {
        UnsafePointer<UInt64>(bitPattern: arguments[index]).map { Array(UnsafeBufferPointer(start: $0, count: count)) } ?? []
    }

    /// A block of 32-bit numbers.
    func words(_ index: Int, count: Int) -> [UInt32] {
        UnsafePointer<UInt32>(bitPattern: arguments[index]).map { Array(UnsafeBufferPointer(start: $0, count: count)) } ?? []
    }
}
