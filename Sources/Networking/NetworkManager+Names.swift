internal import Netlink
internal import Synchronization

/// Names of containers, for containers: what the name server knows.
extension NetworkManager {
    /// Begins to answer at 127.0.0.11 in a container's network namespace; a container that is served already stays so. For
    /// containers on networks that users define; ends with their last `detach`.
    /// - Parameter upstream: addresses of name servers for all other names, in this order; those of the host when empty.
    public func serveNames(containerID: String, sandbox: NetworkSandbox, upstream: [String] = []) throws(NetworkError) {
        let servers = (upstream.isEmpty ? ResolverSettings.ofHost.nameservers : upstream).compactMap { IPAddress($0) }
        do {
            try names.serve(
                containerID: containerID, namespace: sandbox.descriptor, upstream: servers.filter { $0 != NameServer.address }
            ) { [weak self] container, question in self?.decide(container, question) ?? .answer(.serverFailure, []) }
        } catch { throw NetworkError(.system, "start name server: \(error)", cause: error) }
    }

    /// Whether the name server stands in for the host's on this network: on those that users define.
    public func servesNames(onNetwork nameOrID: String) -> Bool {
        guard let network = try? network(nameOrID) else { return false }
        return !network.isPredefined && network.driver == "bridge"
    }

    /// A container has another name from now on.
    public func rename(containerID: String, to name: String) {
        state.withLock { state in
            for (id, endpoint) in state.endpoints where endpoint.containerID == containerID { state.endpoints[id]?.containerName = name }
        }
    }

    func decide(_ containerID: String, _ question: DNSQuestion) -> NameServer.Decision {
        state.withLock { state in
            let own = state.endpoints.values.filter { $0.containerID == containerID }
            let neighbours = own.flatMap { endpoint in
                guard let entry = state.networks[endpoint.networkID], !entry.network.isPredefined else { return [Endpoint]() }
                return entry.endpoints.compactMap { state.endpoints[$0] }
            }
            if let address = question.reverseAddress {
                let found = neighbours.first { $0.ipv4?.address == address || $0.ipv6?.address == address }
                if let found { return .answer(.noError, [.name("\(found.containerName).\(found.networkName)")]) }
            }
            if question.kind == DNSQuestion.Kind.a || question.kind == DNSQuestion.Kind.aaaa {
                let linked = own.compactMap { $0.target(ofLink: question.name) }.first
                let found = neighbours.filter { endpoint in
                    linked.map { endpoint.isCalled($0.lowercased()) || endpoint.containerID == $0 } ?? endpoint.isCalled(question.name)
                }
                if !found.isEmpty {
                    let addresses = found.compactMap { question.kind == DNSQuestion.Kind.a ? $0.ipv4?.address : $0.ipv6?.address }
                    // Several containers of one name take turns. 48 of them fit a datagram of any length that a program takes.
                    return .answer(.noError, addresses.shuffled().prefix(24).map { .address($0) })
                }
            }
            // Only internal networks: nothing outside is to be reached, name servers included.
            return own.contains { $0.ipv4Gateway != nil || $0.ipv6Gateway != nil } ? .forward : .answer(.serverFailure, [])
        }
    }
}

extension Endpoint {
    /// The container that a link of this one means.
    func target(ofLink name: String) -> String? { links?.first { $0.key.lowercased() == name }?.value }

    /// By its container's name or an alias, alone or with the network's name behind it, in any case.
    func isCalled(_ name: String) -> Bool {
        ([containerName] + aliases).contains { candidate in
            let candidate = candidate.lowercased()
            return name == candidate || name == "\(candidate).\(networkName.lowercased())"
        }
    }
}
