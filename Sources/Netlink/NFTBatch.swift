internal import CLinux

/// Changes to one nf_tables table of the family inet, to be made in one transaction: all of them or none.
public struct NFTBatch {
    /// Where a base chain sees packets (enum nf_inet_hooks).
    public enum Hook: UInt32, Sendable {
        case prerouting = 0
        case input = 1
        case forward = 2
        case output = 3
        case postrouting = 4
    }

    /// A component of a set's key or value, with the number by which `nft` knows how to print it and the bytes it takes.
    public enum Field: UInt32, Sendable {
        case ipv4Address = 7
        case ipv6Address = 8
        case transportProtocol = 12
        case port = 13
        case interfaceName = 41

        /// Whole registers of 4 bytes.
        var length: Int {
            switch self {
            case .ipv4Address, .transportProtocol, .port: 4
            case .ipv6Address, .interfaceName: 16
            }
        }
    }

    /// A key and, in a map, its value; each already in registers of 4 bytes, in network order.
    public struct Element: Sendable, Hashable {
        public let key: [UInt8]
        public let value: [UInt8]?

        public init(key: [UInt8], value: [UInt8]? = nil) {
            self.key = key
            self.value = value
        }
    }

    struct Message {
        let purpose: String
        let subject: String
        let type: UInt16
        let flags: UInt16
        let body: (inout NetlinkBuilder) -> Void
    }

    public let table: String
    private(set) var messages: [Message] = []
    private var sets: UInt32 = 0

    public init(table: String) { self.table = table }

    public var isEmpty: Bool { messages.isEmpty }

    private mutating func add(
        _ purpose: String, _ subject: String, _ type: some RawRepresentable<UInt32>, flags: Int32 = 0,
        _ body: @escaping (inout NetlinkBuilder) -> Void
    ) {
        messages.append(Message(purpose: purpose, subject: subject, type: code(type), flags: UInt16(truncatingIfNeeded: flags), body: body))
    }

    // MARK: Tables

    /// Makes the table if it is not there.
    public mutating func addTable() {
        let table = table
        add("add table", table, NFT_MSG_NEWTABLE, flags: NLM_F_CREATE) { builder in
            builder.attribute(code(NFTA_TABLE_NAME), text: table)
            builder.attribute(code(NFTA_TABLE_FLAGS), big: 0)
        }
    }

    /// Removes the table with all that is in it; it must be there.
    public mutating func deleteTable() {
        let table = table
        add("delete table", table, NFT_MSG_DELTABLE) { $0.attribute(code(NFTA_TABLE_NAME), text: table) }
    }

    // MARK: Chains

    /// Makes a chain that rules jump to.
    public mutating func addChain(_ name: String) {
        let table = table
        add("add chain", name, NFT_MSG_NEWCHAIN, flags: NLM_F_CREATE) { builder in
            builder.attribute(code(NFTA_CHAIN_TABLE), text: table)
            builder.attribute(code(NFTA_CHAIN_NAME), text: name)
        }
    }

    /// Makes a chain through which packets go at a hook. `type` is `filter` or `nat`; lower priorities come first; the
    /// policy is to accept.
    public mutating func addBaseChain(_ name: String, type: String, hook: Hook, priority: Int32) {
        let table = table
        add("add chain", name, NFT_MSG_NEWCHAIN, flags: NLM_F_CREATE) { builder in
            builder.attribute(code(NFTA_CHAIN_TABLE), text: table)
            builder.attribute(code(NFTA_CHAIN_NAME), text: name)
            builder.nested(code(NFTA_CHAIN_HOOK)) { data in
                data.attribute(code(NFTA_HOOK_HOOKNUM), big: hook.rawValue)
                data.attribute(code(NFTA_HOOK_PRIORITY), big: UInt32(bitPattern: priority))
            }
            builder.attribute(code(NFTA_CHAIN_POLICY), big: 1)
            builder.attribute(code(NFTA_CHAIN_TYPE), text: type)
        }
    }

    /// Removes all rules of a chain.
    public mutating func flushChain(_ name: String) {
        let table = table
        add("flush chain", name, NFT_MSG_DELRULE) { builder in
            builder.attribute(code(NFTA_RULE_TABLE), text: table)
            builder.attribute(code(NFTA_RULE_CHAIN), text: name)
        }
    }

    /// Appends a rule to a chain.
    public mutating func addRule(_ chain: String, _ expressions: [NFTExpression]) {
        let table = table
        add("add rule to", chain, NFT_MSG_NEWRULE, flags: NLM_F_CREATE | NLM_F_APPEND) { builder in
            builder.attribute(code(NFTA_RULE_TABLE), text: table)
            builder.attribute(code(NFTA_RULE_CHAIN), text: chain)
            builder.nested(code(NFTA_RULE_EXPRESSIONS)) { list in
                for expression in expressions { expression.write(to: &list) }
            }
        }
    }

    // MARK: Sets and maps

    /// Makes a set, or with `value` a map. Several fields make a concatenated key.
    public mutating func addSet(_ name: String, key: [Field], value: [Field]? = nil) {
        sets += 1
        let (table, id) = (table, sets)
        add("add set", name, NFT_MSG_NEWSET, flags: NLM_F_CREATE) { builder in
            builder.attribute(code(NFTA_SET_TABLE), text: table)
            builder.attribute(code(NFTA_SET_NAME), text: name)
            builder.attribute(code(NFTA_SET_FLAGS), big: value == nil ? 0 : NFT_SET_MAP.rawValue)
            builder.attribute(code(NFTA_SET_KEY_TYPE), big: Self.type(of: key))
            builder.attribute(code(NFTA_SET_KEY_LEN), big: UInt32(key.reduce(0) { $0 + $1.length }))
            if let value {
                builder.attribute(code(NFTA_SET_DATA_TYPE), big: Self.type(of: value))
                builder.attribute(code(NFTA_SET_DATA_LEN), big: UInt32(value.reduce(0) { $0 + $1.length }))
            }
            builder.attribute(code(NFTA_SET_ID), big: id)
            // For `nft list` only: this key is in host order (a note of libnftnl's: type 0, 4 bytes, 1).
            if key == [.interfaceName] { builder.attribute(code(NFTA_SET_USERDATA), [0, 4, 1, 0, 0, 0] as [UInt8]) }
        }
    }

    /// `nft` packs the types of a concatenation into one number, six bits each.
    private static func type(of fields: [Field]) -> UInt32 { fields.reduce(0) { $0 << 6 | $1.rawValue } }

    /// Adds elements; one that is there with another value is an error.
    public mutating func addElements(_ set: String, _ elements: some Collection<Element>) {
        changeElements(set, elements, "add element to", NFT_MSG_NEWSETELEM, flags: NLM_F_CREATE)
    }

    /// Removes elements; ENOENT when one is not there.
    public mutating func deleteElements(_ set: String, _ elements: some Collection<Element>) {
        changeElements(set, elements.map { Element(key: $0.key) }, "delete element from", NFT_MSG_DELSETELEM)
    }

    /// Removes all elements.
    public mutating func flushSet(_ set: String) {
        let table = table
        add("flush set", set, NFT_MSG_DELSETELEM) { builder in
            builder.attribute(code(NFTA_SET_ELEM_LIST_TABLE), text: table)
            builder.attribute(code(NFTA_SET_ELEM_LIST_SET), text: set)
        }
    }

    private mutating func changeElements(
        _ set: String, _ elements: some Collection<Element>, _ purpose: String, _ type: some RawRepresentable<UInt32>, flags: Int32 = 0
    ) {
        let table = table
        let all = Array(elements)
        // The list is one attribute, whose length has 16 bits: at most 120 bytes each, 500 fit.
        for start in stride(from: 0, to: all.count, by: 500) {
            let part = all[start..<min(start + 500, all.count)]
            add(purpose, set, type, flags: flags) { builder in
                builder.attribute(code(NFTA_SET_ELEM_LIST_TABLE), text: table)
                builder.attribute(code(NFTA_SET_ELEM_LIST_SET), text: set)
                builder.nested(code(NFTA_SET_ELEM_LIST_ELEMENTS)) { list in
                    for element in part {
                        list.nested(code(NFTA_LIST_ELEM)) { item in
                            item.nftValue(code(NFTA_SET_ELEM_KEY), element.key)
                            if let value = element.value { item.nftValue(code(NFTA_SET_ELEM_DATA), value) }
                        }
                    }
                }
            }
        }
    }
}
