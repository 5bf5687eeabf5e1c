/// Why a text names no platform, in the words of containerd's `platforms.Parse`, which are Docker's.
public struct PlatformError: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

extension Platform {
    /// Reads `os[/architecture[/variant]]`, or an architecture alone.
    public init(parsing text: String) throws(PlatformError) {
        if text.contains("*") { throw PlatformError("\"\(text)\": wildcards not yet supported: invalid argument") }
        let parts = text.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
        for (index, part) in parts.enumerated() { try PlatformNames.check(part, of: text, isSystem: index == 0) }
        let system = PlatformNames.plain(os: parts[0])
        if parts.count == 1 && PlatformNames.systems.contains(system) {
            self.init(os: system, architecture: Platform.host.architecture)
            return
        }
        if parts.count > 3 { throw PlatformError("\"\(text)\": cannot parse platform specifier: invalid argument") }
        var (architecture, variant) = PlatformNames.plain(parts.count == 1 ? parts[0] : parts[1], parts.count == 3 ? parts[2] : "")
        if parts.count == 1 && !PlatformNames.architectures.contains(architecture) {
            throw PlatformError("\"\(text)\": unknown operating system or architecture: invalid argument")
        }
        if parts.count == 3 {
            if architecture == "arm64" && variant.isEmpty { variant = "v8" }
        } else if architecture == "arm" && variant == "v7" {
            variant = ""
        }
        self.init(
            os: parts.count == 1 ? Platform.host.os : system, architecture: architecture, variant: variant.isEmpty ? nil : variant)
    }
}

/// The spellings of operating systems, architectures and variants, as containerd has them.
enum PlatformNames {
    static let systems: Set = [
        "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl", "netbsd", "openbsd", "plan9",
        "solaris", "windows", "zos",
    ]
    static let architectures: Set = [
        "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "ppc64", "ppc64le", "loong64", "mips", "mipsle", "mips64",
        "mips64le", "mips64p32", "mips64p32le", "ppc", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64", "wasm",
    ]

    static func plain(os: String) -> String {
        let os = os.lowercased()
        return os == "macos" ? "darwin" : os
    }

    /// One spelling for each; an empty variant is the architecture's own.
    static func plain(_ architecture: String, _ variant: String) -> (architecture: String, variant: String) {
        let variant = variant.lowercased()
        switch (architecture.lowercased(), variant) {
        case ("i386", _): return ("386", "")
        case ("x86_64", _), ("x86-64", _), ("amd64", _): return ("amd64", variant == "v1" ? "" : variant)
        case ("aarch64", let number), ("arm64", let number):
            switch number {
            case "8", "v8", "v8.0": return ("arm64", "")
            case "9", "9.0", "v9.0": return ("arm64", "v9")
            default: return ("arm64", number)
            }
        case ("armhf", _): return ("arm", "v7")
        case ("armel", _): return ("arm", "v6")
        case ("arm", ""), ("arm", "7"): return ("arm", "v7")
        case ("arm", "5"), ("arm", "6"), ("arm", "8"): return ("arm", "v\(variant)")
        case (let other, _): return (other, variant)
        }
    }

    /// Letters, digits, `_`, `-`, and `.` in all but an operating system.
    static func check(_ part: String, of text: String, isSystem: Bool) throws(PlatformError) {
        let isWord = part.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "_"), UInt8(ascii: "-"): true
            default: byte == UInt8(ascii: ".") && !isSystem
            }
        }
        if isWord && !part.isEmpty { return }
        let rule =
            isSystem
            ? "is an invalid OS component of \"\(text)\": OSAndVersion specifier component must match "
                + #""^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.-]*)\\))?$""#
            : #"is an invalid component of "\#(text)": platform specifier component must match "^[A-Za-z0-9_.-]+$""#
        throw PlatformError("\"\(part)\" \(rule): invalid argument")
    }
}
