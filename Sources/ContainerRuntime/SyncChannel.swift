internal import Glibc
internal import Linux

// How the runtime (parent) and the container's first process (child) keep step. One SOCK_SEQPACKET pair; a message is
// one byte of kind and a payload. Either side takes the end of file for the other's death.
//
//     parent                                          child
//     ──────                                          ─────
//     create cgroup, open its doors
//     clone3(pid, user, into cgroup2) ─────────────▶  enter the other cgroups
//     write uid_map, gid_map          ── mapped ───▶  (only with a new user namespace)
//                                                     unshare, mounts, devices
//     write timens_offsets           ◀─ timed ──────  (only with new user and time namespaces)
//                                    ── resume ────▶
//     adopt the grandchild           ◀─ cloned ─────  (only when a user namespace is joined, or made with a time namespace;
//                                    ── resume ────▶  from here on the grandchild speaks)
//     move interfaces in             ◀─ network ────  (only with netDevices)
//                                    ── resume ────▶
//     run prestart, createRuntime    ◀─ hooks ──────  (only when there are such hooks)
//                                    ── resume ────▶  createContainer hooks
//                                                     pivot_root, sysctls, masks, credentials
//     keep the master                ◀─ terminal ───  (only with a terminal; carries the descriptor)
//     set scheduler, i/o priority    ◀─ place ──────  (only with these)
//                                    ── resume ────▶
//                                                     look the program up
//     create: return                 ◀─ ready ──────  wait at the gate: this socket, or the socket in the state directory
//     start                          ── start ─────▶  startContainer hooks
//                                    ◀─ executing ──
//                                                     seccomp, execve
//     run: return                    ◀─ end of file   (the socket is close-on-exec)
//
// The filter comes as late as it can, so that it need not allow what the child itself does. Earlier come that of a listener,
// which hears of a container while it is created (before `ready`), and that of startContainer hooks, which are the image's
// programs (before them). With a listener it is
//
//     give it to the listener        ◀─ listener ───  load the filter (the message carries the descriptor or its number)
//                                    ── resume ────▶
//
// A failure of the child at any point is one `failed` message, then its exit. End of file before `executing` means it
// was killed.

/// What the two say to each other.
enum SyncMessage: UInt8 {
    case mapped, cloned, hooks, resume, terminal, ready, start, executing, failed, warning
    case timed, network, place, listener, source
}

/// One end of the conversation.
struct SyncChannel: ~Copyable {
    let socket: MessageSocket

    init(_ descriptor: consuming OwnedFD) { socket = MessageSocket(descriptor) }

    var raw: Int32 { socket.descriptor.raw }

    func send(_ message: SyncMessage, _ payload: String = "", descriptor: Int32? = nil) throws(SystemError) {
        try socket.send([message.rawValue] + Array(payload.utf8), descriptor: descriptor)
    }

    /// The next message; nil when the other side is gone.
    func receive() throws(SystemError) -> SyncEvent? {
        guard var message = try socket.receive() else { return nil }
        guard let first = message.bytes.first, let kind = SyncMessage(rawValue: first) else {
            throw SystemError("receive from container process: unknown message", code: EPROTO)
        }
        return SyncEvent(kind: kind, payload: Array(message.bytes.dropFirst()), descriptor: message.descriptor.take())
    }

    /// Waits for one kind of message. The other side's death ends the waiting side as well.
    func await(_ kind: SyncMessage) throws(SystemError) {
        guard let event = try receive() else { throw SystemError("wait for the runtime: it has gone", code: EPIPE) }
        if event.kind != kind { throw SystemError("wait for \(kind): got \(event.kind)", code: EPROTO) }
    }

    /// Asks the runtime for something that only it can do, and waits until it is done.
    func ask(_ message: SyncMessage) throws(SystemError) {
        try send(message)
        try self.await(.resume)
    }

    /// Sends with write(2): what a process may still do whose system calls are filtered by a listener that has not got its
    /// descriptor yet, and what every filter allows.
    func sendPlainly(_ message: SyncMessage, _ payload: String = "") throws(SystemError) {
        try socket.descriptor.writeAll([message.rawValue] + Array(payload.utf8))
    }

    /// Waits with read(2).
    func awaitPlainly(_ kind: SyncMessage) throws(SystemError) {
        var buffer = [UInt8](repeating: 0, count: 16)
        guard try socket.descriptor.read(into: &buffer) > 0, buffer[0] == kind.rawValue else {
            throw SystemError("wait for \(kind) from the runtime: it has gone", code: EPIPE)
        }
    }

    /// Tells why the child gives up.
    func fail(_ error: RuntimeError) {
        let (kind, detail) = error.kind.wire
        try? socket.send([SyncMessage.failed.rawValue, kind] + Array("\(detail)\u{0}\(error.message)".utf8))
    }

    /// Gives the descriptor away.
    consuming func takeDescriptor() -> OwnedFD { socket.takeDescriptor() }
}

/// A message as it came.
struct SyncEvent: ~Copyable {
    let kind: SyncMessage
    let payload: [UInt8]
    var descriptor: OwnedFD?

    var text: String { String(decoding: payload, as: UTF8.self) }

    /// The error in a `failed` message.
    var failure: RuntimeError {
        let kind = payload.first ?? 255
        let parts = payload.dropFirst().split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        return RuntimeError(kind: .init(wire: kind, parts.first ?? ""), message: parts.last ?? "unknown failure")
    }
}

extension RuntimeError.Kind {
    /// A number for the kind, and what it carries.
    fileprivate var wire: (UInt8, String) {
        switch self {
        case .commandNotFound: (0, "")
        case .commandNotExecutable: (1, "")
        case .invalidSpec(let field): (2, field)
        case .notImplemented(let what): (3, what)
        case .system(let code): (4, "\(code)")
        case .hook: (5, "")
        case .state: (6, "")
        case .usage: (7, "")
        }
    }

    fileprivate init(wire: UInt8, _ detail: String) {
        switch wire {
        case 0: self = .commandNotFound
        case 1: self = .commandNotExecutable
        case 2: self = .invalidSpec(detail)
        case 3: self = .notImplemented(detail)
        case 5: self = .hook
        case 6: self = .state
        case 7: self = .usage
        default: self = .system(Int32(detail) ?? 0)
        }
    }
}
