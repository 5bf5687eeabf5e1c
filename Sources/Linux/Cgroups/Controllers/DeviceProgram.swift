internal import CLinux
internal import Glibc

/// Device rules as a BPF program for cgroup v2, which has no device knobs (cgroup-v2.rst, "Device controller").
///
/// The kernel calls it at each open and mknod of a device with `struct bpf_cgroup_dev_ctx` (linux/bpf.h): what is to be
/// done, which kind, which numbers. The last rule that speaks about a kind of access decides about it, so the rules are
/// looked at from the last to the first; r3 holds the access that no rule has allowed yet.
struct DeviceProgram: Hashable {
    /// `struct bpf_insn`, eight bytes each.
    let instructions: [UInt64]

    // Instruction codes of linux/bpf.h and linux/bpf_common.h.
    private enum Code: UInt8 {
        /// 32-bit load: BPF_LDX | BPF_MEM | BPF_W.
        case load = 0x61
        /// 64-bit ALU with a register: BPF_ALU64 | BPF_MOV | BPF_X.
        case moveRegister = 0xbf
        case moveValue = 0xb7
        case andValue = 0x57
        case shiftRight = 0x77
        case jumpIfEqual = 0x15
        case jumpIfNotEqual = 0x55
        case exit = 0x95
    }

    private static func instruction(
        _ code: Code, to destination: UInt8 = 0, from source: UInt8 = 0, offset: Int16 = 0, value: Int32 = 0
    ) -> UInt64 {
        UInt64(code.rawValue) | UInt64(destination | source << 4) << 8 | UInt64(UInt16(bitPattern: offset)) << 16
            | UInt64(UInt32(bitPattern: value)) << 32
    }

    init(_ list: DeviceList) {
        var program = [
            Self.instruction(.load, to: 2, from: 1, offset: 0),
            Self.instruction(.moveRegister, to: 3, from: 2),
            Self.instruction(.andValue, to: 2, value: 0xffff),
            Self.instruction(.shiftRight, to: 3, value: 16),
            Self.instruction(.load, to: 4, from: 1, offset: 4),
            Self.instruction(.load, to: 5, from: 1, offset: 8),
        ]
        for rule in list.rules.reversed() { program += Self.block(for: rule) }
        program += Self.answer(list.allowsByDefault)
        instructions = program
    }

    private static func answer(_ allow: Bool) -> [UInt64] { [instruction(.moveValue, to: 0, value: allow ? 1 : 0), instruction(.exit)] }

    /// The instructions of one rule; each test that fails jumps behind its end.
    private static func block(for rule: DeviceRule) -> [UInt64] {
        var tests: [(register: UInt8, value: Int32)] = []
        switch rule.kind {
        case .all: break
        case .block: tests.append((2, 1))
        case .character: tests.append((2, 2))
        }
        if let major = rule.major { tests.append((4, Int32(truncatingIfNeeded: major))) }
        if let minor = rule.minor { tests.append((5, Int32(truncatingIfNeeded: minor))) }
        let access = Int32(rule.access.rawValue)
        var body: [UInt64]
        if rule.allow {
            body = [instruction(.andValue, to: 3, value: ~access), instruction(.jumpIfNotEqual, to: 3, offset: 2, value: 0)]
        } else {
            body = [
                instruction(.moveRegister, to: 6, from: 3), instruction(.andValue, to: 6, value: access),
                instruction(.jumpIfEqual, to: 6, offset: 2, value: 0),
            ]
        }
        body += answer(rule.allow)
        var result: [UInt64] = []
        for (index, test) in tests.enumerated() {
            let distance = tests.count - index - 1 + body.count
            result.append(instruction(.jumpIfNotEqual, to: test.register, offset: Int16(distance), value: test.value))
        }
        return result + body
    }

    /// Loads the program and makes it the cgroup's only one of its kind, without a moment in which none holds.
    /// The kernel lets it go with the cgroup.
    func attach(to directory: CgroupDirectory) throws {
        let cgroup = try OwnedFD.open(directory.path, O_RDONLY | O_DIRECTORY)
        let program = OwnedFD(
            owning: try retrying("load device program for", directory.path) {
                instructions.withUnsafeBufferPointer { clp_bpf_load_device($0.baseAddress, UInt32($0.count)) }
            })
        let present = try Self.attached(to: cgroup, directory.path)
        if present.count == 1, let old = present.first {
            let oldProgram = OwnedFD(owning: try retrying("open device program of", directory.path) { clp_bpf_program(old) })
            _ = try retrying("replace device program of", directory.path) {
                clp_bpf_attach_device(cgroup.raw, program.raw, oldProgram.raw)
            }
            return
        }
        _ = try retrying("attach device program to", directory.path) { clp_bpf_attach_device(cgroup.raw, program.raw, -1) }
        for old in present {
            let oldProgram = OwnedFD(owning: try retrying("open device program of", directory.path) { clp_bpf_program(old) })
            _ = try retrying("detach device program of", directory.path) { clp_bpf_detach_device(cgroup.raw, oldProgram.raw) }
        }
    }

    /// The identifiers of the device programs on a cgroup.
    static func attached(to cgroup: borrowing OwnedFD, _ path: String) throws(SystemError) -> [UInt32] {
        var identifiers = [UInt32](repeating: 0, count: 64)
        let descriptor = cgroup.raw
        let count = try retrying("query device programs of", path) { clp_bpf_query_device(descriptor, &identifiers, 64) }
        return Array(identifiers.prefix(Int(count)))
    }
}
