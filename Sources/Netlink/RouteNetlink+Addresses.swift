internal import CLinux
public import Linux

extension RouteNetlink {
    /// Gives an interface an address. IPv6 addresses skip duplicate address detection: they are ours to give, and it
    /// would delay their first use by a second.
    public func addAddress(_ prefix: IPPrefix, to interface: Int32) throws(SystemError) {
        try connection.execute(Self.addition(of: prefix, to: interface))
    }

    public func removeAddress(_ prefix: IPPrefix, from interface: Int32) throws(SystemError) {
        try connection.execute(
            .init("remove address", "\(prefix)", type: code(RTM_DELADDR)) { $0.appendAddress(prefix, interface: interface) })
    }

    /// Adds a route to the main table. `destination` nil is the default route.
    public func addRoute(to destination: IPPrefix?, via gateway: IPAddress, interface: Int32) throws(SystemError) {
        try connection.execute(Self.addition(ofRouteTo: destination, via: gateway, interface: interface))
    }

    /// Brings an interface up and gives it addresses and default routes, in one datagram: what a container's interface needs.
    public func configure(_ interface: Int32, addresses: [IPPrefix], defaultGateways: [IPAddress]) throws(SystemError) {
        try connection.execute(
            [Self.change(ofStateOf: interface, true)] + addresses.map { Self.addition(of: $0, to: interface) }
                + defaultGateways.map { Self.addition(ofRouteTo: nil, via: $0, interface: interface) })
    }

    /// Makes these the default routes of their families, in place of those that are there.
    public func replaceDefaultRoutes(_ gateways: [IPAddress], interface: Int32) throws(SystemError) {
        try connection.execute(
            gateways.map { Self.addition(ofRouteTo: nil, via: $0, interface: interface, flags: NLM_F_CREATE | NLM_F_REPLACE) })
    }

    private static func addition(of prefix: IPPrefix, to interface: Int32) -> NetlinkConnection.Request {
        .init("add address", "\(prefix)", type: code(RTM_NEWADDR), flags: createOnly) { builder in
            builder.appendAddress(prefix, interface: interface)
            if prefix.family == .v4 && prefix.length < 31 { builder.attribute(code(IFA_BROADCAST), prefix.last.bytes) }
        }
    }

    private static func addition(ofRouteTo destination: IPPrefix?, via gateway: IPAddress, interface: Int32, flags: Int32 = createOnly)
        -> NetlinkConnection.Request
    {
        let name = destination.map(\.description) ?? "default"
        return .init("add route", "\(name) via \(gateway)", type: code(RTM_NEWROUTE), flags: flags) { builder in
            builder.appendRouteHeader(family: gateway.family, destinationLength: UInt8(destination?.length ?? 0))
            if let destination { builder.attribute(code(RTA_DST), destination.first.bytes) }
            builder.attribute(code(RTA_GATEWAY), gateway.bytes)
            builder.attribute(code(RTA_OIF), UInt32(bitPattern: interface))
        }
    }

    /// All addresses of all interfaces.
    public func addresses() throws(SystemError) -> [InterfaceAddress] {
        let request = NetlinkConnection.Request("list addresses", "", type: code(RTM_GETADDR), flags: NLM_F_DUMP) { builder in
            builder.appendAddressHeader(family: 0, length: 0, interface: 0)
        }
        return try dump(request) { message throws(SystemError) in
            guard message.type == code(RTM_NEWADDR), let length = message.payload.number(UInt8.self, at: 1),
                let interface = message.payload.number(Int32.self, at: 4)
            else { return nil }
            let attributes = try message.attributes(after: 8)
            // IFA_LOCAL is the interface's own address; on point-to-point links IFA_ADDRESS is the other end's.
            let attribute = attributes.first { $0.type == code(IFA_LOCAL) } ?? attributes.first { $0.type == code(IFA_ADDRESS) }
            guard let address = attribute.flatMap({ IPAddress(bytes: $0.payload) }), let prefix = IPPrefix(address, length: Int(length))
            else { return nil }
            return InterfaceAddress(interface: interface, prefix: prefix)
        }
    }

    /// The unicast routes of the main table, both families.
    public func routes() throws(SystemError) -> [NetworkRoute] {
        let request = NetlinkConnection.Request("list routes", "", type: code(RTM_GETROUTE), flags: NLM_F_DUMP) { builder in
            builder.appendRouteHeader(family: nil, destinationLength: 0)
        }
        return try dump(request) { message throws(SystemError) in
            guard message.type == code(RTM_NEWROUTE), let length = message.payload.number(UInt8.self, at: 1),
                message.payload.number(UInt8.self, at: 4) == UInt8(RT_TABLE_MAIN.rawValue),
                message.payload.number(UInt8.self, at: 7) == UInt8(RTN_UNICAST)
            else { return nil }
            let attributes = try message.attributes(after: 12)
            func address(_ type: UInt16) -> IPAddress? { attributes.first { $0.type == type }.flatMap { IPAddress(bytes: $0.payload) } }
            return NetworkRoute(
                destination: address(code(RTA_DST)).flatMap { IPPrefix($0, length: Int(length)) }, gateway: address(code(RTA_GATEWAY)),
                interface: attributes.first { $0.type == code(RTA_OIF) }?.number())
        }
    }
}

extension NetlinkBuilder {
    /// struct ifaddrmsg: family, prefix length, flags, scope, interface.
    fileprivate mutating func appendAddressHeader(family: UInt8, length: UInt8, interface: Int32) {
        append(family)
        append(length)
        append(family == IPAddress.Family.v6.rawValue ? UInt8(IFA_F_NODAD) : 0)
        append(UInt8(RT_SCOPE_UNIVERSE.rawValue))
        append(interface)
    }

    fileprivate mutating func appendAddress(_ prefix: IPPrefix, interface: Int32) {
        appendAddressHeader(family: prefix.family.rawValue, length: UInt8(prefix.length), interface: interface)
        attribute(code(IFA_LOCAL), prefix.address.bytes)
        attribute(code(IFA_ADDRESS), prefix.address.bytes)
    }

    /// struct rtmsg: family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
    fileprivate mutating func appendRouteHeader(family: IPAddress.Family?, destinationLength: UInt8) {
        append(family?.rawValue ?? 0)
        append(destinationLength)
        append(UInt8(0))
        append(UInt8(0))
        append(UInt8(RT_TABLE_MAIN.rawValue))
        append(UInt8(RTPROT_STATIC))
        append(UInt8(RT_SCOPE_UNIVERSE.rawValue))
        append(UInt8(RTN_UNICAST))
        append(UInt32(0))
    }
}
