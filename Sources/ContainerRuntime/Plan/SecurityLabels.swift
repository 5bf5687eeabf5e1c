internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// The security modules whose labels a process can be given; what `features` lists.
enum SecurityModule: String, CaseIterable {
    case apparmor, selinux

    /// What users call it.
    var name: String {
        switch self {
        case .apparmor: "AppArmor"
        case .selinux: "SELinux"
        }
    }

    /// Whether this kernel has it, and it is switched on.
    var isAvailable: Bool {
        switch self {
        case .apparmor: SecurityModules.hasAppArmor()
        case .selinux: SecurityModules.hasSELinux
        }
    }

    /// The field of `process` that asks for it.
    var field: String {
        switch self {
        case .apparmor: "apparmorProfile"
        case .selinux: "selinuxLabel"
        }
    }

    func label(of process: Spec.Process) -> String? {
        switch self {
        case .apparmor: process.apparmorProfile
        case .selinux: process.selinuxLabel
        }
    }

    /// For the program to come.
    func set(_ label: String) throws {
        switch self {
        case .apparmor: try SecurityLabels.setAppArmor(label)
        case .selinux: try SecurityLabels.setSELinux(label)
        }
    }
}

/// Labels of the security modules, for the next execve(2) and for files.
enum SecurityLabels {
    /// The mount option that gives all files of a new filesystem one label (mount(8), "context"); quoted, for labels have
    /// commas.
    static func withContext(_ data: String, _ label: String?) -> String {
        guard let label else { return data }
        return (data.isEmpty ? "" : data + ",") + "context=\"\(label)\""
    }

    /// Gives one file a label (getfilecon(3)'s attribute), where the filesystem does not take the option.
    static func setLabel(_ label: String, of file: borrowing OwnedFD, name: String) throws(SystemError) {
        let bytes = Array(label.utf8) + [0]
        try retrying("set selinux label of", name) { setxattr(file.procPath, "security.selinux", bytes, bytes.count, 0) }
    }

    /// Tells AppArmor the profile of the program to come.
    static func setAppArmor(_ profile: String) throws {
        let procfs = try procfs("apparmor profile \(profile)")
        let path = procfs.has("self/attr/apparmor/exec") ? "self/attr/apparmor/exec" : "self/attr/exec"
        do throws(SystemError) { try write("exec \(profile)", to: path, of: procfs, what: "apparmor profile \(profile)") } catch {
            throw error.code == ENOENT ? SystemError("set", "apparmor profile \(profile), which is not loaded", code: ENOENT) : error
        }
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
