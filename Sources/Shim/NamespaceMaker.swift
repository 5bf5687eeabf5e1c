internal import Glibc
internal import Linux
internal import ShimProtocol

/// `clipper-runtime namespaces`: makes the namespaces of one container whose network the daemon sets up before its start. The
/// network namespace has to belong to the container's user namespace, and the daemon, with its threads, can make neither.
public enum NamespaceMaker {
    /// `new USERS GROUPS` (the lines of uid_map and gid_map) makes a user namespace and a network namespace; `in PID` a network
    /// namespace that belongs to that process's user namespace. Each goes to descriptor 3 in a message of its own, the user
    /// namespace first; what fails is told there in words. Returns the exit status.
    public static func run(_ arguments: [String]) -> Int32 {
        let socket = MessageSocket(OwnedFD(owning: ShimWire.controlDescriptor))
        do throws(SystemError) {
            if arguments.count == 3, arguments[0] == "new" {
                try UserNamespace.make(users: arguments[1], groups: arguments[2], owning: .net) { (user, network) throws(SystemError) in
                    try socket.send(Array("user".utf8), descriptor: user)
                    try socket.send(Array("net".utf8), descriptor: network)
                }
            } else if arguments.count == 2, arguments[0] == "in", let pid = Int32(arguments[1]) {
                try UserNamespace.join(of: pid)
                let network = try UserNamespace.makeOwned(.net)
                try socket.send(Array("net".utf8), descriptor: network.raw)
            } else {
                ShimLog.write("namespaces: started by clipperd, not by hand")
                return 125
            }
            return 0
        } catch {
            try? socket.send(Array("\(error)".utf8))
            return 1
        }
    }
}
