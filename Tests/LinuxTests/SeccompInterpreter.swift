@testable import Linux

/// Runs a seccomp filter as the kernel would, so that a test can ask what it answers to any system call.
/// Only the instructions that seccomp programs use (linux/filter.h).
struct SeccompInterpreter {
    let instructions: [UInt64]

    struct Call {
        var architecture: UInt32 = 0xc000_003e
        var number: UInt32
        var arguments: [UInt64] = []

        init(_ number: Int, _ arguments: [UInt64] = [], architecture: UInt32 = 0xc000_003e) {
            self.number = UInt32(truncatingIfNeeded: number)
            self.arguments = arguments
            self.architecture = architecture
        }

        /// `struct seccomp_data`: number, architecture, instruction pointer, six arguments; by 32-bit words.
        var words: [UInt32] {
            var result = [number, architecture, 0, 0]
            for index in 0..<6 {
                let value = index < arguments.count ? arguments[index] : 0
                result += [UInt32(truncatingIfNeeded: value), UInt32(value >> 32)]
            }
            return result
        }
    }

    enum Failure: Error { case unknownInstruction(UInt16), endless }

    /// The SECCOMP_RET_* value.
    func answer(to call: Call) throws -> UInt32 {
        let data = call.words
        var accumulator: UInt32 = 0
        var index = 0
        for _ in 0..<instructions.count + 1 {
            guard instructions.indices.contains(index) else { break }
            let raw = instructions[index]
            let value = UInt32(raw >> 32)
            let whenTrue = Int(raw >> 16 & 0xff)
            let whenFalse = Int(raw >> 24 & 0xff)
            switch UInt16(truncatingIfNeeded: raw) {
            case 0x20: accumulator = data[Int(value) / 4]
            case 0x54: accumulator &= value
            case 0x05: index += Int(value)
            case 0x15: index += accumulator == value ? whenTrue : whenFalse
            case 0x25: index += accumulator > value ? whenTrue : whenFalse
            case 0x35: index += accumulator >= value ? whenTrue : whenFalse
            case 0x45: index += accumulator & value != 0 ? whenTrue : whenFalse
            case 0x06: return value
            case let other: throw Failure.unknownInstruction(other)
            }
            index += 1
        }
        throw Failure.endless
    }
}

extension UInt32 {
    static let allow: UInt32 = 0x7fff_0000
    static let killThread: UInt32 = 0
    static func errno(_ code: Int32) -> UInt32 { 0x0005_0000 | UInt32(code) }
}
