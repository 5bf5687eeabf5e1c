/// Looks for the keys that detach in what the user types; the bytes before them go on, the keys themselves don't.
struct DetachKeys {
    private let keys: [UInt8]
    private var matched = 0

    /// ctrl-p, ctrl-q.
    static let standard: [UInt8] = [16, 17]

    init(_ keys: [UInt8] = standard) { self.keys = keys }

    /// Nil for the standard keys.
    init(orStandard text: String?) throws { self = try text.map { try DetachKeys(parsing: $0) } ?? DetachKeys() }

    /// `ctrl-a,d`: letters, `ctrl-` and a letter or one of @[\]^_, divided by commas. Throws `Failure`.
    init(parsing text: String) throws {
        keys = try text.split(separator: ",", omittingEmptySubsequences: false).map { key in
            let bytes = Array(key.utf8)
            if bytes.count == 1, bytes[0] < 128 { return bytes[0] }
            if key.lowercased().hasPrefix("ctrl-"), bytes.count == 6 {
                let letter = bytes[5]
                if (97...122).contains(letter) { return letter - 96 }
                if letter == UInt8(ascii: "@") { return 0 }
                if (91...95).contains(letter) { return letter - 64 }
            }
            throw Failure("Invalid detach keys (\(text)): Unknown character: '\(key)'")
        }
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
