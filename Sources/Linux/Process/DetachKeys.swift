/// Looks for the keys that detach in what the user types at a terminal; the bytes before them go on, the keys themselves don't.
public struct DetachKeys: Sendable, Equatable {
    public let keys: [UInt8]
    private var matched = 0

    /// ctrl-p, ctrl-q.
    public static let standard: [UInt8] = [16, 17]

    /// Without keys nothing detaches.
    public init(_ keys: [UInt8] = standard) { self.keys = keys }

    /// What may go on, and whether the keys are complete.
    public mutating func filter(_ bytes: some Sequence<UInt8>) -> (passed: [UInt8], isDetached: Bool) {
        guard let first = keys.first else { return (Array(bytes), false) }
        var passed: [UInt8] = []
        for byte in bytes {
            if byte == keys[matched] {
                matched += 1
                if matched == keys.count { return (passed, true) }
                continue
            }
            passed += keys[..<matched]
            matched = 0
            if byte == first { matched = 1 } else { passed.append(byte) }
        }
        return (passed, false)
    }
}
