internal import CLinux
internal import Glibc

/// One cgroup in one hierarchy: a directory whose files are the kernel's knobs.
///
/// Files are never created, only opened: a knob that this kernel lacks must fail, also where a plain directory
/// stands in for the kernel in a test.
struct CgroupDirectory: Sendable, Hashable {
    /// The hierarchy's mount point.
    let mountPoint: String
    /// Below the mount point, begins with a slash.
    let relative: String
    let controllers: [String]
    let isUnified: Bool

    var path: String { mountPoint + relative }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func has(_ name: String) -> Bool { access(file(name), F_OK) == 0 }

    func read(_ name: String) throws(SystemError) -> String { try Files.readText(file(name)) }

    /// One write(2) of the whole text: the kernel takes each write as one command.
    func write(_ name: String, _ text: String) throws(SystemError) {
        try write(name, lines: [text])
    }

    /// Several commands to one knob, one write(2) each, through one open file.
    func write(_ name: String, lines: [String]) throws(SystemError) {
        if lines.isEmpty { return }
        let target = file(name)
        let knob = try OwnedFD.open(target, O_WRONLY)
        let fd = knob.raw
        for line in lines {
            var copy = line
            _ = try retrying("write \(Self.shown(line)) to", target) { copy.withUTF8 { Glibc.write(fd, $0.baseAddress, $0.count) } }
        }
    }

    /// `write` of a setting by the name the user gave it: a knob that is missing says so.
    func set(_ name: String, _ text: String, for setting: String) throws {
        do { try write(name, text) } catch {
            if error.code == ENOENT && !has(name) {
                throw CgroupError.unsupported(setting: setting, reason: "this kernel has no \(name)")
            }
            throw SystemError("set \(setting): \(error.operation)", error.subject, code: error.code)
        }
    }

    /// A knob's single number; nil for `max` and what is no number.
    func number(_ name: String) -> UInt64? {
        guard let text = try? read(name) else { return nil }
        return UInt64(text.filter { $0 != "\n" })
    }

    private static func shown(_ text: String) -> String { text.count <= 40 ? text : "\(text.prefix(40))…" }
}
