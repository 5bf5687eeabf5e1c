internal import CLinux
public import Linux

extension RouteNetlink {
    /// What a bridge is made of.
    public struct Bridge: Sendable {
        public var name: String
        public var macAddress: [UInt8]
        public var mtu: UInt32

        public init(name: String, macAddress: [UInt8], mtu: UInt32) {
            self.name = name
            self.macAddress = macAddress
            self.mtu = mtu
        }
    }

    /// A pair of connected interfaces: one here, on a bridge; its peer in another namespace.
    public struct VethPair: Sendable {
        public var name: String
        /// Index of the bridge; nil: none.
        public var master: Int32?
        public var mtu: UInt32
        public var peerName: String
        public var peerMAC: [UInt8]?
        /// Descriptor of the namespace that gets the peer; nil: this one.
        public var peerNamespace: Int32?

        public init(name: String, master: Int32?, mtu: UInt32, peerName: String, peerMAC: [UInt8]?, peerNamespace: Int32?) {
            self.name = name
            self.master = master
            self.mtu = mtu
            self.peerName = peerName
            self.peerMAC = peerMAC
            self.peerNamespace = peerNamespace
        }
    }

    /// Makes a bridge without spanning tree (as Docker's are) and brings it up. EEXIST when the name is taken.
    public func createBridge(_ bridge: Bridge) throws(SystemError) {
        try connection.execute(
            .init("create bridge", bridge.name, type: code(RTM_NEWLINK), flags: Self.createOnly) { builder in
                builder.appendLinkHeader(up: true)
                builder.attribute(code(IFLA_IFNAME), text: bridge.name)
                builder.attribute(code(IFLA_ADDRESS), bridge.macAddress)
                builder.attribute(code(IFLA_MTU), bridge.mtu)
                builder.nested(code(IFLA_LINKINFO)) { info in
                    info.attribute(code(IFLA_INFO_KIND), text: "bridge")
                    info.nested(code(IFLA_INFO_DATA)) { data in
                        data.attribute(code(IFLA_BR_FORWARD_DELAY), UInt32(0))
                        data.attribute(code(IFLA_BR_STP_STATE), UInt32(0))
                    }
                }
            })
    }

    /// Makes a veth pair in one request: both ends named, the near one up and a port of the bridge, the far one already
    /// in its namespace, still down (it could not be brought up before its other end is there). EEXIST when a name is
    /// taken.
    public func createVeth(_ pair: VethPair) throws(SystemError) {
        try connection.execute(
            .init("create veth", pair.name, type: code(RTM_NEWLINK), flags: Self.createOnly) { builder in
                builder.appendLinkHeader(up: true)
                builder.attribute(code(IFLA_IFNAME), text: pair.name)
                builder.attribute(code(IFLA_MTU), pair.mtu)
                builder.attribute(code(IFLA_NUM_TX_QUEUES), UInt32(1))
                builder.attribute(code(IFLA_NUM_RX_QUEUES), UInt32(1))
                if let master = pair.master { builder.attribute(code(IFLA_MASTER), UInt32(bitPattern: master)) }
                builder.nested(code(IFLA_LINKINFO)) { info in
                    info.attribute(code(IFLA_INFO_KIND), text: "veth")
                    info.nested(code(IFLA_INFO_DATA)) { data in
                        data.nested(code(VETH_INFO_PEER)) { peer in
                            peer.appendLinkHeader()
                            peer.attribute(code(IFLA_IFNAME), text: pair.peerName)
                            peer.attribute(code(IFLA_MTU), pair.mtu)
                            peer.attribute(code(IFLA_NUM_TX_QUEUES), UInt32(1))
                            peer.attribute(code(IFLA_NUM_RX_QUEUES), UInt32(1))
                            if let mac = pair.peerMAC { peer.attribute(code(IFLA_ADDRESS), mac) }
                            if let namespace = pair.peerNamespace { peer.attribute(code(IFLA_NET_NS_FD), UInt32(bitPattern: namespace)) }
                        }
                    }
                }
            })
    }

    /// Brings an interface up or down.
    public func setUp(_ index: Int32, _ up: Bool = true) throws(SystemError) {
        try connection.execute(Self.change(ofStateOf: index, up))
    }

    static func change(ofStateOf index: Int32, _ up: Bool) -> NetlinkConnection.Request {
        .init("set state of interface", "\(index)", type: code(RTM_NEWLINK)) { $0.appendLinkHeader(index: index, up: up) }
    }

    /// Renames an interface; it must be down on kernels before 6.2.
    public func rename(_ index: Int32, to name: String) throws(SystemError) {
        try change(index, "rename interface to \(name)") { $0.attribute(code(IFLA_IFNAME), text: name) }
    }

    public func setMTU(_ index: Int32, _ mtu: UInt32) throws(SystemError) {
        try change(index, "set mtu \(mtu) of interface") { $0.attribute(code(IFLA_MTU), mtu) }
    }

    public func setMAC(_ index: Int32, _ address: [UInt8]) throws(SystemError) {
        try change(index, "set mac address of interface") { $0.attribute(code(IFLA_ADDRESS), address) }
    }

    /// Makes an interface a port of a bridge, or of none.
    public func setMaster(_ index: Int32, _ bridge: Int32?) throws(SystemError) {
        try change(index, "set bridge of interface") { $0.attribute(code(IFLA_MASTER), UInt32(bitPattern: bridge ?? 0)) }
    }

    /// Moves an interface to another namespace.
    public func move(_ index: Int32, toNamespace descriptor: Int32) throws(SystemError) {
        try change(index, "move interface") { $0.attribute(code(IFLA_NET_NS_FD), UInt32(bitPattern: descriptor)) }
    }

    /// Settings of an interface as a port of its bridge; nil leaves one as it is. A hairpin port gets back what it sent when
    /// the bridge says so; an isolated port talks to the bridge, but not to other isolated ports (Linux 4.18).
    public func setBridgePort(_ name: String, hairpin: Bool? = nil, isolated: Bool? = nil) throws(SystemError) {
        try connection.execute(
            .init("configure bridge port", name, type: code(RTM_NEWLINK)) { builder in
                builder.appendLinkHeader()
                builder.attribute(code(IFLA_IFNAME), text: name)
                builder.nested(code(IFLA_LINKINFO)) { info in
                    info.attribute(code(IFLA_INFO_SLAVE_KIND), text: "bridge")
                    info.nested(code(IFLA_INFO_SLAVE_DATA)) { data in
                        if let hairpin { data.attribute(code(IFLA_BRPORT_MODE), UInt8(hairpin ? 1 : 0)) }
                        if let isolated { data.attribute(code(IFLA_BRPORT_ISOLATED), UInt8(isolated ? 1 : 0)) }
                    }
                }
            })
    }

    private func change(_ index: Int32, _ purpose: String, _ attributes: @escaping (inout NetlinkBuilder) -> Void) throws(SystemError) {
        try connection.execute(
            .init(purpose, "\(index)", type: code(RTM_NEWLINK)) { builder in
                builder.appendLinkHeader(index: index)
                attributes(&builder)
            })
    }

    /// Removes an interface; of a pair, both ends. Returns false when there was none of that name.
    @discardableResult
    public func deleteLink(_ name: String) throws(SystemError) -> Bool {
        do {
            try connection.execute(
                .init("delete interface", name, type: code(RTM_DELLINK)) { builder in
                    builder.appendLinkHeader()
                    builder.attribute(code(IFLA_IFNAME), text: name)
                })
            return true
        } catch {
            if error.code == ENODEV { return false }
            throw error
        }
    }

    /// The interface of this name, nil when there is none.
    public func link(_ name: String) throws(SystemError) -> NetworkLink? {
        var found: NetworkLink?
        do {
            let request = NetlinkConnection.Request("look up interface", name, type: code(RTM_GETLINK)) { builder in
                builder.appendLinkHeader()
                builder.attribute(code(IFLA_IFNAME), text: name)
            }
            try connection.query(request) { message throws(SystemError) in found = try Self.readLink(message) }
        } catch {
            if error.code == ENODEV { return nil }
            throw error
        }
        return found
    }

    /// All interfaces.
    public func links() throws(SystemError) -> [NetworkLink] {
        try dump(.init("list interfaces", "", type: code(RTM_GETLINK), flags: NLM_F_DUMP) { $0.appendLinkHeader() }, Self.readLink)
    }

    static let createOnly = NLM_F_CREATE | NLM_F_EXCL

    private static func readLink(_ message: NetlinkMessage) throws(SystemError) -> NetworkLink? {
        guard message.type == code(RTM_NEWLINK), let index = message.payload.number(Int32.self, at: 4),
            let flags = message.payload.number(UInt32.self, at: 8)
        else { return nil }
        var name = ""
        var mac = ""
        var mtu: UInt32 = 0
        var kind = ""
        var master: Int32?
        for attribute in try message.attributes(after: 16) {
            switch attribute.type {
            case code(IFLA_IFNAME): name = attribute.text
            case code(IFLA_ADDRESS): mac = attribute.payload.count == 6 ? macText(attribute.payload) : ""
            case code(IFLA_MTU): mtu = attribute.number() ?? 0
            case code(IFLA_MASTER): master = attribute.number()
            case code(IFLA_LINKINFO): kind = try attribute.nested().first { $0.type == code(IFLA_INFO_KIND) }?.text ?? ""
            default: break
            }
        }
        return NetworkLink(
            index: index, name: name, macAddress: mac, mtu: mtu, isUp: flags & NetlinkBuilder.isUpFlag != 0, kind: kind, master: master)
    }
}

extension NetlinkBuilder {
    /// IFF_UP of netdevice(7).
    static let isUpFlag: UInt32 = 1

    /// struct ifinfomsg: family, type, index, flags, and which flags are meant.
    mutating func appendLinkHeader(index: Int32 = 0, up: Bool? = nil) {
        append(UInt32(0))
        append(index)
        append(up == true ? Self.isUpFlag : 0)
        append(up == nil ? 0 : Self.isUpFlag)
    }
}
