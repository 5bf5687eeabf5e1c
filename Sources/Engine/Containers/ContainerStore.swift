internal import EngineTypes
public import Logging
public import RecordStore

/// All containers, in memory and written through to the record store. Looking one up never waits for a disk.
public final class ContainerStore: Sendable {
    private struct Index {
        var byID: [String: Container] = [:]
        var byName: [String: String] = [:]
    }

    private let index = Locked(Index())
    private let table: RecordTable<ContainerRecord>
    private let logger: Logger

    /// Opens the table; `load` brings the records into memory.
    public init(records: RecordStore, logger: Logger) throws {
        table = try records.table("containers", of: ContainerRecord.self)
        self.logger = logger
    }

    /// Reads all records. One that cannot be read stays where it is and is reported; false then.
    func load(_ make: (ContainerRecord) -> Container) throws -> Bool {
        let (records, damaged) = try table.readable()
        for error in damaged { logger.error("a container's record cannot be read; it is left alone", metadata: ["error": "\(error)"]) }
        let containers = records.map { make($0.record) }
        index.withLock { index in
            for container in containers {
                index.byID[container.id] = container
                index.byName[container.name] = container.id
            }
        }
        return damaged.isEmpty
    }

    var all: [Container] { index.withLock { Array($0.byID.values) } }

    /// By full id, name (with or without a leading slash) or a unique beginning of an id; in Docker's order.
    func find(_ text: String) throws(EngineError) -> Container {
        let name = text.hasPrefix("/") ? String(text.dropFirst()) : text
        let found: [Container] = index.withLock { index in
            if let container = index.byID[text] { return [container] }
            if let id = index.byName[name], let container = index.byID[id] { return [container] }
            return text.isEmpty ? [] : index.byID.values.filter { $0.id.hasPrefix(text) }
        }
        if found.isEmpty, let linked = linked(name) { return linked }
        if found.count > 1 { throw .invalid("Multiple IDs found with provided prefix: \(text)") }
        guard let container = found.first else { throw .notFound("No such container: \(text)") }
        return container
    }

    /// `container/alias`: the container that another knows under that name.
    private func linked(_ name: String) -> Container? {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else { return nil }
        return index.withLock { index in
            let owner = index.byName[parts[0]].flatMap { index.byID[$0] }
            return owner?.record.links.first { $0.alias == parts[1] }.flatMap { index.byID[$0.containerID] }
        }
    }

    /// Names that containers have besides their own, `/container/alias`, by the ID of the one that is called so.
    func linkNames() -> [String: [String]] {
        var names: [String: [String]] = [:]
        for container in all {
            for link in container.links { names[link.containerID, default: []].append("/\(container.name)/\(link.alias)") }
        }
        return names.mapValues { $0.sorted() }
    }

    func container(withName name: String) -> String? { index.withLock { $0.byName[name] } }

    /// Takes a name for an id; throws Docker's conflict when it is taken.
    func reserve(_ name: String, for id: String) throws(EngineError) {
        let owner = index.withLock { index -> String? in
            if let owner = index.byName[name], owner != id { return owner }
            index.byName[name] = id
            return nil
        }
        if let owner {
            throw .conflict(
                "Conflict. The container name \"/\(name)\" is already in use by container \"\(owner)\". "
                    + "You have to remove (or rename) that container to be able to reuse that name.")
        }
    }

    func release(_ name: String, of id: String) {
        index.withLock { index in if index.byName[name] == id { index.byName[name] = nil } }
    }

    func insert(_ container: Container) { index.withLock { $0.byID[container.id] = container } }

    /// Writes a container down. It survives a crash of the daemon in any case; a power loss only when `durable`, which states
    /// that end with the power anyway need not be. A container that goes with its end is never worth waiting for the disk.
    func save(_ container: Container, durable: Bool = true) async throws {
        let record = container.record
        let waits = durable && record.hostConfig.AutoRemove != true
        try await offloaded { [table] in try table.put(record.id, record, durable: waits) }
    }

    /// Forgets a container and frees its name.
    func delete(_ container: Container) async throws {
        let id = container.id
        let waits = container.record.hostConfig.AutoRemove != true
        try await offloaded { [table] in _ = try table.delete(id, durable: waits) }
        index.withLock { index in
            index.byID[id] = nil
            for (name, owner) in index.byName where owner == id { index.byName[name] = nil }
        }
    }
}
