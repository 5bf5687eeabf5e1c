internal import Linux
public import Logging

/// The daemon's networks: see Networking.swift. Synchronous, thread-safe; calls may block on the kernel for a few
/// hundred microseconds, so they belong off the cooperative pool.
public final class NetworkManager: Sendable {
    public let configuration: NetworkConfiguration

    /// Ensures the three predefined networks, the default bridge and the nf_tables table.
    public init(configuration: NetworkConfiguration, records: any NetworkRecords, logger: Logger) throws(NetworkError) {
        self.configuration = configuration
    }

    /// All networks, oldest first.
    public func networks() -> [Network] { [] }

    /// By name, full id, or a prefix of an id that only one has, in this order. Throws notFound
    /// (`network X not found`), invalid for an ambiguous prefix.
    public func network(_ nameOrID: String) throws(NetworkError) -> Network {
        throw NetworkError(.notFound, "network \(nameOrID) not found")
    }

    /// The endpoints on a network now, for `network inspect`.
    public func endpoints(onNetwork id: String) -> [Endpoint] { [] }

    /// Makes a network and its bridge.
    public func create(_ spec: NetworkSpec) throws(NetworkError) -> Network {
        throw NetworkError(.notImplemented, "not implemented: network create")
    }

    /// Removes a network without endpoints, and its bridge. Returns what was removed.
    @discardableResult
    public func remove(_ nameOrID: String) throws(NetworkError) -> Network {
        throw NetworkError(.notImplemented, "not implemented: network remove")
    }

    /// A network namespace with `lo` up, from the pool. For every network but `host`; on `none` it stays as it is.
    public func takeSandbox() throws(NetworkError) -> NetworkSandbox { throw NetworkError(.notImplemented, "not implemented: sandbox") }

    /// The namespace of a living container, after a restart of the daemon (`/proc/<pid>/ns/net`).
    public func reopenSandbox(pid: Int32) throws(NetworkError) -> NetworkSandbox {
        throw NetworkError(.notImplemented, "not implemented: sandbox")
    }

    /// Joins a container to a network: address, veth, routes. `sandbox` may be nil on `host` only.
    public func attach(
        containerID: String, containerName: String, hostname: String, network nameOrID: String, sandbox: NetworkSandbox?,
        request: EndpointRequest = EndpointRequest()
    ) throws(NetworkError) -> Endpoint { throw NetworkError(.notImplemented, "not implemented: attach") }

    /// Publishes all ports of an endpoint in one transaction, or none.
    public func publish(_ endpoint: Endpoint, ports: [PortRequest]) throws(NetworkError) -> PublishedPorts {
        throw NetworkError(.notImplemented, "not implemented: publish")
    }

    /// Takes a container off a network: its ports first, then its address; the interface is removed in the background.
    /// `bindings` are those of `publish`. An endpoint that is not known is no error.
    public func detach(_ endpoint: Endpoint, bindings: [PublishedPort]) throws(NetworkError) {}

    /// After a daemon's restart: takes up the endpoints of living containers and their ports again, and sets the
    /// firewall to exactly these in one transaction, so that no connection is cut.
    public func restore(_ living: [LivingEndpoint]) throws(NetworkError) {}

    /// Ends the pool. With `removeAll` also every bridge, veth and the table: for a daemon that ends with no container alive.
    public func shutdown(removeAll: Bool) {}
}

/// An endpoint of a container that outlived the daemon, and its ports.
public struct LivingEndpoint: Sendable {
    public let endpoint: Endpoint
    public let bindings: [PublishedPort]

    public init(endpoint: Endpoint, bindings: [PublishedPort]) {
        self.endpoint = endpoint
        self.bindings = bindings
    }
}
