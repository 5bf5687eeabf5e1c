internal import CLinux
internal import Glibc
internal import Linux
public import ShimProtocol

extension Supervisor {
    /// A new user namespace with these lines of uid_map and gid_map, and a network namespace that it owns: two descriptors, the
    /// caller's to close.
    public func makeNamespaces(users: String, groups: String) async throws(ShimFailure) -> (user: Int32, network: Int32) {
        var made = try await namespaces(["new", users, groups], count: 2)
        let network = made.removeLast()
        return (made.removeLast(), network)
    }

    /// A new network namespace that belongs to the user namespace of a process; the caller's to close.
    public func makeNetworkNamespace(ofUserNamespaceOf pid: Int32) async throws(ShimFailure) -> Int32 {
        try await namespaces(["in", "\(pid)"], count: 1)[0]
    }

    private func namespaces(_ arguments: [String], count: Int) async throws(ShimFailure) -> [Int32] {
        let socket: MessageSocket
        let pid: Int32
        do throws(SystemError) {
            let null = try OwnedFD.open("/dev/null", O_RDWR)
            let pair = try OwnedFD.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
            pid = try Spawn.start(runtimeExecutable, ["namespaces"] + arguments, descriptors: [null.raw, null.raw, 2, pair.second.raw])
            socket = MessageSocket(pair.first)
        } catch { throw ShimFailure(.lost, "make namespaces: \(error)") }
        // All that it says fits into the socket.
        _ = await Spawn.awaitEnd(of: pid)
        var descriptors: [Int32] = []
        var said = "clipper-runtime ended before it answered"
        while var message = try? socket.receive() {
            if let descriptor = message.descriptor.take() {
                descriptors.append(descriptor.take())
            } else {
                said = String(decoding: message.bytes, as: UTF8.self)
            }
        }
        if descriptors.count == count { return descriptors }
        for descriptor in descriptors { _ = close(descriptor) }
        throw ShimFailure(.runtime, "make user namespace: \(said)")
    }
}
