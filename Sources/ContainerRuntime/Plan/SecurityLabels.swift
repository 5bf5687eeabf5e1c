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
        let procfs = try procfs("apparmor profile \(profile)")
        let path = procfs.has("self/attr/apparmor/exec") ? "self/attr/apparmor/exec" : "self/attr/exec"
        try write("exec \(profile)", to: path, of: procfs, what: "apparmor profile \(profile)")
    }

    /// Tells SELinux the label of the program to come.
    static func setSELinux(_ label: String) throws {
        try write(label, to: "self/attr/exec", of: procfs("selinux label \(label)"), what: "selinux label \(label)")
    }

    /// The container's /proc, proven: what an image or a process in the container has put over it, or over a file in it,
    /// must not swallow the label or turn it into something else (CVE-2019-16884, CVE-2025-52881).
    private static func procfs(_ what: String) throws(SystemError) -> Procfs {
        do { return try Procfs.own() } catch { throw SystemError("set \(what): /proc is not procfs", code: error.code) }
    }

    private static func write(_ text: String, to path: String, of procfs: borrowing Procfs, what: String) throws(SystemError) {
        do { try procfs.write(text, to: path) } catch { throw SystemError("set", what, code: error.code) }
    }
}
