internal import EngineTypes
internal import Glibc
internal import Linux
internal import Networking
internal import OCIRuntimeSpec
internal import ShimProtocol
internal import Supervision

/// The user namespace that a container gets, and the network namespace that has to belong to it.
struct ContainerIdentities: Sendable {
    enum Place: Sendable {
        /// The host's own.
        case host
        /// A new one, kept by a descriptor.
        case new(HeldDescriptor)
        /// That of another container, whose network, IPC or PID namespace is shared: only there the container has rights to it.
        case of(Int32)
    }

    let place: Place
    /// Network namespace that the user namespace owns; nil for one of the pool, or none.
    let sandbox: NetworkSandbox?
    private let mapping: IdentityMapping?

    static let host = ContainerIdentities(place: .host, sandbox: nil, mapping: nil)

    /// - Parameters:
    ///   - sharing: first processes of the containers whose namespaces are shared; the last one's user namespace is joined, as in Docker.
    ///   - ownNetwork: whether the container has a network namespace of its own.
    static func make(
        _ host: HostConfig, sharing: [Int32] = [], ownNetwork: Bool, _ configuration: EngineConfiguration, _ supervisor: Supervisor,
        _ networks: NetworkManager
    ) async throws -> ContainerIdentities {
        guard let mapping = configuration.identities, host.UsernsMode != "host" else { return .host }
        if let name = host.Runtime ?? Optional(configuration.defaultRuntime), configuration.runtimes[name] != nil {
            throw EngineError.notImplemented("userns-remap with runtime \(name)")
        }
        if let pid = sharing.last {
            if try NamespaceKind.areSame(NamespaceKind.user.path(of: pid), NamespaceKind.user.ownPath) { return .host }
            let sandbox =
                ownNetwork ? try networks.adoptSandbox(try await supervisor.makeNetworkNamespace(ofUserNamespaceOf: pid)) : nil
            return ContainerIdentities(place: .of(pid), sandbox: sandbox, mapping: mapping)
        }
        let made = try await supervisor.makeNamespaces(users: mapping.users.mapText, groups: mapping.groups.mapText)
        let user = HeldDescriptor(made.user)
        return ContainerIdentities(place: .new(user), sandbox: try networks.adoptSandbox(made.network), mapping: mapping)
    }

    /// For programs that get no descriptor: while this daemon holds the namespace.
    var rootForHelpers: MappedRoot? { root(numbered: nil) }

    /// For a shim whose descriptor of that number is the user namespace.
    func rootForShim(descriptor: Int32) -> MappedRoot? { root(numbered: descriptor) }

    private func root(numbered descriptor: Int32?) -> MappedRoot? {
        switch place {
        case .host: nil
        case .of(let pid): mapping?.root(in: NamespaceKind.user.path(of: pid))
        case .new(let held): mapping?.root(in: descriptor.map { "/proc/self/fd/\($0)" } ?? held.helperPath)
        }
    }

    /// What the shim has to keep open.
    var descriptors: [Int32] {
        if case .new(let held) = place { [held.number] } else { [] }
    }
}

/// A descriptor that is closed when nobody needs it any more.
final class HeldDescriptor: Sendable {
    private let descriptor: OwnedFD

    /// Takes the descriptor over.
    init(_ number: Int32) { descriptor = OwnedFD(owning: number) }

    var number: Int32 { descriptor.raw }

    /// Where programs find it that do not get it, while it is held.
    var helperPath: String { "/proc/\(getpid())/fd/\(number)" }
}
