internal import CLinux
internal import Linux

/// Asks the kernel over netlink and reads its answers. Not thread-safe.
public final class NetlinkConnection {
    private let transport: any NetlinkTransport
    private var sequence: UInt32 = 0

    public init(_ transport: any NetlinkTransport) { self.transport = transport }

    /// One request: what it is for (in errors), its type and flags, and what follows the header.
    struct Request {
        let purpose: String
        let subject: String
        let type: UInt16
        let flags: UInt16
        let body: (inout NetlinkBuilder) -> Void

        init(_ purpose: String, _ subject: String, type: UInt16, flags: Int32 = 0, _ body: @escaping (inout NetlinkBuilder) -> Void) {
            self.purpose = purpose
            self.subject = subject
            self.type = type
            self.flags = UInt16(truncatingIfNeeded: flags)
            self.body = body
        }
    }

    /// Sends the requests in one datagram and waits for all acknowledgements. The kernel goes through all of them
    /// even when one fails; the first failure is thrown.
    func execute(_ requests: [Request]) throws(SystemError) {
        var builder = NetlinkBuilder()
        let first = sequence &+ 1
        for request in requests {
            sequence &+= 1
            let flags = request.flags | UInt16(NLM_F_REQUEST | NLM_F_ACK)
            builder.message(type: request.type, flags: flags, sequence: sequence, request.body)
        }
        try transport.send(builder.bytes)
        var failure: SystemError?
        var outstanding = requests.count
        while outstanding > 0 {
            for message in try NetlinkMessage.parse(try transport.receive()) where message.type == UInt16(NLMSG_ERROR) {
                let index = Int(message.sequence &- first)
                guard index < requests.count else { continue }
                outstanding -= 1
                if failure == nil { failure = try message.failure(requests[index].purpose, requests[index].subject) }
            }
        }
        if let failure { throw failure }
    }

    func execute(_ request: Request) throws(SystemError) { try execute([request]) }

    /// Sends one request and gives every message of the answer to `each`. With NLM_F_DUMP in the request the answer
    /// ends with NLMSG_DONE, else with its acknowledgement.
    func query(_ request: Request, _ each: (NetlinkMessage) throws(SystemError) -> Void) throws(SystemError) {
        sequence &+= 1
        let current = sequence
        let isDump = request.flags & UInt16(NLM_F_DUMP) == UInt16(NLM_F_DUMP)
        var builder = NetlinkBuilder()
        let flags = request.flags | UInt16(NLM_F_REQUEST) | (isDump ? 0 : UInt16(NLM_F_ACK))
        builder.message(type: request.type, flags: flags, sequence: current, request.body)
        try transport.send(builder.bytes)
        var interrupted = false
        while true {
            for message in try NetlinkMessage.parse(try transport.receive()) where message.sequence == current {
                if message.flags & UInt16(NLM_F_DUMP_INTR) != 0 { interrupted = true }
                switch Int32(message.type) {
                case NLMSG_DONE:
                    // What was dumped changed meanwhile: the list may lack an entry. The caller asks again.
                    if interrupted { throw SystemError(request.purpose, request.subject, code: EINTR) }
                    return
                case NLMSG_ERROR:
                    if let failure = try message.failure(request.purpose, request.subject) { throw failure }
                    return
                default: try each(message)
                }
            }
        }
    }

    /// Sends a prepared datagram and waits until `isLast` names a message as the end of the answer.
    func exchange(_ build: (inout NetlinkBuilder, inout UInt32) -> Void, until isEnd: (NetlinkMessage) throws(SystemError) -> Bool)
        throws(SystemError)
    {
        var builder = NetlinkBuilder()
        build(&builder, &sequence)
        try transport.send(builder.bytes)
        while true {
            for message in try NetlinkMessage.parse(try transport.receive()) where try isEnd(message) { return }
        }
    }
}

extension NetlinkMessage {
    /// What an acknowledgement (NLMSG_ERROR) says: nil for success. The kernel's own words stand in the operation.
    func failure(_ purpose: String, _ subject: String) throws(SystemError) -> SystemError? {
        guard let code = payload.number(Int32.self, at: 0) else { throw SystemError("read netlink answer", code: EBADMSG) }
        if code == 0 { return nil }
        var words = ""
        if flags & UInt16(NLM_F_ACK_TLVS) != 0 && flags & UInt16(NLM_F_CAPPED) != 0 {
            words = try attributes(after: 20).first { $0.type == UInt16(NLMSGERR_ATTR_MSG.rawValue) }?.text ?? ""
        }
        return SystemError(words.isEmpty ? purpose : "\(purpose) (\(words))", subject, code: -code)
    }
}
