internal import CLinux
internal import Linux
internal import Netlink
internal import Synchronization

/// This daemon's nf_tables table: masquerading, isolation of networks, published ports.
///
/// The object holds the whole model (networks, ports) and makes the table from it in one transaction; single
/// changes are small transactions of their own. Should somebody have emptied the ruleset (`nft flush ruleset`), the next change
/// puts the whole back. What stands in the table is in Firewall+Rules.swift. For address families that it has nothing to do with
/// there are no rules, and without any there is no table: the model is kept all the same.
final class Firewall: Sendable {
    /// A bridge and what holds for it.
    struct Bridge: Sendable, Equatable {
        let name: String
        let subnets: [IPPrefix]
        let isInternal: Bool
        let masquerades: Bool
    }

    /// A port of the host that leads to a port of a container.
    struct Port: Sendable, Hashable {
        let proto: PortProtocol
        let hostIP: IPAddress
        let hostPort: UInt16
        let containerIP: IPAddress
        let containerPort: UInt16
    }

    struct Model {
        var bridges: [String: Bridge] = [:]
        var ports: Set<Port> = []
    }

    private struct State {
        let nftables: NFTables
        var model = Model()
    }

    let table: String
    let families: Set<IPAddress.Family>
    let admission: NetworkConfiguration.Admission
    private let state: Mutex<State>

    /// Speaks to the nf_tables of the calling thread's network namespace. Changes nothing yet.
    init(
        table: String, families: Set<IPAddress.Family> = [.v4, .v6], admission: NetworkConfiguration.Admission = .init()
    ) throws(SystemError) {
        self.table = table
        self.families = families
        self.admission = admission
        let nftables = try NFTables()
        state = Mutex(State(nftables: nftables))
    }

    /// Sets the table to exactly these bridges and ports.
    func replace(bridges: [Bridge], ports: some Collection<Port>) throws(SystemError) {
        try state.withLock { state throws(SystemError) in
            let model = Model(bridges: Dictionary(bridges.map { ($0.name, $0) }) { $1 }, ports: Set(ports))
            try state.nftables.commit(families.isEmpty ? nothing : whole(model))
            state.model = model
        }
    }

    func add(_ bridge: Bridge) throws(SystemError) {
        try change {
            $0.bridges[bridge.name] = bridge
        } batch: {
            bridges($0)
        }
    }

    func removeBridge(_ name: String) throws(SystemError) {
        try change {
            $0.bridges[name] = nil
        } batch: {
            bridges($0)
        }
    }

    /// Publishes all of these, or none.
    func add(_ ports: [Port]) throws(SystemError) {
        try change {
            $0.ports.formUnion(ports)
        } batch: { _ in
            changing(ports, direct: ports) { $0.addElements($1, $2) }
        }
    }

    /// Those that are not published are passed over.
    func remove(_ ports: [Port]) throws(SystemError) {
        let present = state.withLock { state in ports.filter(state.model.ports.contains) }
        if present.isEmpty { return }
        do throws(SystemError) {
            try change {
                $0.ports.subtract(present)
            } batch: { model in
                changing(present, direct: admission.includesDirectRouting ? unreached(present, in: model) : []) {
                    $0.deleteElements($1, $2)
                }
            }
        } catch {
            // What should be gone must not come back when the table is made anew.
            state.withLock { $0.model.ports.subtract(present) }
            throw error
        }
    }

    /// True when the kernel has the table.
    func exists() throws(SystemError) -> Bool {
        try state.withLock { state throws(SystemError) in try state.nftables.tables().contains(table) }
    }

    /// Takes the table that is there as one with these bridges, until `replace` makes it so.
    func assume(_ bridges: [Bridge]) {
        state.withLock { $0.model = Model(bridges: Dictionary(bridges.map { ($0.name, $0) }) { $1 }) }
    }

    /// Takes the table away, if it is there.
    func removeTable() throws(SystemError) {
        try state.withLock { state throws(SystemError) in
            state.model = Model()
            try state.nftables.commit(nothing)
        }
    }

    /// Those of `ports` whose port of a container no other port of the host leads to, one of each.
    private func unreached(_ ports: [Port], in model: Model) -> [Port] {
        let left = Set(model.ports.map(Self.direct))
        return Dictionary(ports.map { (Self.direct($0), $0) }) { one, _ in one }.filter { !left.contains($0.key) }.map(\.value)
    }

    /// Takes the table away: adding it first makes that succeed when there was none.
    private var nothing: NFTBatch {
        var batch = NFTBatch(table: table)
        batch.addTable()
        batch.deleteTable()
        return batch
    }

    /// Changes model and table. When the kernel's table is not what the model says (ENOENT: something is gone, EEXIST:
    /// something is still there), it is made anew from the model.
    private func change(_ edit: (inout Model) -> Void, batch: (Model) -> NFTBatch) throws(SystemError) {
        try state.withLock { state throws(SystemError) in
            var model = state.model
            edit(&model)
            if families.isEmpty {
                state.model = model
                return
            }
            do throws(SystemError) {
                try state.nftables.commit(batch(model))
            } catch {
                guard error.code == ENOENT || error.code == EEXIST else { throw error }
                try state.nftables.commit(whole(model))
            }
            state.model = model
        }
    }
}
