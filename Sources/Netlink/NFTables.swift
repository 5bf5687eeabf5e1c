internal import CLinux
public import Linux

/// nf_tables over netlink: transactions and a little reading, in the network namespace in which the socket was opened.
/// Not thread-safe.
public final class NFTables {
    private let connection: NetlinkConnection

    /// Over a transport of one's own (tests).
    public init(transport: any NetlinkTransport) { connection = NetlinkConnection(transport) }

    /// In the calling thread's network namespace.
    public convenience init() throws(SystemError) { self.init(transport: try NetlinkSocket(protocol: NETLINK_NETFILTER)) }

    /// The family of tables that see IPv4 and IPv6 (NFPROTO_INET).
    private static let inet: UInt8 = 1

    /// Makes all changes of the batch, or none: the first failure is thrown.
    ///
    /// The batch is one datagram: BEGIN, the changes, END. Only the last change asks for an acknowledgement; the kernel
    /// adds one for each change that failed. When the transaction as a whole fails, it answers to BEGIN.
    public func commit(_ batch: NFTBatch) throws(SystemError) {
        guard !batch.isEmpty else { return }
        let messages = batch.messages
        var first: UInt32 = 0
        var failure: SystemError?
        try connection.exchange({ builder, sequence in
            sequence &+= 1
            first = sequence
            builder.batchMark(NFNL_MSG_BATCH_BEGIN, sequence: sequence)
            for (index, message) in messages.enumerated() {
                sequence &+= 1
                let flags = message.flags | UInt16(NLM_F_REQUEST) | (index == messages.count - 1 ? UInt16(NLM_F_ACK) : 0)
                builder.message(type: Self.type(message.type), flags: flags, sequence: sequence) { body in
                    body.appendNetfilterHeader(family: Self.inet, resource: 0)
                    message.body(&body)
                }
            }
            sequence &+= 1
            builder.batchMark(NFNL_MSG_BATCH_END, sequence: sequence)
        }) { answer throws(SystemError) in
            let index = Int(answer.sequence &- first)
            guard answer.type == UInt16(NLMSG_ERROR), index <= messages.count else { return false }
            let (purpose, subject) =
                index == 0 ? ("commit to table", batch.table) : (messages[index - 1].purpose, messages[index - 1].subject)
            let reason = try answer.failure(purpose, subject)
            if failure == nil { failure = reason }
            return index == messages.count || (index == 0 && reason != nil)
        }
        if let failure { throw failure }
    }

    /// Names of all tables of the family inet.
    public func tables() throws(SystemError) -> [String] {
        var names: [String] = []
        let request = Self.dump("list tables", "", NFT_MSG_GETTABLE) { _ in }
        try connection.query(request) { message throws(SystemError) in
            if let name = try message.attributes(after: 4).first(where: { $0.type == code(NFTA_TABLE_NAME) }) { names.append(name.text) }
        }
        return names
    }

    /// The elements of a set or map.
    public func elements(table: String, set: String) throws(SystemError) -> [NFTBatch.Element] {
        var result: [NFTBatch.Element] = []
        let request = Self.dump("list set", set, NFT_MSG_GETSETELEM) { builder in
            builder.attribute(code(NFTA_SET_ELEM_LIST_TABLE), text: table)
            builder.attribute(code(NFTA_SET_ELEM_LIST_SET), text: set)
        }
        try connection.query(request) { message throws(SystemError) in
            for list in try message.attributes(after: 4) where list.type == code(NFTA_SET_ELEM_LIST_ELEMENTS) {
                for item in try list.nested() {
                    let parts = try item.nested()
                    func value(_ type: UInt16) throws(SystemError) -> [UInt8]? {
                        guard let part = parts.first(where: { $0.type == type }) else { return nil }
                        return try part.nested().first { $0.type == code(NFTA_DATA_VALUE) }.map { Array($0.payload) }
                    }
                    if let key = try value(code(NFTA_SET_ELEM_KEY)) {
                        result.append(NFTBatch.Element(key: key, value: try value(code(NFTA_SET_ELEM_DATA))))
                    }
                }
            }
        }
        return result
    }

    private static func dump(
        _ purpose: String, _ subject: String, _ message: nf_tables_msg_types, _ body: @escaping (inout NetlinkBuilder) -> Void
    ) -> NetlinkConnection.Request {
        .init(purpose, subject, type: type(code(message)), flags: NLM_F_DUMP) { builder in
            builder.appendNetfilterHeader(family: inet, resource: 0)
            body(&builder)
        }
    }

    private static func type(_ message: UInt16) -> UInt16 { UInt16(NFNL_SUBSYS_NFTABLES) << 8 | message }
}

extension NetlinkBuilder {
    /// struct nfgenmsg: family, version, resource in network order.
    mutating func appendNetfilterHeader(family: UInt8, resource: UInt16) {
        append(family)
        append(UInt8(NFNETLINK_V0))
        append(resource.bigEndian)
    }

    /// BEGIN or END of a transaction; the resource is the subsystem it is for.
    fileprivate mutating func batchMark(_ type: Int32, sequence: UInt32) {
        message(type: UInt16(type), flags: UInt16(NLM_F_REQUEST), sequence: sequence) { body in
            body.appendNetfilterHeader(family: 0, resource: UInt16(NFNL_SUBSYS_NFTABLES))
        }
    }
}
