internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIRuntimeSpec

/// The program that decides about a container's system calls (`SCMP_ACT_NOTIFY`): it gets the filter's descriptor over a
/// Unix socket, with the container process state (config-linux.md, "The Container Process State").
struct SeccompListener: Sendable {
    let path: String
    let metadata: String?
    private let id: String
    private let bundle: String
    private let version: String
    private let annotations: [String: String]

    /// nil for a container whose filter asks nobody.
    init?(spec: Spec, id: String, bundle: String) {
        guard let seccomp = spec.linux.seccomp, let path = seccomp.listenerPath,
            seccomp.syscalls.contains(where: { $0.action == SeccompAction.notify.rawValue })
        else { return nil }
        self.path = path
        metadata = seccomp.listenerMetadata
        self.id = id
        self.bundle = bundle
        version = spec.ociVersion
        annotations = spec.annotations
    }

    /// Takes the descriptor from the process that has just loaded the filter, hands it on, and lets the process go on.
    /// `container` is the pid of the container's first process, `process` that of the one with the filter.
    func serve(
        _ event: consuming SyncEvent, _ channel: borrowing SyncChannel, process: Int32, pidfd: Int32, container: Int32,
        status: ContainerStatus
    ) throws {
        let state = ContainerState.document(
            id: id, bundle: bundle, version: version, annotations: annotations, pid: container, status: status)
        try hand(try Self.descriptor(&event, pidfd), process: process, state: state)
        try channel.send(.resume)
    }

    /// What came with the message, or what the message says where it is: a filtered process can only write(2).
    private static func descriptor(_ event: inout SyncEvent, _ pidfd: Int32) throws -> OwnedFD {
        if let attached = event.descriptor.take() { return attached }
        guard let number = Int32(event.text) else { throw SystemError("take seccomp descriptor", code: EPROTO) }
        return OwnedFD(owning: try retrying("take seccomp descriptor") { clp_pidfd_getfd(pidfd, number) })
    }

    /// The one message; the connection ends with it.
    private func hand(_ descriptor: consuming OwnedFD, process: Int32, state: JSONValue) throws {
        let socket = try DescriptorSocket.connect(to: path, "seccomp listener")
        let message = Self.message(version: version, process: process, metadata: metadata, state: state)
        let sent = try retrying("send to seccomp listener", path) {
            message.withUnsafeBytes { clp_send_with_fd(socket.raw, $0.baseAddress, $0.count, descriptor.raw) }
        }
        if sent < message.count { try socket.writeAll(message[sent...]) }
    }

    static func message(version: String, process: Int32, metadata: String?, state: JSONValue) -> [UInt8] {
        var object = JSONObject()
        object.append("ociVersion", .string(version))
        object.append("fds", ["seccompFd"])
        object.append("pid", .integer(Int64(process)))
        if let metadata { object.append("metadata", .string(metadata)) }
        object.append("state", state)
        return JSONValue.object(object).serialized()
    }
}
