internal import CLinux
internal import CProber
internal import Glibc
internal import JSON
internal import Linux

/// What the process is and what it may do.
enum ProcessReport {
    /// /proc/self/status, by name; the values without surrounding white space.
    private static let status: [String: String] = {
        var fields: [String: String] = [:]
        for line in ((try? Files.readText("/proc/self/status")) ?? "").split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].split(whereSeparator: { $0 == "\t" || $0 == " " }).joined(separator: " ")
            fields[String(line[..<colon])] = value
        }
        return fields
    }()

    static func text(_ name: String) -> JSONValue { status[name].map { .string($0) } ?? .null }

    private static func numbers(_ name: String) -> JSONValue {
        .array((status[name] ?? "").split(separator: " ").map { Int64($0).map { .integer($0) } ?? .null })
    }

    private static func number(_ name: String, radix: Int = 10) -> JSONValue {
        Int64(status[name] ?? "", radix: radix).map { .integer($0) } ?? .null
    }

    static var document: JSONValue {
        var names = utsname()
        uname(&names)
        var object = JSONObject()
        object.append("pid", .integer(Int64(getpid())))
        object.append("ppid", .integer(Int64(getppid())))
        object.append("session", .integer(Int64(getsid(0))))
        // Real, effective, saved and file system id.
        object.append("uid", numbers("Uid"))
        object.append("gid", numbers("Gid"))
        object.append("groups", numbers("Groups"))
        object.append("umask", number("Umask", radix: 8))
        object.append("cwd", workingDirectory)
        object.append("args", .array(CommandLine.arguments.map { .string($0) }))
        object.append("env", environment)
        object.append("hostname", .string(text(&names.nodename)))
        object.append("domainname", FilesReport.content("/proc/sys/kernel/domainname"))
        object.append("oomScoreAdj", FilesReport.content("/proc/self/oom_score_adj"))
        object.append("noNewPrivileges", number("NoNewPrivs"))
        // 0 none, 1 strict, 2 filter; and how many filters.
        object.append("seccomp", number("Seccomp"))
        object.append("seccompFilters", number("Seccomp_filters"))
        object.append("dumpable", .integer(Int64(clp_prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))))
        object.append("keepCapabilities", .integer(Int64(clp_prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0))))
        object.append("securebits", .integer(Int64(clp_prctl(PR_GET_SECUREBITS, 0, 0, 0, 0))))
        object.append("subreaper", subreaper)
        object.append("personality", .integer(Int64(clp_personality(0xFFFF_FFFF))))
        object.append("threads", number("Threads"))
        for name in ["SigBlk", "SigIgn", "SigCgt"] { object.append(name, text(name)) }
        object.append("sessionKeyring", sessionKeyring)
        object.append("terminals", .array((0...2).map { isatty($0) == 1 ? FilesReport.link("/proc/self/fd/\($0)") : .null }))
        object.append("label", FilesReport.content("/proc/self/attr/current"))
        return .object(object)
    }

    /// From the kernel, not from the C library, which hides that a directory lies outside of the root.
    private static var workingDirectory: JSONValue {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        return clp_getcwd(&buffer, buffer.count) > 0 ? .string(buffer.withUnsafeBytes { text($0) }) : .null
    }

    private static var environment: JSONValue {
        guard let bytes = try? Files.read("/proc/self/environ") else { return .null }
        return .array(bytes.split(separator: 0).map { .string(String(decoding: $0, as: UTF8.self)) })
    }

    private static var subreaper: JSONValue {
        var flag: Int32 = -1
        let result = withUnsafeMutablePointer(to: &flag) { clp_prctl(PR_GET_CHILD_SUBREAPER, UInt(bitPattern: $0), 0, 0, 0) }
        return result == 0 ? .integer(Int64(flag)) : .null
    }

    /// `type;uid;gid;permissions;name`, as keyctl(2) describes it; null when there is none or it may not be seen.
    private static var sessionKeyring: JSONValue {
        var buffer = [CChar](repeating: 0, count: 512)
        let sessionKeyring = -3
        return clp_keyctl_describe(sessionKeyring, &buffer, buffer.count) > 0 ? .string(buffer.withUnsafeBytes { text($0) }) : .null
    }

    private static func text<T>(_ field: inout T) -> String { withUnsafeBytes(of: &field) { text($0) } }
    private static func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }

    /// The five sets as sorted lists of names.
    static var capabilities: JSONValue {
        var object = JSONObject()
        let sets = [
            ("bounding", "CapBnd"), ("effective", "CapEff"), ("permitted", "CapPrm"), ("inheritable", "CapInh"), ("ambient", "CapAmb"),
        ]
        for (name, field) in sets {
            let bits = CapabilitySet(rawValue: UInt64(status[field] ?? "", radix: 16) ?? 0)
            object.append(name, .array(Capability.allCases.filter { bits.contains($0) }.map(\.name).sorted().map { .string($0) }))
        }
        return .object(object)
    }

    /// Soft and hard limit by name; -1 is unlimited.
    static var limits: JSONValue {
        var object = JSONObject()
        for kind in ResourceLimitKind.allCases {
            guard let limit = try? ResourceLimit.current(kind) else { continue }
            object.append(kind.name, .array([limit.soft, limit.hard].map { .integer($0 == .max ? -1 : Int64(clamping: $0)) }))
        }
        return .object(object)
    }

    static var scheduler: JSONValue {
        var object = JSONObject()
        var values = [UInt64](repeating: 0, count: 7)
        if clp_prober_scheduler(&values) == 0 {
            for (index, name) in ["policy", "flags", "nice", "priority", "runtime", "deadline", "period"].enumerated() {
                object.append(name, .integer(Int64(bitPattern: values[index])))
            }
        }
        let priority = clp_prober_io_priority()
        object.append("ioClass", .integer(Int64(priority >> 13)))
        object.append("ioPriority", .integer(Int64(priority & 0x1FFF)))
        object.append("cpus", text("Cpus_allowed_list"))
        object.append("memoryNodes", text("Mems_allowed_list"))
        var mode: Int32 = -1
        var nodes: UInt64 = 0
        if clp_prober_memory_policy(&mode, &nodes) == 0 {
            object.append("memoryPolicy", .integer(Int64(mode)))
            object.append("memoryPolicyNodes", .integer(Int64(clamping: nodes)))
        }
        return .object(object)
    }

    /// What a system call answers: the result, or the error number below zero.
    static func call(_ number: String) -> JSONValue {
        guard let number = Int(number) else { return .null }
        let result = clp_prober_call(number, -1)
        return .integer(Int64(result == -1 ? -Int(errno) : result))
    }
}
