internal import EngineTypes

extension MountRequest {
    /// Docker's error for a mount that cannot be.
    func refused(_ reason: String) -> EngineError { .invalid("invalid mount config for type \"\(Type ?? "")\": \(reason)") }

    /// Refuses what contradicts itself or belongs to another type of mount, in Docker's words.
    func check() throws(EngineError) {
        let target = Target ?? ""
        if target.isEmpty { throw refused("field Target must not be empty") }
        switch Type ?? "" {
        case "bind": try checkBind()
        case "volume": try checkVolume()
        case "image": try checkImage()
        case "tmpfs":
            if !(Source ?? "").isEmpty { throw refused("field Source must not be specified") }
            try refuseOthers(than: "TmpfsOptions")
            if let size = self.TmpfsOptions?.SizeBytes, size < 0 { throw refused("invalid size: \(size)") }
            if let mode = self.TmpfsOptions?.Mode, !(0...0o7777).contains(mode) { throw refused("invalid mode: \(mode)") }
            for option in self.TmpfsOptions?.Options ?? [] {
                do { try Self.checkTmpfs([option.joined(separator: "=")]) } catch { throw refused(error.message) }
            }
        case "cluster": throw .notImplemented("Mounts.Type=cluster")
        default: throw .invalid("invalid mount config for type \"\(Type ?? "")\": mount type unknown")
        }
        guard ["", "default", "consistent", "cached", "delegated"].contains(Consistency ?? "") else {
            throw refused("invalid consistency: \(Consistency ?? "")")
        }
    }

    /// Options of tmpfs (tmpfs(5)) and of every mount (mount(8)) that Docker lets through.
    private static let tmpfsWords: Set<String> = [
        "defaults", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "remount", "mand", "nomand",
        "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "bind", "rbind",
        "unbindable", "runbindable", "private", "rprivate", "shared", "rshared", "slave", "rslave",
    ]
    private static let tmpfsValues: Set<String> = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"]

    /// The kernel's own refusal would not say which it is.
    static func checkTmpfs(_ options: [String]) throws(EngineError) {
        for option in options where !tmpfsWords.contains(option) {
            let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, tmpfsValues.contains(String(parts[0])) else {
                throw .invalid("invalid tmpfs option [\(parts.map { "\"\($0)\"" }.joined(separator: " "))]")
            }
        }
    }

    private func refuseOthers(than own: String) throws(EngineError) {
        let given = [
            ("BindOptions", self.BindOptions != nil), ("VolumeOptions", self.VolumeOptions != nil),
            ("ImageOptions", self.ImageOptions != nil), ("TmpfsOptions", self.TmpfsOptions != nil),
        ]
        for (name, isGiven) in given where isGiven && name != own { throw refused("field \(name) must not be specified") }
    }

    private func checkBind() throws(EngineError) {
        let source = Source ?? ""
        if source.isEmpty { throw refused("field Source must not be empty") }
        guard source.hasPrefix("/") else { throw refused("invalid mount path: '\(source)' mount path must be absolute") }
        try refuseOthers(than: "BindOptions")
        guard let options = self.BindOptions else { return }
        let known = ["", "private", "rprivate", "shared", "rshared", "slave", "rslave"]
        guard known.contains(options.Propagation ?? "") else { throw refused("invalid propagation mode: \(options.Propagation ?? "")") }
        if options.ReadOnlyNonRecursive == true && options.ReadOnlyForceRecursive == true {
            throw refused("conflicting options: ReadOnlyNonRecursive and ReadOnlyForceRecursive")
        }
        if ReadOnly != true && (options.ReadOnlyNonRecursive == true || options.ReadOnlyForceRecursive == true) {
            throw refused("ReadOnlyNonRecursive and ReadOnlyForceRecursive need ReadOnly")
        }
        if options.ReadOnlyForceRecursive == true && !["", "private", "rprivate"].contains(options.Propagation ?? "") {
            throw refused("ReadOnlyForceRecursive needs propagation \"rprivate\"")
        }
    }

    private func checkVolume() throws(EngineError) {
        try refuseOthers(than: "VolumeOptions")
        let isAnonymous = (Source ?? "").isEmpty
        if isAnonymous && ReadOnly == true { throw refused("must not set ReadOnly mode when using anonymous volumes") }
        let subpath = self.VolumeOptions?.Subpath ?? ""
        if isAnonymous && !subpath.isEmpty { throw refused("must not set Subpath when using anonymous volumes") }
        try checkLocal(subpath, "volume")
    }

    private func checkImage() throws(EngineError) {
        if (Source ?? "").isEmpty { throw refused("field Source must not be empty") }
        try refuseOthers(than: "ImageOptions")
        try checkLocal(self.ImageOptions?.Subpath ?? "", "image")
    }

    /// Relative, and nowhere above where it begins.
    private func checkLocal(_ subpath: String, _ what: String) throws(EngineError) {
        var depth = 0
        for part in subpath.split(separator: "/") where part != "." {
            depth += part == ".." ? -1 : 1
            if depth < 0 { break }
        }
        if subpath.hasPrefix("/") || depth < 0 { throw refused("subpath must be a relative path within the \(what)") }
    }
}
