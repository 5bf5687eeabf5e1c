/// The security modules that label processes (LSM), as far as this kernel has them and they are switched on.
public enum SecurityModules {
    /// - Parameter root: where /sys is; empty but in tests.
    public static func hasAppArmor(root: String = "") -> Bool {
        (try? Files.readText("\(root)/sys/module/apparmor/parameters/enabled"))?.hasPrefix("Y") ?? false
    }

    public static var hasSELinux: Bool { Files.exists("/sys/fs/selinux/enforce") }
}
