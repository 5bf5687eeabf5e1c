internal import EngineTypes

/// Looks for the keys that detach in what the user types; the bytes before them go on, the keys themselves don't.
struct DetachKeys {
    private let keys: [UInt8]
    private var matched = 0

    /// ctrl-p, ctrl-q.
    static let standard: [UInt8] = [16, 17]

    init(_ keys: [UInt8] = standard) { self.keys = keys }

    /// Nil for the standard keys.
    init(orStandard text: String?) throws { self = try text.map { try DetachKeys(parsing: $0) } ?? DetachKeys() }

    /// As `KeySequence` has them. Throws `Failure`.
    init(parsing text: String) throws {
        do { keys = try KeySequence(parsing: text).bytes } catch { throw Failure("Invalid detach keys (\(text)): \(error)") }
    }

    /// What may go on, and whether the keys are complete.
    mutating func filter(_ bytes: some Sequence<UInt8>) -> (passed: [UInt8], isDetached: Bool) {
        var passed: [UInt8] = []
        for byte in bytes {
            if byte == keys[matched] {
                matched += 1
                if matched == keys.count { return (passed, true) }
                continue
            }
            passed += keys[..<matched]
            matched = 0
            if byte == keys[0] { matched = 1 } else { passed.append(byte) }
        }
        return (passed, false)
    }
}
