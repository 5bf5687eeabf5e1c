import Glibc
import Linux
import RecordStore
import Testing

private final class Scratch {
    let path = "/tmp/clp-records-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    deinit { try? Files.removeTree(path) }
}

private struct Pet: Codable, Sendable, Equatable {
    var name: String
    var legs: Int?
}

@Suite struct Records {
    @Test func documentsSurviveReopening() throws {
        let scratch = Scratch()
        do {
            let table = try RecordStore(root: scratch.path).table("pets_pet", of: Pet.self)
            try table.put("b", Pet(name: "Bello", legs: 4))
            try table.put("a", Pet(name: "Äffle", legs: nil))
            try table.put("b", Pet(name: "Bella", legs: 3))
            try table.put("c", Pet(name: "gone", legs: 0))
            #expect(try table.delete("c"))
            #expect(try !table.delete("c"))
        }
        let store = try RecordStore(root: scratch.path)
        let table = try store.table("pets_pet", of: Pet.self)
        #expect(try table.all().map(\.record) == [Pet(name: "Äffle", legs: nil), Pet(name: "Bella", legs: 3)])
        #expect(try table.get("a")?.name == "Äffle" && table.get("x") == nil)
        #expect(store.setAside == nil)
    }

    @Test func transactionsAreWhole() throws {
        let scratch = Scratch()
        let store = try RecordStore(root: scratch.path)
        let table = try store.table("pets_pet", of: Pet.self)
        struct Stop: Error {}
        #expect(throws: Stop.self) {
            try store.transaction { transaction in
                try table.put("a", Pet(name: "a"), in: transaction)
                throw Stop()
            }
        }
        #expect(try table.all().isEmpty)
        let count = try store.transaction { transaction in
            try table.put("a", Pet(name: "a"), in: transaction)
            try table.put("b", Pet(name: "b"), in: transaction)
            return try transaction.query("SELECT count(*) FROM pets_pet") { $0.integer(0) }.first
        }
        #expect(count == 2)
    }

    @Test func valuesGoThroughUnchanged() throws {
        let scratch = Scratch()
        let store = try RecordStore(root: scratch.path)
        try store.execute("CREATE TABLE v (i, d, t, b, n)")
        try store.execute("INSERT INTO v VALUES (?, ?, ?, ?, ?)", [.integer(.min), .double(0.5), "a\u{0}é'--", .blob([]), nil])
        _ = try store.query("SELECT * FROM v") { row in
            #expect(row.integer(0) == .min && row.double(1) == 0.5 && row.text(2) == "a\u{0}é'--" && row.blob(3).isEmpty)
            #expect(row.isNull(4) && !row.isNull(3))
        }
        #expect(throws: RecordError.self) { try store.execute("INSERT INTO v VALUES (?)", []) }
        #expect(throws: RecordError.self) { try store.execute("NONSENSE") }
        #expect(throws: RecordError.self) { try store.table("a b", of: Pet.self) }
    }

    @Test func migrationsRunOnceAndInOrder() throws {
        let scratch = Scratch()
        let first = ["CREATE TABLE x_a (k)", "INSERT INTO x_a VALUES (1)"]
        do { try RecordStore(root: scratch.path).declare(namespace: "x", migrations: first) }
        let store = try RecordStore(root: scratch.path)
        try store.declare(namespace: "x", migrations: first + ["INSERT INTO x_a VALUES (2)"])
        #expect(try store.query("SELECT k FROM x_a ORDER BY k") { $0.integer(0) } == [1, 2])
        #expect(throws: RecordError.newer(namespace: "x", found: 3, known: 1)) { try store.declare(namespace: "x", migrations: ["x"]) }
        #expect(throws: RecordError.self) { try store.declare(namespace: "y", migrations: ["CREATE TABLE y_a (k)", "BROKEN"]) }
        #expect(throws: RecordError.self) { try store.query("SELECT * FROM y_a") { $0.integer(0) } }
    }

    @Test func oneOwnerOnly() throws {
        let scratch = Scratch()
        let store = try RecordStore(root: scratch.path)
        let error = #expect(throws: RecordError.self) { try RecordStore(root: scratch.path) }
        #expect(error == .inUse(path: store.path, pid: getpid()))
    }

    @Test(arguments: [true, false]) func damagedDatabaseIsSetAside(isWhollyOther: Bool) throws {
        let scratch = Scratch()
        do {
            let table = try RecordStore(root: scratch.path).table("pets_pet", of: Pet.self)
            for number in 0..<200 { try table.put("\(number)", Pet(name: String(repeating: "x", count: 500))) }
        }
        let path = "\(scratch.path)/clipper.db"
        var bytes = try Files.read(path)
        if isWhollyOther {
            bytes = Array("this is no database at all, is it?".utf8)
        } else {
            for index in 4096..<20000 { bytes[index] = 0xaa }
        }
        try Files.replace(path, with: bytes)
        let store = try RecordStore(root: scratch.path)
        let setAside = try #require(store.setAside)
        #expect(try Files.read(setAside.path) == bytes)
        #expect(try store.table("pets_pet", of: Pet.self).all().isEmpty)
    }

    @Test func damagedDocumentsAreNamedAndKept() throws {
        let scratch = Scratch()
        let store = try RecordStore(root: scratch.path)
        let table = try store.table("pets_pet", of: Pet.self)
        try table.put("good", Pet(name: "x"))
        try store.execute("INSERT INTO pets_pet VALUES ('bad', ?)", [.blob(Array("{\"name\":5}".utf8))])
        #expect(throws: RecordError.badDocument(table: "pets_pet", key: "bad", reason: "cannot use number as string in field name")) {
            try table.all()
        }
        let (records, damaged) = try table.readable()
        #expect(records.map(\.key) == ["good"] && damaged.count == 1)
    }

    @Test func manyThreads() throws {
        let scratch = Scratch()
        let store = try RecordStore(root: scratch.path)
        let table = try store.table("pets_pet", of: Pet.self)
        final class Context: Sendable {
            let table: RecordTable<Pet>
            init(_ table: RecordTable<Pet>) { self.table = table }
        }
        let threads = (0..<4).map { _ in
            var thread = pthread_t()
            pthread_create(
                &thread, nil,
                { context in
                    guard let context else { return nil }
                    let table = Unmanaged<Context>.fromOpaque(context).takeRetainedValue().table
                    for number in 0..<20 { try? table.put("\(number)-\(pthread_self())", Pet(name: "n")) }
                    return nil
                }, Unmanaged.passRetained(Context(table)).toOpaque())
            return thread
        }
        for thread in threads { pthread_join(thread, nil) }
        #expect(try table.all().count == 80)
    }
}
