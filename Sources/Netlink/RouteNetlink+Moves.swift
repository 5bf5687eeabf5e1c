internal import CLinux
public import Linux

/// An address as an interface that moves to another namespace takes it along.
public struct PermanentAddress: Sendable, Equatable {
    /// AF_INET or AF_INET6.
    let family: UInt8
    let prefixLength: UInt8
    let flags: UInt32
    /// Attributes of the kernel's message, by type, that hold there as well as here.
    let attributes: [Attribute]

    struct Attribute: Sendable, Equatable {
        let type: UInt16
        let payload: [UInt8]
    }
}

extension RouteNetlink {
    /// Moves an interface to another namespace, where it gets a name (with `%d`, the kernel chooses a number).
    public func move(_ index: Int32, toNamespace descriptor: Int32, name: String) throws(SystemError) {
        try connection.execute(
            .init("move interface to another namespace as \(name)", "\(index)", type: code(RTM_NEWLINK)) { builder in
                builder.appendLinkHeader(index: index)
                builder.attribute(code(IFLA_NET_NS_FD), UInt32(bitPattern: descriptor))
                builder.attribute(code(IFLA_IFNAME), text: name)
            })
    }

    /// The permanent addresses of global scope, both families, in the kernel's order (rtnetlink(7)): a move takes them away.
    public func permanentAddresses(of interface: Int32) throws(SystemError) -> [PermanentAddress] {
        let request = NetlinkConnection.Request("list addresses of interface", "\(interface)", type: code(RTM_GETADDR), flags: NLM_F_DUMP) {
            // struct ifaddrmsg: all families, all interfaces.
            $0.append(UInt32(0))
            $0.append(UInt32(0))
        }
        // What says where the interface is, or how old the address is, is not taken along; labels carry the old name.
        let kept: Set<UInt16> = [code(IFA_ADDRESS), code(IFA_LOCAL), code(IFA_BROADCAST), code(IFA_RT_PRIORITY), code(IFA_PROTO)]
        return try dump(request) { message throws(SystemError) in
            guard message.type == code(RTM_NEWADDR), let family = message.payload.number(UInt8.self, at: 0),
                let length = message.payload.number(UInt8.self, at: 1), let short = message.payload.number(UInt8.self, at: 2),
                let scope = message.payload.number(UInt8.self, at: 3), message.payload.number(Int32.self, at: 4) == interface
            else { return nil }
            let attributes = try message.attributes(after: 8)
            let flags: UInt32 = attributes.first { $0.type == code(IFA_FLAGS) }?.number() ?? UInt32(short)
            guard flags & UInt32(IFA_F_PERMANENT) != 0, scope == UInt8(RT_SCOPE_UNIVERSE.rawValue) else { return nil }
            return PermanentAddress(
                family: family, prefixLength: length, flags: flags & Self.settableFlags,
                attributes: attributes.filter { kept.contains($0.type) }.map { .init(type: $0.type, payload: Array($0.payload)) })
        }
    }

    /// Gives an interface an address that it had in its former namespace. IPv6 skips duplicate address detection: the
    /// address was this interface's before.
    public func restore(_ address: PermanentAddress, to interface: Int32) throws(SystemError) {
        let isV6 = address.family == IPAddress.Family.v6.rawValue
        let flags = address.flags | (isV6 ? UInt32(IFA_F_NODAD) : 0)
        try connection.execute(
            .init("restore address of interface", "\(interface)", type: code(RTM_NEWADDR), flags: Self.createOnly) { builder in
                builder.append(address.family)
                builder.append(address.prefixLength)
                builder.append(UInt8(truncatingIfNeeded: flags))
                builder.append(UInt8(RT_SCOPE_UNIVERSE.rawValue))
                builder.append(interface)
                for attribute in address.attributes { builder.attribute(attribute.type, attribute.payload) }
                builder.attribute(code(IFA_FLAGS), flags)
            })
    }

    /// What user space may ask for: not the kernel's own notes (permanent, tentative, secondary…).
    private static var settableFlags: UInt32 {
        UInt32(IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN)
    }
}
