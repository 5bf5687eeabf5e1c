internal import EngineTypes
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec
internal import ShimProtocol
public import Supervision

/// Whose ids the containers' are on the host (`userns-remap`): root of a container is an ordinary user outside.
///
/// Images, writable layers and the engine's records know nothing of it: on the disk all have the containers' own ids, and the mounts
/// map the owners (`OverlayMount.makeMapped`). Only what else containers are given belongs to the mapped root: volumes, the
/// directories that `-v` makes, /etc/hosts and the like.
public struct IdentityMapping: Sendable, Equatable {
    /// The user whose subordinate ids these are.
    public let name: String
    let users: [Spec.IDMapping]
    let groups: [Spec.IDMapping]

    /// The host's numbers of a container's root.
    public var rootUser: UInt32 { users.hostID(of: 0) ?? 0 }
    public var rootGroup: UInt32 { groups.hostID(of: 0) ?? 0 }

    func root(in userNamespace: String) -> MappedRoot { MappedRoot(userNamespace: userNamespace, uid: rootUser, gid: rootGroup) }

    /// Mounts and unmounts an overlay with mapped owners below `directory`, unseen. Throws what is in the way, as an older kernel or a
    /// filesystem that cannot map owners.
    public func probe(directory: String, _ supervisor: Supervisor) async throws {
        let place = "\(directory)/.userns-probe"
        for name in ["layer", "upper", "work"] { try Files.makeDirectories("\(place)/\(name)", mode: 0o700) }
        defer { try? Files.removeTree(place) }
        let made = try await supervisor.makeNamespaces(users: users.mapText, groups: groups.mapText)
        let (user, network) = (HeldDescriptor(made.user), HeldDescriptor(made.network))
        defer { withExtendedLifetime((user, network)) {} }
        let overlay = Overlay(
            layers: ["\(place)/layer"], upper: "\(place)/upper", work: "\(place)/work", mappedRoot: root(in: user.helperPath))
        do { try await supervisor.runHelper(RootfsRequest(target: .overlay(overlay), operation: .stat(path: "/"))) } catch {
            throw EngineError(.system, "userns-remap needs Linux 5.19 and a data root that can be id-mapped: \(error)", cause: error)
        }
    }

    /// The mapped root walks to where its root filesystem is mounted. What lies there is closed to it by its own modes.
    static func letThrough(_ runDirectory: String) throws(SystemError) {
        for path in [Files.parent(of: runDirectory), runDirectory] { try retrying("change mode of", path) { chmod(path, 0o711) } }
    }
}

extension EngineConfiguration {
    /// Makes a directory that `-v` names and that is not there, and what is missing above it. As dockerd's it is the mapped root's.
    func makeBindSource(_ path: String) throws(SystemError) {
        var missing: [String] = []
        var place = path
        while !Files.exists(place) && place != "/" {
            missing.append(place)
            place = Files.parent(of: place)
        }
        try Files.makeDirectories(path)
        guard let identities else { return }
        for made in missing { try Files.changeOwner(made, uid: identities.rootUser, gid: identities.rootGroup) }
    }
}

extension HostConfig {
    /// What a container must not share with the host while its ids are mapped, in Docker's words.
    func check(mapping: IdentityMapping?) throws(EngineError) {
        guard mapping != nil, UsernsMode != "host" else { return }
        if Privileged == true {
            throw .invalid(
                "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode"
            )
        }
        if NetworkMode == "host" { throw .invalid("cannot share the host's network namespace when user namespaces are enabled") }
        if PidMode == "host" { throw .invalid("cannot share the host PID namespace when user namespaces are enabled") }
    }
}
