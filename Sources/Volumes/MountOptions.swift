internal import CLinux
internal import Glibc
internal import Linux

/// What the local driver mounts on a volume's directory: Docker's options `type`, `o` and `device`, as mount(8) has them.
struct MountOptions: Sendable, Equatable {
    let type: String
    let device: String
    let flags: UInt
    /// What the kernel's flags don't cover, for the file system: `size=1m,uid=1000`.
    let data: String

    /// Throws for what Docker refuses when a volume is made: unknown options, and one without those that belong to it.
    static func check(_ options: [String: String]) throws(VolumeError) {
        for key in options.keys.sorted() where !["type", "o", "device", "size"].contains(key) {
            throw VolumeError(code: .invalid, message: "invalid option: \"\(key)\"")
        }
        guard ["type", "o", "device"].contains(where: { options[$0] != nil }) else { return }
        for key in ["device", "type"] where options[key] == nil {
            throw VolumeError(code: .invalid, message: "missing required option: \"\(key)\"")
        }
    }

    /// Nil when the options ask for a plain directory. Throws for what cannot be mounted and for what is not built in.
    init?(_ options: [String: String]) throws {
        let type = options["type"] ?? ""
        let device = options["device"] ?? ""
        let words = (options["o"] ?? "").split(separator: ",").map(String.init)
        if type.isEmpty && device.isEmpty && words.isEmpty { return nil }
        if device.isEmpty { throw VolumeError(code: .invalid, message: "missing device in volume options") }
        if type.isEmpty && !words.contains("bind") && !words.contains("rbind") {
            throw VolumeError(code: .invalid, message: "missing type in volume options")
        }
        if type.hasPrefix("nfs") || type == "cifs" {
            throw VolumeError(code: .notImplemented, message: "not implemented: volumes of type \(type)")
        }
        var flags: UInt = 0
        var data: [String] = []
        for word in words {
            if let flag = Self.flags[word] { flags |= flag.bit; if flag.clears { flags &= ~flag.bit } } else { data.append(word) }
        }
        self.type = type
        self.device = device
        self.flags = flags
        self.data = data.joined(separator: ",")
    }

    private static let flags: [String: (bit: UInt, clears: Bool)] = {
        var result: [String: (bit: UInt, clears: Bool)] = ["defaults": (0, false)]
        let pairs: [(String, String, UInt)] = [
            ("ro", "rw", UInt(CLinux.MS_RDONLY)), ("nosuid", "suid", UInt(CLinux.MS_NOSUID)), ("nodev", "dev", UInt(CLinux.MS_NODEV)),
            ("noexec", "exec", UInt(CLinux.MS_NOEXEC)), ("sync", "async", UInt(CLinux.MS_SYNCHRONOUS)),
            ("dirsync", "", UInt(CLinux.MS_DIRSYNC)),
            ("noatime", "atime", UInt(CLinux.MS_NOATIME)), ("nodiratime", "diratime", UInt(CLinux.MS_NODIRATIME)),
            ("relatime", "norelatime", UInt(CLinux.MS_RELATIME)), ("strictatime", "nostrictatime", UInt(CLinux.MS_STRICTATIME)),
            ("bind", "", UInt(CLinux.MS_BIND)), ("rbind", "", UInt(CLinux.MS_BIND) | UInt(CLinux.MS_REC)),
        ]
        for (set, clear, bit) in pairs {
            result[set] = (bit, false)
            if !clear.isEmpty { result[clear] = (bit, true) }
        }
        return result
    }()

    var isBind: Bool { flags & UInt(CLinux.MS_BIND) != 0 }

    /// Mounts on a directory.
    func mount(on path: String) throws {
        do {
            _ = try retrying("mount \(device) on", path) {
                Glibc.mount(device, path, isBind ? nil : type, flags, data.isEmpty ? nil : data)
            }
            // A bind mount takes its other flags only in a second step (mount(2)).
            let rest = flags & ~(UInt(CLinux.MS_BIND) | UInt(CLinux.MS_REC))
            if isBind && rest != 0 {
                _ = try retrying("remount", path) {
                    Glibc.mount(nil, path, nil, rest | UInt(CLinux.MS_BIND) | UInt(CLinux.MS_REMOUNT), nil)
                }
            }
        } catch {
            throw VolumeError(code: .failed, message: "failed to mount local volume: \(error)")
        }
    }

    static func unmount(_ path: String) throws { _ = try retrying("unmount", path) { umount2(path, Int32(UMOUNT_NOFOLLOW)) } }

    /// Whether something is mounted on exactly this directory, by its mount's identity (statx(2) is not in every libc:
    /// the kernel's list is).
    static func isMounted(_ path: String) throws -> Bool {
        let text = try Files.readText("/proc/self/mountinfo")
        return text.split(separator: "\n").contains { line in
            let fields = line.split(separator: " ", maxSplits: 5)
            return fields.count > 4 && unescaped(fields[4]) == path
        }
    }

    /// Spaces and the like stand as `\040` in mountinfo (proc(5)).
    private static func unescaped(_ text: Substring) -> String {
        var result: [UInt8] = []
        let bytes = Array(text.utf8)
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\\"), index + 3 < bytes.count,
                let byte = UInt8(String(decoding: bytes[index + 1...index + 3], as: UTF8.self), radix: 8)
            {
                result.append(byte)
                index += 4
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
