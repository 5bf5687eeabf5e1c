internal import CLinux
internal import Glibc
internal import Linux
internal import Netlink
internal import OCIRuntimeSpec

/// Moves interfaces from the runtime's network namespace into the container's, addresses and all (config-linux.md,
/// "Network Devices"). They are not moved back: that is the kernel's when the namespace ends.
enum NetDeviceMove {
    /// `pid` is a process in the container's namespace.
    static func move(_ devices: [Spec.NetDevice], toNamespaceOf pid: Int32) throws {
        let outside = try RouteNetlink()
        let namespace = try OwnedFD.open(NamespaceKind.net.path(of: pid))
        let inside = try netlink(in: namespace, pid)
        // All are looked at before the first one moves.
        let found = try devices.map { device in
            guard let link = try outside.link(device.hostName) else {
                throw SystemError("move network device", device.hostName, code: ENODEV)
            }
            let name = device.name ?? device.hostName
            if !name.hasSuffix("%d"), try inside.link(name) != nil {
                throw SystemError("move network device \(device.hostName): the container has an interface", name, code: EEXIST)
            }
            return (link: link, name: name)
        }
        for (link, name) in found {
            let addresses = try outside.permanentAddresses(of: link.index)
            // The number can be taken inside: from here on the interface goes by its name, or by being new.
            let before = Set(try inside.links().map(\.index))
            try outside.move(link.index, toNamespace: namespace.raw, name: name)
            guard let moved = try inside.links().first(where: { !before.contains($0.index) }) else {
                throw SystemError("move network device", link.name, code: ENODEV)
            }
            try inside.setUp(moved.index)
            for address in addresses { try inside.restore(address, to: moved.index) }
        }
    }

    /// A socket belongs to the namespace in which it was opened.
    private static func netlink(in namespace: borrowing OwnedFD, _ pid: Int32) throws -> RouteNetlink {
        var visit = NamespaceVisit()
        try visit.enter(.net, namespace, name: "of process \(pid)")
        let made = Result { try RouteNetlink() }
        try visit.leave()
        return try made.get()
    }
}
