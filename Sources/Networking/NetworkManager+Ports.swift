internal import CLinux
internal import Linux
internal import Netlink
internal import Synchronization

/// Publishing ports.
extension NetworkManager {
    /// Publishes all ports of an endpoint in one transaction, or none. On `host`, `none` and internal networks there is
    /// nothing to publish: the result is empty. Throws portTaken with Docker's words.
    public func publish(_ endpoint: Endpoint, ports requests: [PortRequest]) throws(NetworkError) -> PublishedPorts {
        let entry = state.withLock { $0.networks[endpoint.networkID] }
        guard let entry, let bridge = entry.bridge, !entry.network.isInternal else { return PublishedPorts(bindings: []) }
        let hostHasIPv6 = HeldSocket.hostHasIPv6
        let taken = try ports.withLock { ports throws(NetworkError) in
            var reservation = Reservation(endpoint: endpoint, served: servedFamilies)
            var bindings: [[PublishedPort]] = requests.map { _ in [] }
            do throws(NetworkError) {
                // Who leaves the choice open must not get what another asks for by its number.
                for index in requests.indices.sorted(by: { (requests[$0].choices, $0) < (requests[$1].choices, $1) }) {
                    let request = requests[index]
                    let addresses = try hostAddresses(request, endpoint, bridge.plan.options, hostHasIPv6: hostHasIPv6)
                    let count = reservation.bindings.count
                    try reservation.reserve(request, on: addresses, &ports)
                    bindings[index] = Array(reservation.bindings[count...])
                }
            } catch {
                reservation.undo(&ports)
                throw NetworkError(
                    error.kind,
                    "driver failed programming external connectivity on endpoint \(endpoint.containerName) (\(endpoint.id)): \(error.message)",
                    cause: error.cause)
            }
            let isServed = reservation.sockets.contains(where: \.isServed)
            return PublishedPorts(
                bindings: bindings.flatMap { $0 }, sockets: reservation.sockets,
                relayTarget: isServed ? reservation.target(servedFamilies.contains(.v4) ? .v4 : .v6) : nil)
        }
        do throws(SystemError) {
            let entries = Self.firewallPorts(endpoint, taken.bindings)
            if !entries.isEmpty {
                try driver.allowHairpin(endpoint.hostInterface)
                try firewall.add(entries)
                forgetUDP(taken.bindings)
            }
        } catch {
            ports.withLock { Reservation.release(taken.bindings, &$0) }
            throw NetworkError(
                .system,
                "driver failed programming external connectivity on endpoint \(endpoint.containerName) (\(endpoint.id)): \(error)",
                cause: error)
        }
        return taken
    }

    /// Host addresses of these families lead to containers through their supervisors: always for what comes from ::1, and for all that
    /// the kernel does not translate.
    private var servedFamilies: Set<IPAddress.Family> {
        let left = Set([IPAddress.Family.v4, .v6]).subtracting(configuration.firewallFamilies)
        return configuration.relaysIPv6 ? left.union([.v6]) : [.v6]
    }

    /// Gives ports up. The sockets that hold them are closed by whoever has them.
    public func unpublish(_ endpoint: Endpoint, _ bindings: [PublishedPort]) throws(NetworkError) {
        if bindings.isEmpty { return }
        defer { ports.withLock { Reservation.release(bindings, &$0) } }
        let entries = Self.firewallPorts(endpoint, bindings)
        try NetworkError.wrapping("unpublish ports of \(endpoint.containerName)") { () throws(SystemError) in try firewall.remove(entries) }
        forgetUDP(bindings)
    }

    private func forgetUDP(_ bindings: [PublishedPort]) {
        let udp = bindings.filter { $0.proto == .udp }
        driver.forgetUDPLater(Set(udp.map(\.hostPort)), families: Set(udp.map(\.hostIP.family)))
    }

    /// What the kernel translates: not between the families, and not what comes from ::1, which it forwards nowhere.
    static func firewallPorts(_ endpoint: Endpoint, _ bindings: [PublishedPort]) -> [Firewall.Port] {
        bindings.compactMap { binding in
            if binding.hostIP.family == .v6 && binding.hostIP.isLoopback { return nil }
            let address = binding.hostIP.family == .v4 ? endpoint.ipv4?.address : endpoint.ipv6?.address
            return address.map {
                Firewall.Port(
                    proto: binding.proto, hostIP: binding.hostIP, hostPort: binding.hostPort, containerIP: $0,
                    containerPort: binding.containerPort)
            }
        }
    }

    /// The host addresses a request means: none named is every IPv4 address, and every IPv6 address if the host has IPv6 and
    /// the container can be reached that way, by an address of its own or through the shim.
    private func hostAddresses(
        _ request: PortRequest, _ endpoint: Endpoint, _ options: NetworkPlan.BridgeOptions, hostHasIPv6: Bool
    ) throws(NetworkError) -> [IPAddress] {
        if request.proto == .sctp { throw NetworkError(.notImplemented, "not implemented: publishing sctp ports") }
        if request.containerPort == 0 { throw NetworkError(.invalid, "invalid container port: 0") }
        let isReachedByIPv6 = endpoint.ipv6 != nil || configuration.relaysIPv6
        guard let text = request.hostIP, !text.isEmpty else {
            if let address = options.hostBinding, !address.isUnspecified { return [address] }
            var addresses = endpoint.ipv4 == nil ? [] : [IPAddress.unspecified(.v4)]
            if isReachedByIPv6 && hostHasIPv6 { addresses.append(.unspecified(.v6)) }
            return addresses
        }
        guard let address = IPAddress(text) else { throw NetworkError(.invalid, "invalid host IP address: \(text)") }
        guard address.family == .v4 ? endpoint.ipv4 != nil : isReachedByIPv6 else {
            // The kernel does not translate between the families.
            throw NetworkError(
                .notImplemented,
                "not implemented: publishing on host address \(text) to a container without an address of that family")
        }
        return [address]
    }
}

extension PortRequest {
    /// How many ports of the host will do.
    fileprivate var choices: Int { hostPorts?.count ?? .max }
}

/// Host ports taken for one endpoint, until all of them are.
private struct Reservation {
    let endpoint: Endpoint
    /// Address families whose sockets the supervisor answers at.
    let served: Set<IPAddress.Family>
    var bindings: [PublishedPort] = []
    var sockets: [PublishedPorts.Socket] = []

    init(endpoint: Endpoint, served: Set<IPAddress.Family>) {
        self.endpoint = endpoint
        self.served = served
    }

    /// Takes the first port of the request that is free on all addresses.
    mutating func reserve(_ request: PortRequest, on addresses: [IPAddress], _ ports: inout PortAllocator) throws(NetworkError) {
        let candidates = ports.candidates(request)
        var failure: NetworkError?
        for index in 0..<candidates.count {
            let port = candidates.at(index)
            do throws(NetworkError) {
                try take(port, request, addresses, &ports)
                if request.hostPorts == nil { ports.moveCursor(request.proto, after: port) }
                return
            } catch {
                if error.kind != .portTaken { throw error }
                failure = error
            }
        }
        if candidates.count == 1, let failure { throw failure }
        let first = addresses.first.map(\.description) ?? "0.0.0.0"
        throw NetworkError(.portTaken, "Bind for \(first):\(request.hostPorts?.lowerBound ?? 0) failed: all ports are allocated")
    }

    private mutating func take(
        _ port: UInt16, _ request: PortRequest, _ addresses: [IPAddress], _ ports: inout PortAllocator
    ) throws(NetworkError) {
        for address in addresses where !ports.isFree(port, request.proto, on: address) {
            throw NetworkError(.portTaken, "Bind for \(Self.text(address, port)) failed: port is already allocated")
        }
        // Every address of both families is one socket.
        let isDual = addresses.count == 2 && addresses.allSatisfy(\.isUnspecified)
        let held: OwnedFD
        do throws(SystemError) {
            held = try HeldSocket.bind(isDual ? .unspecified(.v6) : addresses[0], port, request.proto, takesBothFamilies: isDual)
        } catch {
            let address = addresses.first { !HeldSocket.isFree($0, port, request.proto) } ?? addresses[0]
            let target = target(address.family).map { Self.text($0, request.containerPort) } ?? ""
            throw NetworkError(
                error.code == EADDRINUSE ? .portTaken : .system,
                "failed to bind host port for \(Self.text(address, port)):\(target)/\(request.proto.rawValue): \(error.reason)",
                cause: error)
        }
        sockets.append(
            PublishedPorts.Socket(
                descriptor: held.take(), proto: request.proto, containerPort: request.containerPort,
                isServed: addresses.contains { served.contains($0.family) }))
        for address in addresses {
            ports.take(port, request.proto, on: address)
            bindings.append(
                PublishedPort(containerPort: request.containerPort, proto: request.proto, hostIP: address, hostPort: port))
        }
    }

    /// The container's address for what comes to a host address of this family.
    func target(_ family: IPAddress.Family) -> IPAddress? {
        family == .v6 ? endpoint.ipv6?.address ?? endpoint.ipv4?.address : endpoint.ipv4?.address ?? endpoint.ipv6?.address
    }

    mutating func undo(_ ports: inout PortAllocator) {
        for socket in sockets { _ = close(socket.descriptor) }
        sockets = []
        Self.release(bindings, &ports)
    }

    static func release(_ bindings: [PublishedPort], _ ports: inout PortAllocator) {
        for binding in bindings { ports.release(binding.hostPort, binding.proto, on: binding.hostIP) }
    }

    private static func text(_ address: IPAddress, _ port: UInt16) -> String {
        address.family == .v4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}
