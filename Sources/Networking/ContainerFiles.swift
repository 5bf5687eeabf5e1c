internal import Linux
public import Netlink

/// Text of the three files that the daemon writes for a container: /etc/hosts, /etc/resolv.conf, /etc/hostname.
public enum ContainerFiles {
    /// /etc/hostname.
    public static func hostname(_ name: String) -> String { "\(name)\n" }

    /// /etc/hosts, as Docker's: loopback, `extraHosts` as the API has them (`name:ip`, with `host-gateway` for the addresses
    /// `hostGateways`, a line each), then the container's own name at its addresses. On the host's network the host's own file stands in
    /// place of the first and last part.
    ///
    /// Names of other containers are not in it: on networks that users define the name server tells them.
    public static func hosts(
        hostname: String, domainname: String = "", endpoints: [Endpoint], extraHosts: [String] = [], hostGateways: [IPAddress] = [],
        usesHostNetwork: Bool = false
    ) throws(NetworkError) -> String {
        let host = usesHostNetwork ? try? Files.readText("/etc/hosts") : nil
        return try hosts(
            base: host ?? loopback, hostname: hostname, domainname: domainname, endpoints: usesHostNetwork ? [] : endpoints,
            extraHosts: extraHosts, hostGateways: hostGateways)
    }

    private static let loopback = """
        127.0.0.1\tlocalhost
        ::1\tlocalhost ip6-localhost ip6-loopback
        fe00::\tip6-localnet
        ff00::\tip6-mcastprefix
        ff02::1\tip6-allnodes
        ff02::2\tip6-allrouters

        """

    private static func hosts(
        base: String, hostname: String, domainname: String, endpoints: [Endpoint], extraHosts: [String], hostGateways: [IPAddress]
    ) throws(NetworkError) -> String {
        var text = base
        if !text.isEmpty && !text.hasSuffix("\n") { text += "\n" }
        for entry in extraHosts {
            let (name, address) = try extraHost(entry)
            let addresses = address.map { [$0] } ?? hostGateways
            if addresses.isEmpty { throw NetworkError(.invalid, "unable to derive the IP value for host-gateway") }
            for address in addresses { text += "\(address)\t\(name)\n" }
        }
        // A name with a line break in it would let its owner write lines of its own.
        guard isWord(hostname), domainname.isEmpty || isWord(domainname) else {
            throw NetworkError(.invalid, "invalid hostname: \"\(hostname)\"")
        }
        // A name with dots has its first part behind it: "db.example db".
        let whole = domainname.isEmpty ? hostname : "\(hostname).\(domainname)"
        let short = whole.prefix { $0 != "." }
        let names = short.isEmpty || short == whole ? whole : "\(whole) \(short)"
        for endpoint in endpoints {
            for address in [endpoint.ipv4?.address, endpoint.ipv6?.address].compactMap({ $0 }) { text += "\(address)\t\(names)\n" }
        }
        return text
    }

    /// One of `--add-host`, `name:ip` or `name:host-gateway`: for that the address is nil. Throws for what is neither.
    public static func extraHost(_ entry: String) throws(NetworkError) -> (name: String, address: IPAddress?) {
        guard let (name, text) = split(entry), isWord(name) else {
            throw NetworkError(.invalid, "bad format for add-host: \"\(entry)\"")
        }
        if text == "host-gateway" { return (name, nil) }
        guard let address = IPAddress(text) else { throw NetworkError(.invalid, "invalid IP address in add-host: \"\(text)\"") }
        return (name, address)
    }

    /// `name:ip`, or `name=ip`; the address may have colons itself.
    private static func split(_ entry: String) -> (String, String)? {
        guard let index = entry.firstIndex(where: { $0 == ":" || $0 == "=" }) else { return nil }
        let (name, address) = (String(entry[..<index]), String(entry[entry.index(after: index)...]))
        return name.isEmpty || address.isEmpty ? nil : (name, address)
    }

    private static func isWord(_ text: String) -> Bool {
        !text.isEmpty && text.unicodeScalars.allSatisfy { $0.value > 32 && $0.value != 127 }
    }

    /// /etc/resolv.conf, as Docker's: the host's, with what the user set in its place. Name servers on loopback, which
    /// a container cannot reach, are left out (for systemd-resolved its own list is read in place of its stub), as are
    /// IPv6 ones unless `hasIPv6`; when none is left, 8.8.8.8 and 8.8.4.4. On the host's network nothing is left out.
    public static func resolvConf(
        nameservers: [String] = [], searches: [String] = [], options: [String] = [], hasIPv6: Bool = false, usesHostNetwork: Bool = false
    ) throws(NetworkError) -> String {
        let host = usesHostNetwork ? ResolverSettings((try? Files.readText("/etc/resolv.conf")) ?? "") : ResolverSettings.ofHost
        return try resolvConf(
            host: host, nameservers: nameservers, searches: searches, options: options, hasIPv6: hasIPv6, usesHostNetwork: usesHostNetwork)
    }

    /// /etc/resolv.conf of a container on a network that a user defined: our name server, which knows the containers and asks
    /// the others. `ndots:0` as in Docker: a name without a dot may be a container's.
    public static func resolvConfOfNameServer(searches: [String] = [], options: [String] = []) throws(NetworkError) -> String {
        let given = options.isEmpty ? ResolverSettings.ofHost.options : options
        let all = given.contains { $0.hasPrefix("ndots:") } ? given : given + ["ndots:0"]
        return try resolvConf(
            host: .ofHost, nameservers: ["\(NameServer.address)"], searches: searches, options: all, hasIPv6: false, usesHostNetwork: false)
    }

    static func resolvConf(
        host: ResolverSettings, nameservers: [String], searches: [String], options: [String], hasIPv6: Bool, usesHostNetwork: Bool
    ) throws(NetworkError) -> String {
        var result = host
        if nameservers.isEmpty {
            if !usesHostNetwork { result.keepReachable(hasIPv6: hasIPv6) }
        } else {
            for server in nameservers where IPAddress(server) == nil {
                throw NetworkError(.invalid, "invalid IP address in dns: \"\(server)\"")
            }
            result.nameservers = nameservers
        }
        for word in searches + options where !isWord(word) { throw NetworkError(.invalid, "invalid word in dns settings: \"\(word)\"") }
        // A single dot means: no search domains at all.
        if !searches.isEmpty { result.searches = searches.filter { $0 != "." } }
        if !options.isEmpty { result.options = options }
        return result.text
    }
}

/// What a resolv.conf(5) says.
struct ResolverSettings: Sendable, Equatable {
    var nameservers: [String] = []
    var searches: [String] = []
    var options: [String] = []

    /// The host's; systemd-resolved's own list in place of its stub.
    static var ofHost: ResolverSettings {
        let host = ResolverSettings((try? Files.readText("/etc/resolv.conf")) ?? "")
        if host.nameservers == ["127.0.0.53"], let text = try? Files.readText("/run/systemd/resolve/resolv.conf") {
            return ResolverSettings(text)
        }
        return host
    }

    init(_ text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
            guard let first = words.first, !first.hasPrefix("#"), !first.hasPrefix(";") else { continue }
            let rest = words.dropFirst()
            switch first {
            case "nameserver": nameservers += rest.prefix(1)
            // The last of these lines holds.
            case "search", "domain": searches = Array(rest)
            case "options": options += rest
            default: break
            }
        }
    }

    /// Leaves the name servers that a container can reach.
    mutating func keepReachable(hasIPv6: Bool) {
        nameservers = nameservers.filter { text in
            // A zone (`fe80::1%eth0`) means an interface of the host.
            guard let address = IPAddress(text), !address.isLoopback, !address.isUnspecified else { return false }
            return hasIPv6 || address.family == .v4
        }
        if nameservers.isEmpty {
            nameservers = ["8.8.8.8", "8.8.4.4"] + (hasIPv6 ? ["2001:4860:4860::8888", "2001:4860:4860::8844"] : [])
        }
    }

    var text: String {
        let lines =
            nameservers.map { "nameserver \($0)" } + (searches.isEmpty ? [] : ["search \(searches.joined(separator: " "))"])
            + (options.isEmpty ? [] : ["options \(options.joined(separator: " "))"])
        return lines.map { "\($0)\n" }.joined()
    }
}
