/// The security modules that label processes (LSM), as far as this kernel has them and they are switched on.
public enum SecurityModules {
    public static var hasAppArmor: Bool { (try? Files.readText("/sys/module/apparmor/parameters/enabled"))?.hasPrefix("Y") ?? false }

    public static var hasSELinux: Bool { Files.exists("/sys/fs/selinux/enforce") }
}
