internal import CLinux
internal import CSeccomp
internal import Glibc

/// libseccomp's filter under construction.
private struct SeccompContext: ~Copyable {
    let raw: scmp_filter_ctx

    deinit { seccomp_release(raw) }
}

/// A profile on its way through libseccomp (seccomp_rule_add(3)).
struct SeccompCompiler: ~Copyable {
    private let context: SeccompContext
    private let profile: SeccompProfile
    /// libseccomp's tokens, the native architecture first.
    private let architectures: [UInt32]
    private(set) var skippedNames: [String] = []
    /// Per architecture the highest system call number that the profile names.
    private var highest: [UInt32: Int32] = [:]

    init(_ profile: SeccompProfile) throws(SeccompError) {
        self.profile = profile
        try Self.check(profile)
        guard let raw = try seccomp_init(Self.action(profile.defaultAction, profile.defaultErrnoRet)) else {
            throw .compile(operation: "default action \(profile.defaultAction.rawValue)", code: EINVAL)
        }
        let context = SeccompContext(raw: raw)
        var tokens = [seccomp_arch_native()]
        for architecture in profile.architectures {
            let token = seccomp_arch_resolve_name(architecture.rawValue.dropFirst("SCMP_ARCH_".count).lowercased())
            if token == 0 { throw .invalid("architecture \(architecture.rawValue) is not known to this libseccomp") }
            if tokens.contains(token) { continue }
            let result = seccomp_arch_add(context.raw, token)
            if result != 0 && result != -EEXIST {
                throw .compile(operation: "add architecture \(architecture.rawValue)", code: -result)
            }
            tokens.append(token)
        }
        architectures = tokens
        // no_new_privs is the spec's business; a binary tree over the numbers instead of a list.
        seccomp_attr_set(context.raw, SCMP_FLTATR_CTL_NNP, 0)
        seccomp_attr_set(context.raw, SCMP_FLTATR_CTL_OPTIMIZE, 2)
        self.context = context
    }

    /// The rules of the specification that libseccomp does not check.
    private static func check(_ profile: SeccompProfile) throws(SeccompError) {
        if profile.defaultAction == .notify { throw .invalid("SCMP_ACT_NOTIFY cannot be the default action") }
        if profile.flags.contains(.waitKillableRecv), !profile.rules.contains(where: { $0.action == .notify }) {
            throw .invalid("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY")
        }
        for rule in profile.rules {
            // The process that loads the filter must still be able to hand over the descriptor.
            if rule.action == .notify && rule.names.contains("write") {
                throw .invalid("SCMP_ACT_NOTIFY cannot be used for the write syscall")
            }
            if let argument = rule.arguments.first(where: { $0.index > 5 }) {
                throw .invalid("argument index \(argument.index) of \(rule.names.first ?? "a rule") is above 5")
            }
        }
    }

    /// libseccomp's encoding (SCMP_ACT_*, which are macros): the kernel's SECCOMP_RET_* with the datum in the low half.
    static func action(_ action: SeccompAction, _ errnoRet: UInt32?) throws(SeccompError) -> UInt32 {
        // An error number that nobody would ever see (config-linux.md, "Seccomp", errnoRet).
        if errnoRet != nil && action != .errno && action != .trace {
            throw .invalid("\(action.rawValue) has no errnoRet")
        }
        let datum = errnoRet ?? UInt32(EPERM)
        switch action {
        case .kill, .killThread: return 0x0000_0000
        case .killProcess: return 0x8000_0000
        case .trap: return 0x0003_0000
        case .errno:
            // The kernel would cut it to MAX_ERRNO.
            if datum > 4095 { throw .invalid("errnoRet \(datum) is above 4095") }
            return 0x0005_0000 | datum
        case .trace:
            if datum > 0xffff { throw .invalid("errnoRet \(datum) is above 65535") }
            return 0x7ff0_0000 | datum
        case .log: return 0x7ffc_0000
        case .allow: return 0x7fff_0000
        case .notify: return 0x7fc0_0000
        }
    }

    mutating func addRules() throws(SeccompError) {
        let standard = try Self.action(profile.defaultAction, profile.defaultErrnoRet)
        for rule in profile.rules {
            let action = try Self.action(rule.action, rule.errnoRet)
            for name in rule.names {
                let number = seccomp_syscall_resolve_name(name)
                if number == -1 {
                    skippedNames.append(name)
                    continue
                }
                note(name)
                // libseccomp refuses a rule that says what holds anyway.
                if action != standard { try add(action, number, name, rule.arguments) }
            }
        }
    }

    private func add(_ action: UInt32, _ number: Int32, _ name: String, _ arguments: [SeccompProfile.Argument]) throws(SeccompError) {
        let comparisons = arguments.map { argument in
            scmp_arg_cmp(arg: argument.index, op: Self.comparison(argument.comparison), datum_a: argument.value, datum_b: argument.valueTwo)
        }
        // libseccomp cannot compare one argument twice in a rule: such a rule is added once per comparison, any of which
        // is then enough. That is runc's and crun's reading.
        let isRepeated = Set(arguments.map(\.index)).count < arguments.count
        for part in isRepeated ? comparisons.map({ [$0] }) : [comparisons] {
            let result = seccomp_rule_add_array(context.raw, action, number, UInt32(part.count), part)
            if result != 0 { throw .compile(operation: "add rule for \(name)", code: -result) }
        }
    }

    private static func comparison(_ comparison: SeccompComparison) -> scmp_compare {
        switch comparison {
        case .notEqual: SCMP_CMP_NE
        case .less: SCMP_CMP_LT
        case .lessOrEqual: SCMP_CMP_LE
        case .equal: SCMP_CMP_EQ
        case .greaterOrEqual: SCMP_CMP_GE
        case .greater: SCMP_CMP_GT
        case .maskedEqual: SCMP_CMP_MASKED_EQ
        }
    }

    /// Remembers how far the profile's knowledge reaches on each architecture.
    private mutating func note(_ name: String) {
        for token in architectures {
            let number = seccomp_syscall_resolve_name_arch(token, name)
            // Negative: not a system call there. From 0xf0000: ARM's private calls, which are not in sequence.
            if number >= 0 && number & 0x3fff_ffff < 0xf0000 { highest[token] = max(highest[token] ?? 0, number) }
        }
    }

    /// libseccomp's program, through a file that is only memory.
    func export() throws(SeccompError) -> [UInt64] {
        let file: OwnedFD
        do { file = OwnedFD(owning: try retrying("memfd") { memfd_create("seccomp", UInt32(MFD_CLOEXEC)) }) } catch {
            throw .compile(operation: "export", code: error.code)
        }
        let result = seccomp_export_bpf(context.raw, file.raw)
        if result != 0 { throw .compile(operation: "export", code: -result) }
        lseek(file.raw, 0, SEEK_SET)
        do {
            let bytes = try file.readAll()
            return bytes.withUnsafeBytes { raw in (0..<raw.count / 8).map { raw.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) } }
        } catch { throw .compile(operation: "export", code: error.code) }
    }
}

extension SeccompCompiler {
    /// Instructions before libseccomp's that answer ENOSYS to system calls newer than the profile.
    ///
    /// A C library tries a new call first and falls back on ENOSYS; on EPERM it gives up, so that a new library would
    /// break in every container with an older profile. None when the default action lets unknown calls pass, or answers
    /// ENOSYS already. What "newer" means: above the highest number the profile names, per architecture.
    func enosysPrologue() -> [UInt64] {
        switch profile.defaultAction {
        case .allow, .log, .trace: return []
        case .errno where profile.defaultErrnoRet == UInt32(ENOSYS): return []
        default: break
        }
        var program = [Self.load(offset: 4)]
        for token in architectures where token != Self.x32 {
            guard let limit = highest[token] else { continue }
            let section = Self.section(limit: limit, x32Limit: token == Self.x86_64 ? .some(highest[Self.x32]) : nil)
            program.append(Self.jump(.equal, token, whenFalse: UInt8(section.count)))
            program += section
        }
        // Sections leave by falling behind the last one: fill in how far that is.
        for index in program.indices where program[index] == Self.leave {
            program[index] = Self.instruction(0x05, UInt32(program.count - index - 1))
        }
        return program.count == 1 ? [] : program
    }

    /// One architecture: ENOSYS above the limit. x86_64 shares its audit number with x32, whose numbers carry bit 30:
    /// `x32Limit` is nil elsewhere, `.some(nil)` when the profile lacks x32 (those are left to the filter, which kills).
    private static func section(limit: Int32, x32Limit: Int32??) -> [UInt64] {
        let refuse = instruction(0x06, 0x0005_0000 | UInt32(ENOSYS))
        let native = [jump(.greater, UInt32(limit), whenFalse: 1), refuse, leave]
        guard let x32Limit else { return [load(offset: 0)] + native }
        let other = x32Limit.map { [jump(.greater, UInt32(bitPattern: $0), whenFalse: 1), refuse, leave] } ?? [leave]
        return [load(offset: 0), jump(.greaterOrEqual, 0x4000_0000, whenTrue: UInt8(native.count), whenFalse: 0)] + native + other
    }

    private static var x86_64: UInt32 { 0xc000_003e }
    private static var x32: UInt32 { 0x4000_003e }

    /// Stands for "go on with libseccomp's program" until the distance is known; no real instruction has this code.
    private static var leave: UInt64 { UInt64.max }

    private enum Comparison: UInt16 {
        case equal = 0x15
        case greater = 0x25
        case greaterOrEqual = 0x35
    }

    /// `struct sock_filter` (linux/filter.h) on a little-endian machine: code, jt, jf, k.
    private static func instruction(_ code: UInt16, _ value: UInt32, _ whenTrue: UInt8 = 0, _ whenFalse: UInt8 = 0) -> UInt64 {
        UInt64(code) | UInt64(whenTrue) << 16 | UInt64(whenFalse) << 24 | UInt64(value) << 32
    }

    /// Loads a word of `struct seccomp_data`: 0 is the number, 4 the architecture.
    private static func load(offset: UInt32) -> UInt64 { instruction(0x20, offset) }

    private static func jump(_ comparison: Comparison, _ value: UInt32, whenTrue: UInt8 = 0, whenFalse: UInt8) -> UInt64 {
        instruction(comparison.rawValue, value, whenTrue, whenFalse)
    }
}
