/// Names of containers, which become names of directories.
public enum ContainerID {
    /// As runc: letters, digits, `_`, `+`, `-` and `.`; not `.` or `..`; at most 1024 bytes.
    public static func validate(_ id: String) throws(RuntimeError) {
        let isAllowed = id.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        if id.isEmpty || id == "." || id == ".." || !isAllowed || id.utf8.count > 1024 {
            throw RuntimeError(kind: .usage, message: "invalid container id \"\(id)\": letters, digits, _, +, - and . are allowed")
        }
    }
}
