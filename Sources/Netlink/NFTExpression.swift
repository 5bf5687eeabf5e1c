internal import CLinux

/// One step of an nf_tables rule. Steps run in order on a few registers and end the rule when a comparison fails
/// (nft(8); the wire format stands in linux/netfilter/nf_tables.h).
///
/// Registers are those of 4 bytes, 0 … 15 (`NFT_REG32_00` …): an IPv4 address, a protocol or a port takes one each, an IPv6
/// address or an interface name four. Concatenated keys of sets stand in consecutive registers.
public enum NFTExpression: Sendable, Equatable {
    /// Loads a property of the packet.
    case meta(Meta, to: Int)
    /// Loads bytes of the network header (IPv4 or IPv6).
    case networkHeader(offset: UInt32, length: UInt32, to: Int)
    /// Loads bytes of the transport header (TCP, UDP).
    case transportHeader(offset: UInt32, length: UInt32, to: Int)
    /// Ends the rule unless the register holds these bytes (or, with `equal` false, if it does).
    case compare(Int, equal: Bool, [UInt8])
    /// register = (register & mask) ^ xor
    case bitwise(Int, mask: [UInt8], xor: [UInt8])
    /// Loads a property of the packet's connection.
    case connection(Connection, to: Int)
    /// Loads the type of the destination address as the routing table knows it (RTN_LOCAL = 2: one of ours).
    case destinationAddressType(to: Int)
    /// Ends the rule unless the set has the key (or, inverted, if it does).
    case lookup(set: String, key: Int, inverted: Bool)
    /// Ends the rule unless the map has the key; loads its value.
    case map(String, key: Int, to: Int)
    /// Loads a constant.
    case immediate([UInt8], to: Int)
    /// Changes the destination to the address and port in these registers.
    case destinationNAT(family: IPAddress.Family, address: Int, port: Int)
    /// Changes the source to the address of the interface the packet leaves by.
    case masquerade
    /// Counts packets and bytes.
    case counter
    case verdict(Verdict)

    /// Properties of a packet (enum nft_meta_keys).
    public enum Meta: UInt32, Sendable {
        /// The packet's mark, in host order.
        case mark = 3
        case inputInterfaceName = 6
        case outputInterfaceName = 7
        /// 2 for IPv4, 10 for IPv6; one byte.
        case networkProtocol = 15
        /// 6 for TCP, 17 for UDP; one byte.
        case transportProtocol = 16
    }

    /// Properties of a connection (enum nft_ct_keys); bit fields in host order.
    public enum Connection: UInt32, Sendable {
        /// 2: established, 4: related, 8: new.
        case state = 0
        /// 0x20: its destination was changed.
        case status = 2
    }

    /// How a rule ends.
    public enum Verdict: Sendable, Equatable {
        case accept
        case drop
        case jump(String)
        case returning
    }
}

extension NFTExpression {
    private var kernelName: String {
        switch self {
        case .meta: "meta"
        case .networkHeader, .transportHeader: "payload"
        case .compare: "cmp"
        case .bitwise: "bitwise"
        case .connection: "ct"
        case .destinationAddressType: "fib"
        case .lookup, .map: "lookup"
        case .immediate, .verdict: "immediate"
        case .destinationNAT: "nat"
        case .masquerade: "masq"
        case .counter: "counter"
        }
    }

    /// Writes the expression as one element of a rule.
    func write(to builder: inout NetlinkBuilder) {
        builder.nested(code(NFTA_LIST_ELEM)) { element in
            element.attribute(code(NFTA_EXPR_NAME), text: kernelName)
            element.nested(code(NFTA_EXPR_DATA)) { writeData(to: &$0) }
        }
    }

    private func writeData(to data: inout NetlinkBuilder) {
        switch self {
        case .meta(let key, let register):
            data.attribute(code(NFTA_META_DREG), big: Self.number(register))
            data.attribute(code(NFTA_META_KEY), big: key.rawValue)
        case .networkHeader(let offset, let length, let register):
            Self.writePayload(to: &data, base: NFT_PAYLOAD_NETWORK_HEADER.rawValue, offset, length, register)
        case .transportHeader(let offset, let length, let register):
            Self.writePayload(to: &data, base: NFT_PAYLOAD_TRANSPORT_HEADER.rawValue, offset, length, register)
        case .compare(let register, let equal, let bytes):
            data.attribute(code(NFTA_CMP_SREG), big: Self.number(register))
            data.attribute(code(NFTA_CMP_OP), big: equal ? NFT_CMP_EQ.rawValue : NFT_CMP_NEQ.rawValue)
            data.nftValue(code(NFTA_CMP_DATA), bytes)
        case .bitwise(let register, let mask, let xor):
            data.attribute(code(NFTA_BITWISE_SREG), big: Self.number(register))
            data.attribute(code(NFTA_BITWISE_DREG), big: Self.number(register))
            data.attribute(code(NFTA_BITWISE_LEN), big: UInt32(mask.count))
            data.nftValue(code(NFTA_BITWISE_MASK), mask)
            data.nftValue(code(NFTA_BITWISE_XOR), xor)
        case .connection(let key, let register):
            data.attribute(code(NFTA_CT_DREG), big: Self.number(register))
            data.attribute(code(NFTA_CT_KEY), big: key.rawValue)
        case .destinationAddressType(let register):
            data.attribute(code(NFTA_FIB_DREG), big: Self.number(register))
            data.attribute(code(NFTA_FIB_RESULT), big: NFT_FIB_RESULT_ADDRTYPE.rawValue)
            data.attribute(code(NFTA_FIB_FLAGS), big: NFTA_FIB_F_DADDR.rawValue)
        case .lookup, .map, .immediate, .destinationNAT, .verdict:
            writeEffect(to: &data)
        case .masquerade: break
        case .counter:
            data.attribute(code(NFTA_COUNTER_BYTES), UInt64(0))
            data.attribute(code(NFTA_COUNTER_PACKETS), UInt64(0))
        }
    }

    private func writeEffect(to data: inout NetlinkBuilder) {
        switch self {
        case .lookup(let set, let key, let inverted):
            data.attribute(code(NFTA_LOOKUP_SET), text: set)
            data.attribute(code(NFTA_LOOKUP_SREG), big: Self.number(key))
            if inverted { data.attribute(code(NFTA_LOOKUP_FLAGS), big: NFT_LOOKUP_F_INV.rawValue) }
        case .map(let map, let key, let register):
            data.attribute(code(NFTA_LOOKUP_SET), text: map)
            data.attribute(code(NFTA_LOOKUP_SREG), big: Self.number(key))
            data.attribute(code(NFTA_LOOKUP_DREG), big: Self.number(register))
        case .immediate(let bytes, let register):
            data.attribute(code(NFTA_IMMEDIATE_DREG), big: Self.number(register))
            data.nftValue(code(NFTA_IMMEDIATE_DATA), bytes)
        case .destinationNAT(let family, let address, let port):
            data.attribute(code(NFTA_NAT_TYPE), big: NFT_NAT_DNAT.rawValue)
            data.attribute(code(NFTA_NAT_FAMILY), big: UInt32(family.rawValue))
            data.attribute(code(NFTA_NAT_REG_ADDR_MIN), big: Self.number(address))
            data.attribute(code(NFTA_NAT_REG_PROTO_MIN), big: Self.number(port))
        case .verdict(let verdict):
            data.attribute(code(NFTA_IMMEDIATE_DREG), big: UInt32(NFT_REG_VERDICT.rawValue))
            data.nested(code(NFTA_IMMEDIATE_DATA)) { $0.nftVerdict(verdict) }
        default: break
        }
    }

    private static func writePayload(to data: inout NetlinkBuilder, base: UInt32, _ offset: UInt32, _ length: UInt32, _ register: Int) {
        data.attribute(code(NFTA_PAYLOAD_DREG), big: number(register))
        data.attribute(code(NFTA_PAYLOAD_BASE), big: base)
        data.attribute(code(NFTA_PAYLOAD_OFFSET), big: offset)
        data.attribute(code(NFTA_PAYLOAD_LEN), big: length)
    }

    /// The kernel's number of a 4-byte register. A group of four has a number of its own, which `nft` expects to see
    /// where such a group begins.
    private static func number(_ register: Int) -> UInt32 {
        register % 4 == 0 ? UInt32(register / 4 + 1) : UInt32(register + 8)
    }
}

extension NetlinkBuilder {
    /// An attribute that holds a value (NFTA_DATA_VALUE).
    mutating func nftValue(_ type: UInt16, _ bytes: [UInt8]) {
        nested(type) { $0.attribute(code(NFTA_DATA_VALUE), bytes) }
    }

    /// NFTA_DATA_VERDICT: what becomes of the packet.
    mutating func nftVerdict(_ verdict: NFTExpression.Verdict) {
        nested(code(NFTA_DATA_VERDICT)) { data in
            switch verdict {
            case .drop: data.attribute(code(NFTA_VERDICT_CODE), big: 0)
            case .accept: data.attribute(code(NFTA_VERDICT_CODE), big: 1)
            case .returning: data.attribute(code(NFTA_VERDICT_CODE), big: UInt32(bitPattern: NFT_RETURN.rawValue))
            case .jump(let chain):
                data.attribute(code(NFTA_VERDICT_CODE), big: UInt32(bitPattern: NFT_JUMP.rawValue))
                data.attribute(code(NFTA_VERDICT_CHAIN), text: chain)
            }
        }
    }
}
