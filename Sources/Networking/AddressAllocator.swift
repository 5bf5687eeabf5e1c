internal import Netlink

/// The addresses of one subnet: gives out the lowest after the last one given, so that an address which was just freed is
/// not used again at once (neighbours still have it in their caches).
struct AddressAllocator: Sendable {
    let subnet: IPPrefix
    /// First and last address that may be chosen.
    private let lowest: UInt128
    private let highest: UInt128
    private var used: Set<UInt128> = []
    private var last: UInt128?

    /// `range` limits which addresses are chosen; those asked for by name may lie anywhere in the subnet.
    init(subnet: IPPrefix, range: IPPrefix? = nil, reserved: [IPAddress] = []) {
        self.subnet = subnet.network
        let part = (range ?? subnet).network
        lowest = part.first.value
        highest = part.last.value
        // The network's own address, and for IPv4 the broadcast address; not in networks of two or one (RFC 3021).
        if subnet.length < subnet.family.bits - 1 {
            used.insert(subnet.first.value)
            if subnet.family == .v4 { used.insert(subnet.last.value) }
        }
        for address in reserved where subnet.contains(address) { used.insert(address.value) }
    }

    func isUsed(_ address: IPAddress) -> Bool { used.contains(address.value) }

    /// The next free address, nil when there is none.
    mutating func allocate() -> IPAddress? {
        let start = last.map { $0 >= highest || $0 < lowest ? lowest : $0 + 1 } ?? lowest
        var candidate = start
        repeat {
            if used.insert(candidate).inserted {
                last = candidate
                return IPAddress(family: subnet.family, value: candidate)
            }
            candidate = candidate == highest ? lowest : candidate + 1
        } while candidate != start
        return nil
    }

    /// Takes this address. False when it is taken or lies outside.
    mutating func reserve(_ address: IPAddress) -> Bool {
        guard subnet.contains(address), used.insert(address.value).inserted else { return false }
        return true
    }

    /// As `reserve`, for an endpoint that lives already: what is chosen next comes after it.
    mutating func restore(_ address: IPAddress) {
        guard subnet.contains(address) else { return }
        used.insert(address.value)
        if (lowest...highest).contains(address.value), address.value > last ?? 0 { last = address.value }
    }

    mutating func release(_ address: IPAddress) { used.remove(address.value) }
}
