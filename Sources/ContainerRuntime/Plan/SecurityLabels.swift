internal import CLinux
internal import Glibc
internal import Linux

/// Labels of the security modules for the next execve(2).
enum SecurityLabels {
    static var hasAppArmor: Bool {
        guard let text = try? Files.readText("/sys/module/apparmor/parameters/enabled") else { return false }
        return text.hasPrefix("Y")
    }

    /// Tells AppArmor the profile of the program to come.
    static func setAppArmor(_ profile: String) throws {
        let path = Files.exists("/proc/self/attr/apparmor/exec") ? "/proc/self/attr/apparmor/exec" : "/proc/self/attr/exec"
        try write("exec \(profile)", to: path, what: "apparmor profile \(profile)")
    }

    /// Tells SELinux the label of the program to come.
    static func setSELinux(_ label: String) throws { try write(label, to: "/proc/self/attr/exec", what: "selinux label \(label)") }

    private static func write(_ text: String, to path: String, what: String) throws {
        let file = try OwnedFD.open(path, O_WRONLY)
        // A fake /proc in the image must not swallow the label (CVE-2019-16884).
        guard Mounts.isProcfs(file) else { throw RuntimeError(kind: .system(EINVAL), message: "set \(what): \(path) is not on procfs") }
        do { try file.writeAll(Array(text.utf8)) } catch { throw SystemError("set", what, code: error.code) }
    }
}
