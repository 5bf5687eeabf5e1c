/// The text of the profile that containers have which ask for none (apparmor.d(5)). It allows what capabilities, the system call
/// filter and the namespaces leave, and denies the host's own files below /proc and /sys, and mounts. Its rules are those of
/// Docker's profile of the same name.
struct AppArmorProfile {
    let name: String
    /// Who may send signals besides the unconfined: the profile of the daemon and its supervisors.
    let daemon: String
    /// Files of the host's policy that the text may build on: `abi/3.0`, `tunables/global`, `abstractions/base`.
    let parts: Set<String>

    var text: String {
        // The kernels to come mediate more, user namespaces for one: what has no rule here would be denied.
        let abi = parts.contains("abi/3.0") ? "abi <abi/3.0>,\n" : ""
        // The base needs the variables.
        let hasVariables = parts.contains("tunables/global")
        let variables = hasVariables ? "#include <tunables/global>" : "@{PROC}=/proc/"
        let base = hasVariables && parts.contains("abstractions/base") ? "\n  #include <abstractions/base>" : ""
        let signals = Self.senders(daemon).map { "  signal (receive) peer=\($0)," }.joined(separator: "\n")
        return """
            \(abi)\(variables)

            profile \(name) flags=(attach_disconnected,mediate_deleted) {\(base)
              file,
              network,
              capability,
              umount,

              # From the host, and from what runs containers where it has a profile of its own; from each other.
            \(signals)
              signal (send,receive) peer=\(name),
              ptrace (trace,read,tracedby,readby) peer=\(name),

              deny mount,

              # Below /proc only what is a process's is written, and of the kernel's settings those of the IPC namespace: shm*, sem*.
              deny @{PROC}/* w,
              deny @{PROC}/{[^0-9s/]*,s[^y/]*,sy[^s/]*,sys?*}/** w,
              deny @{PROC}/sys/[^k]** w,
              deny @{PROC}/sys/kernel/{[^s]**,s[^eh]**,se[^m]**,sh[^m]**} w,
              deny @{PROC}/{kcore,sysrq-trigger} rwklx,

              # Below /sys only control groups.
              deny /sys/{[^f]*,f[^s]*,fs/[^c]*,fs/c[^g]*,fs/cg[^r]*}/** wklx,
              deny /sys/{firmware,devices/virtual/powercap,kernel/security}/** rwklx,
            }

            """
    }

    /// Profiles whose signals reach the container. Distributions have them for runtimes that need user namespaces.
    private static func senders(_ daemon: String) -> [String] {
        var names = ["unconfined", "clipper-runtime", "runc", "crun"]
        if !names.contains(daemon) { names.append("\"\(escaped(daemon))\"") }
        return names
    }

    /// A name in which no character is a pattern's.
    private static func escaped(_ name: String) -> String {
        name.map { "\\\"*?[]{}^@,".contains($0) ? "\\\($0)" : "\($0)" }.joined()
    }
}
