public import Linux

/// Text of the three files that the daemon writes for a container: /etc/hosts, /etc/resolv.conf, /etc/hostname.
public enum ContainerFiles {
    /// /etc/hostname.
    public static func hostname(_ name: String) -> String { "\(name)\n" }

    /// /etc/hosts: `extraHosts` as the API has them (`name:ip`), `host-gateway` replaced by `hostGateway`.
    public static func hosts(
        hostname: String, domainname: String = "", endpoints: [Endpoint], extraHosts: [String] = [], hostGateway: IPAddress? = nil
    ) throws(NetworkError) -> String { "" }

    /// /etc/resolv.conf: the host's, loopback nameservers filtered, with what the user set in their place.
    public static func resolvConf(
        nameservers: [String] = [], searches: [String] = [], options: [String] = [], usesHostNetwork: Bool = false
    ) throws(NetworkError) -> String { "" }
}
