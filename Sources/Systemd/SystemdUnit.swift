/// The scope that holds a container, named by OCI's `cgroupsPath` for the systemd driver: `slice:prefix:name`.
public struct SystemdUnit: Sendable, Hashable {
    /// `system.slice`; `-.slice` is the root.
    public let slice: String
    /// `prefix-name.scope`.
    public let name: String

    /// nil is the default: a scope of the system's (for a user: the user's) slice.
    public init(cgroupsPath: String?, id: String, isUser: Bool) throws(BusError) {
        guard let cgroupsPath else {
            try self.init(slice: isUser ? "user.slice" : "system.slice", name: "clipper-\(id).scope")
            return
        }
        let parts = cgroupsPath.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3 else {
            throw .invalid("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"\(cgroupsPath)\" instead")
        }
        if parts[2].hasSuffix(".slice") { throw .invalid("cgroupsPath \"\(cgroupsPath)\": a slice holds no processes") }
        let slice = parts[0].isEmpty ? (isUser ? "user.slice" : "system.slice") : parts[0]
        try self.init(slice: slice, name: parts[1].isEmpty ? "\(parts[2]).scope" : "\(parts[1])-\(parts[2]).scope")
    }

    init(slice: String, name: String) throws(BusError) {
        self.slice = slice
        self.name = name
        _ = try Self.expanded(slice)
        let allowed = name.utf8.allSatisfy { byte in
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: ":"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "\\"),
                UInt8(ascii: "@"):
                true
            default: false
            }
        }
        // systemd.unit(5): at most 255 characters, of these.
        if !allowed || name.utf8.count > 255 || name.hasPrefix("-.") || name.hasPrefix(".") {
            throw .invalid("invalid systemd unit name \"\(name)\"")
        }
    }

    /// Where systemd puts the scope below its own root: `a-b.slice` lies in `a.slice` (systemd.slice(5)).
    public var path: String {
        let parent = (try? Self.expanded(slice)) ?? "/"
        return parent == "/" ? "/\(name)" : "\(parent)/\(name)"
    }

    /// `/a.slice/a-b.slice` for `a-b.slice`.
    static func expanded(_ slice: String) throws(BusError) -> String {
        let suffix = ".slice"
        guard slice.hasSuffix(suffix), slice.utf8.count > suffix.utf8.count, !slice.contains("/") else {
            throw .invalid("invalid slice name \"\(slice)\"")
        }
        let stem = slice.dropLast(suffix.utf8.count)
        if stem == "-" { return "/" }
        var path = ""
        var prefix = ""
        for component in stem.split(separator: "-", omittingEmptySubsequences: false) {
            if component.isEmpty || component == "." || component == ".." { throw .invalid("invalid slice name \"\(slice)\"") }
            prefix += prefix.isEmpty ? "\(component)" : "-\(component)"
            path += "/\(prefix)\(suffix)"
        }
        return path
    }
}
