import CLinux
import Glibc
import Testing

@testable import Linux

/// x86-64's numbers, for what the tests ask about.
private enum Number {
    static let read = 0
    static let write = 1
    static let socket = 41
    static let clone = 56
    static let mount = 165
    static let personality = 135
    static let clone3 = 435
    static let getpid = 39
    static let keyctl = 250
}

@Suite struct SeccompCompilerTests {
    private func interpreter(_ profile: SeccompProfile) throws -> SeccompInterpreter {
        SeccompInterpreter(instructions: try SeccompFilter.compile(profile).instructions)
    }

    private func rule(_ names: String..., action: SeccompAction = .allow, arguments: [SeccompProfile.Argument] = []) -> SeccompProfile.Rule
    {
        SeccompProfile.Rule(names: names, action: action, arguments: arguments)
    }

    @Test func allowsWhatTheProfileNamesAndRefusesTheRest() throws {
        let filter = try interpreter(SeccompProfile(defaultAction: .errno, rules: [rule("read", "mount")]))
        #expect(try filter.answer(to: .init(Number.read)) == .allow)
        #expect(try filter.answer(to: .init(Number.mount)) == .allow)
        #expect(try filter.answer(to: .init(Number.write)) == .errno(EPERM))
    }

    @Test(
        arguments: [
            (SeccompAction.kill, nil, UInt32(0)), (.killThread, nil, 0), (.killProcess, nil, 0x8000_0000), (.trap, nil, 0x0003_0000),
            (.errno, 13, 0x0005_000d), (.trace, 7, 0x7ff0_0007), (.log, nil, 0x7ffc_0000), (.allow, nil, 0x7fff_0000),
            (.notify, nil, 0x7fc0_0000),
        ] as [(SeccompAction, UInt32?, UInt32)])
    func actionBecomesTheKernelsValue(action: SeccompAction, errno: UInt32?, expected: UInt32) throws {
        let standard: SeccompAction = action == .log ? .allow : .log
        let rule = SeccompProfile.Rule(names: ["getpid"], action: action, errnoRet: errno)
        let filter = try interpreter(SeccompProfile(defaultAction: standard, rules: [rule]))
        #expect(try filter.answer(to: .init(Number.getpid)) == expected)
    }

    private static let comparisons: [(SeccompComparison, [UInt64], [UInt64])] = [
        (.notEqual, [4, 6], [5]), (.less, [0, 4], [5, 6, .max]), (.lessOrEqual, [4, 5], [6]), (.equal, [5], [4, 6, 5 | 1 << 32]),
        (.greaterOrEqual, [5, 6, 1 << 40], [4]), (.greater, [6], [5, 0]),
    ]

    @Test(arguments: comparisons)
    func comparesArguments(comparison: SeccompComparison, matching: [UInt64], other: [UInt64]) throws {
        let argument = SeccompProfile.Argument(index: 1, value: 5, comparison: comparison)
        let filter = try interpreter(SeccompProfile(defaultAction: .errno, rules: [rule("read", arguments: [argument])]))
        for value in matching { #expect(try filter.answer(to: .init(Number.read, [9, value])) == .allow, "\(comparison) \(value)") }
        for value in other { #expect(try filter.answer(to: .init(Number.read, [9, value])) == .errno(EPERM), "\(comparison) \(value)") }
    }

    @Test func comparesUnderAMaskAndAllArgumentsTogether() throws {
        let masked = SeccompProfile.Argument(index: 0, value: 0xf0, valueTwo: 0x30, comparison: .maskedEqual)
        let second = SeccompProfile.Argument(index: 2, value: 1, comparison: .equal)
        let filter = try interpreter(SeccompProfile(defaultAction: .errno, rules: [rule("read", arguments: [masked, second])]))
        #expect(try filter.answer(to: .init(Number.read, [0x3f, 0, 1])) == .allow)
        #expect(try filter.answer(to: .init(Number.read, [0x3f, 0, 2])) == .errno(EPERM))
        #expect(try filter.answer(to: .init(Number.read, [0x4f, 0, 1])) == .errno(EPERM))
    }

    @Test func repeatedArgumentMeansEither() throws {
        let values = [2, 7].map { SeccompProfile.Argument(index: 0, value: $0, comparison: .equal) }
        let filter = try interpreter(SeccompProfile(defaultAction: .errno, rules: [rule("read", arguments: values)]))
        #expect(try [2, 7, 3].map { try filter.answer(to: .init(Number.read, [$0])) } == [.allow, .allow, .errno(EPERM)])
    }

    @Test func newerSystemCallsAnswerENOSYS() throws {
        let filter = try interpreter(SeccompProfile(defaultAction: .errno, architectures: [.x86_64, .x86], rules: [rule("read", "mount")]))
        #expect(try filter.answer(to: .init(Number.mount + 1)) == .errno(ENOSYS))
        #expect(try filter.answer(to: .init(Number.mount - 1)) == .errno(EPERM))
        // i386 has numbers of its own: mount is 21 there.
        #expect(try filter.answer(to: .init(21, architecture: 0x4000_0003)) == .allow)
        #expect(try filter.answer(to: .init(22, architecture: 0x4000_0003)) == .errno(ENOSYS))
        #expect(try filter.answer(to: .init(20, architecture: 0x4000_0003)) == .errno(EPERM))
    }

    @Test func x32WithoutItsArchitectureIsKilledAndWithItFiltered() throws {
        let bit = 0x4000_0000
        let without = try interpreter(SeccompProfile(defaultAction: .errno, architectures: [.x86_64], rules: [rule("read", "mount")]))
        #expect(try without.answer(to: .init(bit | Number.read)) == .killThread)
        let with = try interpreter(SeccompProfile(defaultAction: .errno, architectures: [.x86_64, .x32], rules: [rule("read", "mount")]))
        #expect(try with.answer(to: .init(bit | Number.read)) == .allow)
        #expect(try with.answer(to: .init(bit | Number.write)) == .errno(EPERM))
        #expect(try with.answer(to: .init(bit | 600)) == .errno(ENOSYS))
    }

    @Test func foreignArchitectureIsKilled() throws {
        let filter = try interpreter(SeccompProfile(defaultAction: .errno, rules: [rule("read")]))
        #expect(try filter.answer(to: .init(Number.read, architecture: 0xc000_00b7)) == .killThread)
    }

    @Test func permissiveProfilesHaveNoPrologue() throws {
        for action in [SeccompAction.allow, .log] {
            let filter = try interpreter(SeccompProfile(defaultAction: action, rules: [rule("read", action: .errno)]))
            #expect(try filter.answer(to: .init(9999)) == (action == .allow ? .allow : 0x7ffc_0000))
            #expect(try filter.answer(to: .init(Number.read)) == .errno(EPERM))
        }
    }

    @Test func unknownNamesAreSkippedAndTold() throws {
        let filter = try SeccompFilter.compile(
            SeccompProfile(defaultAction: .errno, rules: [rule("read", "no_such_call", "mount"), rule("nor_this")]))
        #expect(filter.skippedNames == ["no_such_call", "nor_this"])
    }

    @Test func ruleThatSaysTheDefaultIsNoError() throws {
        let filter = try interpreter(
            SeccompProfile(
                defaultAction: .errno, defaultErrnoRet: 1,
                rules: [
                    SeccompProfile.Rule(names: ["mount"], action: .errno),
                    SeccompProfile.Rule(names: ["write"], action: .errno, errnoRet: 2),
                ]))
        #expect(try filter.answer(to: .init(Number.mount)) == .errno(1))
        #expect(try filter.answer(to: .init(Number.write)) == .errno(2))
    }

    @Test func badProfilesAreNamed() {
        func message(_ profile: SeccompProfile) -> String {
            do {
                _ = try SeccompFilter.compile(profile)
                return "no error"
            } catch { return error.description }
        }
        let notify = rule("write", action: .notify)
        #expect(message(SeccompProfile(defaultAction: .notify)).contains("default action"))
        #expect(
            message(SeccompProfile(defaultAction: .allow, rules: [notify]))
                == "seccomp: SCMP_ACT_NOTIFY cannot be used for the write syscall")
        let index = SeccompProfile.Argument(index: 6, value: 0, comparison: .equal)
        #expect(message(SeccompProfile(defaultAction: .errno, rules: [rule("read", arguments: [index])])).contains("index 6 of read"))
        #expect(message(SeccompProfile(defaultAction: .errno, defaultErrnoRet: 5000)) == "seccomp: errnoRet 5000 is above 4095")
        #expect(message(SeccompProfile(defaultAction: .kill, defaultErrnoRet: 5)) == "seccomp: SCMP_ACT_KILL has no errnoRet")
        let allowed = SeccompProfile.Rule(names: ["read"], action: .allow, errnoRet: 1)
        #expect(message(SeccompProfile(defaultAction: .errno, rules: [allowed])) == "seccomp: SCMP_ACT_ALLOW has no errnoRet")
        #expect(message(SeccompProfile(defaultAction: .errno, architectures: [.sh])).contains("SCMP_ARCH_SH is not known"))
        #expect(message(SeccompProfile(defaultAction: .errno, flags: [.waitKillableRecv])).contains("needs a rule with SCMP_ACT_NOTIFY"))
    }

    @Test func unknownWordsAreNamed() {
        #expect(throws: SeccompError.unknown(kind: "action", name: "SCMP_ACT_SMILE")) { try SeccompAction(name: "SCMP_ACT_SMILE") }
        #expect(throws: SeccompError.unknown(kind: "operator", name: "==")) { try SeccompComparison(name: "==") }
        #expect(throws: SeccompError.unknown(kind: "architecture", name: "amd64")) { try SeccompArchitecture(name: "amd64") }
        #expect(throws: SeccompError.unknown(kind: "flag", name: "")) { try SeccompFlag(name: "") }
        #expect(SeccompError.unknown(kind: "action", name: "a\nb").description == #"seccomp: unknown action "a\nb""#)
    }

    @Test func flagsAreTheKernels() throws {
        #expect(SeccompFilter.loadFlags(of: SeccompProfile(defaultAction: .allow, flags: [.tsync, .log, .specAllow])) == 2 | 4)
        let notifying = SeccompProfile(defaultAction: .allow, flags: [.waitKillableRecv], rules: [rule("read", action: .notify)])
        #expect(SeccompFilter.loadFlags(of: notifying) == 8 | 32)
    }
}

/// On this thread only.
private func setNoNewPrivileges() { _ = clp_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }

@Suite struct SeccompKernelTests {
    /// Loads a filter on a thread of its own and answers errno of a call there.
    private func errorAfterLoading(_ profile: SeccompProfile, _ call: @escaping @Sendable () -> Int) throws -> Int32? {
        let filter = try SeccompFilter.compile(profile)
        return onOwnThread {
            setNoNewPrivileges()
            do throws(SystemError) { try filter.load() } catch { return -error.code }
            return call() < 0 ? errno : 0
        }
    }

    @Test func kernelObeysTheFilter() throws {
        let profile = SeccompProfile(
            defaultAction: .allow, rules: [SeccompProfile.Rule(names: ["getcwd"], action: .errno, errnoRet: UInt32(ENOTTY))])
        #expect(try errorAfterLoading(profile) { getcwd(nil, 0) == nil ? -1 : 0 } == ENOTTY)
        #expect(getcwd(nil, 0) != nil)
    }

    @Test func defaultProfileLoadsAndForbidsMounting() throws {
        let profile = DefaultSeccompProfile.resolve(capabilities: [])
        #expect(try errorAfterLoading(profile) { Int(mount("none", "/nowhere", "tmpfs", 0, nil)) } == EPERM)
        #expect(try errorAfterLoading(profile) { Int(getpgid(0)) } == 0)
    }

    @Test func notifyActionGivesADescriptor() throws {
        let filter = try SeccompFilter.compile(
            SeccompProfile(defaultAction: .allow, rules: [SeccompProfile.Rule(names: ["acct"], action: .notify)]))
        let isOpen = onOwnThread {
            setNoNewPrivileges()
            guard let listener = try? filter.load() else { return false }
            return clp_fcntl(listener.raw, F_GETFD, 0) == FD_CLOEXEC
        }
        #expect(isOpen == true)
    }
}
