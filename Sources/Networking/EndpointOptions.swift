internal import CLinux
internal import Glibc
internal import Linux
internal import Netlink

/// The driver options of a container's place on a network (API: EndpointSettings.DriverOpts), read and checked.
public struct EndpointOptions: Sendable, Equatable {
    /// What the interface is called in the container; nil: the network's prefix and the next number.
    public var interfaceName: String?
    /// Kernel settings of the interface, in the order given.
    public var settings: [Setting] = []

    /// `net.ipv4.conf.IFNAME.log_martians=1`.
    public struct Setting: Sendable, Equatable {
        /// The directories between `net` and the interface, as `ipv4/conf`.
        let group: String
        let name: String
        let value: String

        /// The file of it for an interface of the calling thread's network namespace.
        func path(_ interface: String) -> String { "/proc/sys/net/\(group)/\(interface)/\(name)" }
    }

    public init() {}

    /// Throws invalid for a value that cannot be, notImplemented for an option that Clipper does not know.
    public init(_ options: [String: String]) throws(NetworkError) {
        for (key, value) in options.sorted(by: { $0.key < $1.key }) {
            switch key {
            case "com.docker.network.endpoint.ifname":
                guard isInterfaceName(value) else { throw NetworkError(.invalid, "invalid interface name: \"\(value)\"") }
                interfaceName = value
            case "com.docker.network.endpoint.sysctls":
                for text in value.split(separator: ",", omittingEmptySubsequences: false) { settings.append(try Setting(String(text))) }
            default: throw NetworkError(.notImplemented, "not implemented: EndpointSettings.DriverOpts.\(key)")
            }
        }
    }

    /// The interface shall have no IPv6, so it gets no address of it.
    var disablesIPv6: Bool { settings.contains { $0.group == "ipv6/conf" && $0.name == "disable_ipv6" && $0.value == "1" } }

    /// Writes the settings of an interface in the network namespace behind the descriptor.
    func apply(to interface: String, in namespace: Int32) throws(SystemError) {
        if settings.isEmpty { return }
        let settings = settings
        do {
            try NetworkNamespace.run(in: .existing(namespace)) {
                for setting in settings { try Files.write(setting.path(interface), setting.value + "\n", flags: O_WRONLY) }
            }
        } catch {
            throw error as? SystemError ?? SystemError("set sysctls of interface", interface, code: EIO)
        }
    }
}

extension EndpointOptions.Setting {
    /// Docker's form; the word for the interface may be in lower case, as some clients write options.
    init(_ text: String) throws(NetworkError) {
        let pair = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let parts = pair[0].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard pair.count == 2, parts.count == 5, parts[0] == "net", ["ipv4", "ipv6", "mpls"].contains(parts[1]),
            ["IFNAME", "ifname"].contains(parts[3]), parts.allSatisfy({ !$0.isEmpty && !$0.contains("/") })
        else {
            throw NetworkError(
                .invalid,
                "unrecognised network interface sysctl '\(text)'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', "
                    + "'X' must be 'ipv4', 'ipv6' or 'mpls'")
        }
        self.init(group: "\(parts[1])/\(parts[2])", name: parts[4], value: pair[1])
    }
}
