internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// The last steps of a process inside the container, the same for the first one and for those of `exec`: limits,
/// credentials, working directory, gate, seccomp, program.
struct ProcessSetup {
    let plan: ProcessPlan
    let stdio: StandardStreams
    /// What this host can give: the rest of a container's capabilities is left out (Docker's `--privileged` asks for all).
    let available: CapabilitySet

    private var process: Spec.Process { plan.spec }

    /// Gives the standard streams their places. Copies first: one of them may sit in another's place.
    func placeStandardStreams() throws {
        if stdio == .inherited || stdio == .relayedTerminal { return }
        let copies = try [stdio.input, stdio.output, stdio.error].map { (number) throws(SystemError) in
            try retrying("duplicate descriptor", "\(number)") { clp_fcntl(number, F_DUPFD_CLOEXEC, 10) }
        }
        for (place, copy) in copies.enumerated() { try retrying("duplicate descriptor") { dup2(copy, Int32(place)) } }
    }

    /// Takes the terminal as 0, 1 and 2 and hands its master to the runtime.
    func takeTerminal(_ terminal: borrowing PseudoTerminal, _ sync: borrowing SyncChannel) throws {
        if let size = process.consoleSize, size.height > 0 || size.width > 0 {
            try Terminal.setSize(terminal.master.raw, rows: size.height, columns: size.width)
        }
        if stdio == .relayedTerminal { try Terminal.leaveLineEnds(terminal.master.raw) }
        try sync.send(.terminal, descriptor: terminal.master.raw)
        try terminal.becomeStandardStreams()
    }

    /// Everything that still needs privileges, then the change of user. Ends with the process in its working directory
    /// as its user, holding CAP_SYS_ADMIN for nothing but the filter.
    func becomeUser(_ sync: borrowing SyncChannel) throws {
        if plan.isPlaced { try sync.ask(.place) }
        try plan.memoryPolicy?.apply()
        if let personality = plan.personality { try personality.apply() }
        for limit in plan.rlimits { try limit.apply() }
        let capabilities = plan.capabilities.intersection(available)
        let user = process.user
        try giveStandardStreams(to: user.uid)
        try capabilities.applyBounding()
        let cameInAsRoot = chdir(process.cwd) == 0
        // Keeps the permitted set across the change of user; execve clears the bit.
        try retrying("keep capabilities") { clp_prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) }
        try setGroups(user.additionalGids)
        try retrying("set group", "\(user.gid)") { clp_setresgid(user.gid) }
        try retrying("set user", "\(user.uid)") { clp_setresuid(user.uid) }
        try retrying("set capabilities") {
            let held = capabilities.permitted.union(heldForFilter)
            return clp_capset(capabilities.effective.rawValue, held.rawValue, capabilities.inheritable.rawValue)
        }
        if !cameInAsRoot { try retrying("change directory to", process.cwd) { chdir(process.cwd) } }
        try checkWorkingDirectory()
        _ = clp_umask(process.user.umask ?? 0o022)
    }

    /// A user namespace made by an ordinary user forbids it (user_namespaces(7), "setgroups"): without groups to add there
    /// is nothing to do then, and the caller's own cannot be given up.
    private func setGroups(_ groups: [UInt32]) throws {
        if clp_setgroups(groups.count, groups) == 0 { return }
        let code = errno
        if code == EPERM && (try? Files.readText("/proc/self/setgroups"))?.hasPrefix("deny") == true {
            if groups.isEmpty { return }
            throw SystemError("set supplementary groups: the user namespace forbids setgroups", code: code)
        }
        throw SystemError("set supplementary groups", code: code)
    }

    /// A filter without no_new_privs needs CAP_SYS_ADMIN, and comes last of all.
    private var heldForFilter: CapabilitySet {
        plan.filter != nil && !process.noNewPrivileges ? CapabilitySet(.sysAdmin).intersection(available) : []
    }

    /// Programs expect to own their standard streams: /dev/stdout can be opened anew only by its owner.
    private func giveStandardStreams(to uid: UInt32) throws {
        for number: Int32 in 0...2 {
            var status = stat()
            if fstat(number, &status) != 0 || status.st_uid == uid { continue }
            // The host's /dev/null stays root's.
            if status.st_mode & S_IFMT == S_IFCHR && status.st_rdev == clp_makedev(1, 3) { continue }
            if fchown(number, uid, status.st_gid) != 0 && ![EINVAL, EPERM, EROFS].contains(errno) {
                throw SystemError("change owner of standard stream", "\(number)")
            }
        }
    }

    /// A working directory reached through a leaked descriptor lies outside the container's root (CVE-2024-21626).
    private func checkWorkingDirectory() throws {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = clp_getcwd(&buffer, buffer.count)
        if length <= 0 || buffer[0] != CChar(bitPattern: UInt8(ascii: "/")) {
            throw RuntimeError(kind: .system(ENOENT), message: "working directory \(process.cwd) is outside of the container")
        }
    }

    /// The environment: of variables that are given several times the last one, and HOME, which runc and Docker promise.
    func environment() -> [String] {
        var seen = Set<Substring>()
        var environment = Array(process.env.reversed().filter { seen.insert($0.prefix { $0 != "=" }).inserted }.reversed())
        if !environment.contains(where: { $0.hasPrefix("HOME=") && $0.utf8.count > 5 }) {
            environment.removeAll { $0.hasPrefix("HOME=") }
            environment.append("HOME=\(UserDatabase.home(of: process.user.uid) ?? "/")")
        }
        return environment
    }

    /// From here on nothing but the program: the filter as late as it can be, so that it need not allow our own calls.
    func execute(_ program: Program, _ sync: borrowing SyncChannel) throws -> RuntimeError {
        try seal()
        try sync.send(.executing)
        try loadFilter(sync)
        return program.execute()
    }

    /// The filter before the program: for what else runs in the container, and for a listener that is to hear early.
    func confine(_ sync: borrowing SyncChannel) throws {
        try seal()
        try loadFilter(sync)
    }

    /// What `execute` does, for a process that is confined already.
    func executeConfined(_ program: Program, _ sync: borrowing SyncChannel) throws -> RuntimeError {
        try sync.sendPlainly(.executing)
        return program.execute()
    }
}

extension ProcessSetup {
    /// Labels and no_new_privs, which the filter would have to allow, and the end of everybody else's descriptors.
    private func seal() throws {
        for module in SecurityModule.allCases { if let label = module.label(of: process) { try module.set(label) } }
        // Descriptors that the runtime did not mean to hand over end at execve (CVE-2024-21626).
        let first = UInt32(3 + plan.preserveFDs)
        for number in 3..<Int32(first) { _ = clp_fcntl(number, F_SETFD, 0) }
        try retrying("close descriptors") { clp_close_range(first, UInt32.max, UInt32(CLOSE_RANGE_CLOEXEC)) }
        if process.noNewPrivileges { try retrying("set no_new_privs") { clp_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } }
    }

    /// And the program's own capabilities: before the filter, or, without no_new_privs, after it.
    private func loadFilter(_ sync: borrowing SyncChannel) throws {
        let capabilities = plan.capabilities.intersection(available)
        if process.noNewPrivileges {
            try capabilities.apply()
            try load(plan.filter, sync)
        } else {
            if let filter = plan.filter {
                let held = capabilities.permitted.union(heldForFilter)
                try retrying("set capabilities") { clp_capset(held.rawValue, held.rawValue, capabilities.inheritable.rawValue) }
                try load(filter, sync)
            }
            try capabilities.apply()
        }
    }

    /// Loads the filter; the descriptor of one that asks a listener goes there before anything else is done.
    private func load(_ filter: SeccompFilter?, _ sync: borrowing SyncChannel) throws {
        guard let filter, let listener = try filter.load() else { return }
        if plan.sendsListener {
            try sync.send(.listener, descriptor: listener.raw)
        } else {
            try sync.sendPlainly(.listener, "\(listener.raw)")
        }
        try sync.awaitPlainly(.resume)
    }
}

extension Spec.Personality {
    /// For the calling process, and for what it executes (personality(2)).
    func apply() throws(SystemError) {
        let number: UInt =
            switch self {
            case .linux: 0
            case .linux32: UInt(PER_LINUX32)
            }
        try retrying("set personality", rawValue) { clp_personality(number) }
    }
}

/// The container's own /etc/passwd.
enum UserDatabase {
    /// The home directory of a user; nil when the file does not tell. The file is the image's: bounded, and opened
    /// without waiting, for it may be a pipe.
    static func home(of uid: UInt32) -> String? {
        guard let file = try? OwnedFD.open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY), let status = try? file.status(),
            status.st_mode & S_IFMT == S_IFREG, let bytes = try? file.readAll(limit: 1 << 20)
        else { return nil }
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            if fields.count > 5, UInt32(String(decoding: fields[2], as: UTF8.self)) == uid, !fields[5].isEmpty {
                return String(decoding: fields[5], as: UTF8.self)
            }
        }
        return nil
    }
}
