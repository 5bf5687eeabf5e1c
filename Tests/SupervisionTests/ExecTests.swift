import Glibc
import JSON
import Linux
import ShimProtocol
import Supervision
import Testing

@Test(arguments: runtimes)
func execsSideBySide(_ runtime: LaunchRequest.Runtime) async throws {
    let sandbox = try Sandbox(runtime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sleep", "100"]))
    let count = 50
    let results = await withTaskGroup(of: (Int, String).self) { group in
        for number in 0..<count {
            group.addTask {
                do {
                    let process = Sandbox.process(["sh", "-c", "read line; echo got $line; exit \(number)"])
                    try await connection.execCreate(id: "e\(number)", process: process, terminal: false, stdin: true)
                    let stream = Stream(try await connection.execAttach(id: "e\(number)", AttachOptions(stdin: true)))
                    let pid = try await connection.execStart(id: "e\(number)")
                    guard pid > 0 else { return (number, "no process") }
                    stream.write("line \(number)\n")
                    stream.endInput()
                    return (number, String(decoding: await stream.readFrames()[1] ?? [], as: UTF8.self))
                } catch { return (number, "\(error)") }
            }
        }
        return await group.reduce(into: [Int: String]()) { $0[$1.0] = $1.1 }
    }
    for number in 0..<count { #expect(results[number] == "got line \(number)\n") }
    try await connection.signal(SIGKILL)
    var codes: [String: Int32] = [:]
    for await event in connection.events { if case .execExited(let id, let code) = event { codes[id] = code } }
    #expect(codes.count == count)
    for number in 0..<count { #expect(codes["e\(number)"] == Int32(number)) }
    // What execs write is not the container's log.
    #expect(try sandbox.log().isEmpty)
}

@Test(arguments: runtimes)
func execFailsForACommandThatIsNotThere(_ runtime: LaunchRequest.Runtime) async throws {
    let sandbox = try Sandbox(runtime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sleep", "100"]))
    try await connection.execCreate(id: "x", process: Sandbox.process(["/bin/missing"]), terminal: false, stdin: false)
    let failure = await #expect(throws: ShimFailure.self) { _ = try await connection.execStart(id: "x") }
    #expect(failure?.kind == .commandNotFound, "\(failure?.message ?? "")")
    let again = await #expect(throws: ShimFailure.self) { _ = try await connection.execStart(id: "x") }
    #expect(again?.kind == .notFound)
    let unknown = await #expect(throws: ShimFailure.self) { _ = try await connection.execAttach(id: "y", AttachOptions()) }
    #expect(unknown?.kind == .notFound)
    try await connection.signal(SIGKILL)
    #expect(await connection.finished()?.exitCode == 137)
}

@Test(arguments: runtimes)
func execGetsATerminalAndSignals(_ runtime: LaunchRequest.Runtime) async throws {
    let sandbox = try Sandbox(runtime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sleep", "100"]))
    let process = Sandbox.process(["sh", "-c", "read x; stty size; sleep 100"], terminal: true)
    try await connection.execCreate(id: "t", process: process, terminal: true, stdin: true)
    let stream = Stream(try await connection.execAttach(id: "t", AttachOptions(stdin: true)))
    try await connection.execResize(id: "t", rows: 11, columns: 22)
    _ = try await connection.execStart(id: "t")
    stream.write("\n")
    let text = await stream.read(until: "22")
    #expect(text.contains("11 22"), "\(text)")
    try await connection.execSignal(id: "t", SIGKILL)
    _ = await stream.readAll()
    try await connection.signal(SIGKILL)
    var code: Int32?
    for await event in connection.events { if case .execExited(_, let exit) = event { code = exit } }
    #expect(code == 137)
}

/// Processes of an exec die with the container, and say so.
@Test(arguments: runtimes)
func execEndsWithItsContainer(_ runtime: LaunchRequest.Runtime) async throws {
    let sandbox = try Sandbox(runtime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sleep", "100"]))
    try await connection.execCreate(id: "s", process: Sandbox.process(["sleep", "100"]), terminal: false, stdin: false)
    let stream = Stream(try await connection.execAttach(id: "s", AttachOptions()))
    _ = try await connection.execStart(id: "s")
    try await connection.signal(SIGKILL)
    _ = await stream.readAll()
    var events: [ShimEvent] = []
    for await event in connection.events { events.append(event) }
    #expect(events.first == .execExited(id: "s", exitCode: 137))
    #expect(events.last == .disconnected)
    #expect(events.count == 3)
}
