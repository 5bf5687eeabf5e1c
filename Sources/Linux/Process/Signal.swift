internal import Glibc

/// Signals by name and number (signal(7), x86 and arm).
public enum Signal {
    /// The names without `SIG`; the index is the number.
    private static let names = [
        "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
        "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ]
    private static let aliases = ["IOT": 6, "CLD": 17, "POLL": 29, "RTMIN": 34, "RTMAX": 64]

    /// `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`; nil for what is no signal.
    public static func number(_ text: String) -> Int32? {
        if let number = Int32(text) { return (1...64).contains(number) ? number : nil }
        var name = text.uppercased()
        if name.hasPrefix("SIG") { name.removeFirst(3) }
        if let index = names.firstIndex(of: name), index > 0 { return Int32(index) }
        if let alias = aliases[name] { return Int32(alias) }
        if name.hasPrefix("RTMIN+"), let offset = Int32(name.dropFirst(6)), (0...30).contains(offset) { return 34 + offset }
        if name.hasPrefix("RTMAX-"), let offset = Int32(name.dropFirst(6)), (0...30).contains(offset) { return 64 - offset }
        return nil
    }

    /// `killed` for 9, in the C library's words.
    public static func meaning(_ number: Int32) -> String { strsignal(number).map { String(cString: $0).lowercased() } ?? "unknown" }

    /// `SIGKILL` for 9.
    public static func name(_ number: Int32) -> String {
        names.indices.contains(Int(number)) && number > 0 ? "SIG\(names[Int(number)])" : "signal \(number)"
    }
}
