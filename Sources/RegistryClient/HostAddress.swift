internal import Glibc
internal import NIOPosix

/// An IPv4 or IPv6 address, or a network of them.
struct HostAddress: Hashable, Sendable {
    /// 4 or 16.
    let bytes: [UInt8]

    /// Reads the dotted or colon form without brackets; nil for a name.
    init?(_ text: some StringProtocol) {
        var four = in_addr()
        var six = in6_addr()
        let text = String(text)
        if inet_pton(AF_INET, text, &four) == 1 {
            bytes = withUnsafeBytes(of: &four) { Array($0) }
        } else if inet_pton(AF_INET6, text, &six) == 1 {
            bytes = withUnsafeBytes(of: &six) { Array($0) }
        } else {
            return nil
        }
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    var isLoopback: Bool { bytes.count == 4 ? bytes[0] == 127 : bytes == [UInt8](repeating: 0, count: 15) + [1] }

    /// `10.0.0.0/8`, `fd00::/8`. False for what is no network.
    func isIn(network: some StringProtocol) -> Bool {
        guard let network = Network(network), network.base.bytes.count == bytes.count else { return false }
        return network.masked(self) == network.masked(network.base)
    }

    struct Network {
        let base: HostAddress
        let length: Int

        init?(_ text: some StringProtocol) {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, let base = HostAddress(parts[0]), let length = Int(parts[1]),
                (0...base.bytes.count * 8).contains(length)
            else { return nil }
            self.base = base
            self.length = length
        }

        func masked(_ address: HostAddress) -> [UInt8] {
            address.bytes.enumerated().map { index, byte in
                let kept = min(max(length - index * 8, 0), 8)
                return byte & ~UInt8(truncatingIfNeeded: 0xFF >> kept)
            }
        }
    }

    /// The addresses of a name, from /etc/hosts and the name server; none when it has none. Blocks a thread of NIO's pool.
    static func addresses(of name: String) async -> [HostAddress] {
        (try? await NIOThreadPool.singleton.runIfActive { lookUp(name) }) ?? []
    }

    private static func lookUp(_ name: String) -> [HostAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [HostAddress] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ai_next
            guard let address = entry.ai_addr else { continue }
            switch entry.ai_family {
            case AF_INET:
                found.append(
                    address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                        withUnsafeBytes(of: pointer.pointee.sin_addr) { HostAddress(bytes: Array($0)) }
                    })
            case AF_INET6:
                found.append(
                    address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                        withUnsafeBytes(of: pointer.pointee.sin6_addr) { HostAddress(bytes: Array($0)) }
                    })
            default: continue
            }
        }
        return found
    }
}
