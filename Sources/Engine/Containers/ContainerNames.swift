internal import EngineTypes

/// Names of containers: what is allowed, and what one gets that was given none.
enum ContainerNames {
    /// Docker's rule: a letter or digit, then letters, digits, `_`, `.` and `-`.
    /// `shown` is how the message has it.
    static func check(_ name: String, shown: String? = nil) throws(EngineError) {
        let scalars = name.utf8
        let isFirst = { (byte: UInt8) in (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) }
        guard let first = scalars.first, isFirst(first), scalars.count > 1,
            scalars.dropFirst().allSatisfy({ isFirst($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") })
        else {
            throw .invalid("Invalid container name (\(shown ?? name)), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        }
    }

    private static let moods = [
        "able", "agile", "amber", "apt", "ardent", "bold", "brave", "brisk", "calm", "candid", "clear", "clever", "crisp", "deft", "eager",
        "early", "fair", "fast", "fleet", "fond", "frank", "free", "fresh", "gentle", "glad", "golden", "grand", "hardy", "keen", "kind",
        "light", "lively", "loyal", "lucid", "merry", "mild", "neat", "nimble", "noble", "open", "patient", "plain", "proud", "quick",
        "quiet",
        "rapid", "ready", "serene", "sharp", "silver", "sleek", "smart", "steady", "sunny", "swift", "tidy", "trim", "true", "vivid",
        "warm", "wise",
    ]
    private static let ships = [
        "ariel", "beagle", "bounty", "clipper", "cutter", "cutty", "dhow", "discovery", "dory", "endeavour", "endurance", "fram", "frigate",
        "galleon", "golden_hind", "gypsy_moth", "halcyon", "junk", "kayak", "ketch", "kontiki", "lugger", "mayflower", "nina", "packet",
        "pinnace", "pinta", "resolute", "sark", "schooner", "skiff", "sloop", "spray", "taeping", "tern", "thermopylae", "trireme", "umiak",
        "vasa", "victory", "wherry", "windhover", "yawl", "zephyr",
    ]

    /// Two words; a number behind them once names run out.
    static func generate(isTaken: (String) -> Bool) -> String {
        for attempt in 0... {
            let mood = moods.randomElement() ?? "swift"
            let ship = ships.randomElement() ?? "clipper"
            let name = attempt < 8 ? "\(mood)_\(ship)" : "\(mood)_\(ship)\(Int.random(in: 1...99_999))"
            if !isTaken(name) { return name }
        }
        return "clipper"
    }

    /// 64 hexadecimal digits; the first twelve are never all decimal, since they become a host name.
    static func newID() -> String {
        while true {
            let id = (0..<4).map { _ in
                let digits = String(UInt64.random(in: .min ... .max), radix: 16)
                return String(repeating: "0", count: 16 - digits.count) + digits
            }.joined()
            if !id.prefix(12).allSatisfy(\.isNumber) { return id }
        }
    }
}
