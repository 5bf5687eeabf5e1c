import CLinux
import Glibc
import JSON
import Linux
import ShimProtocol
import Supervision
import Testing

/// The daemon goes, the container stays: its log goes on, its exit code is known.
@Test(arguments: runtimes)
func outlivesTheDaemon(_ runtime: LaunchRequest.Runtime) async throws {
    let sandbox = try Sandbox(runtime)
    defer { sandbox.remove() }
    let directory = "\(sandbox.base)/run"
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; read x < /tmp/go; exit 9"
    _ = try await sandbox.supervisor.launch(try sandbox.request(["sh", "-c", "busybox mkfifo /tmp/go; \(script)"]))
    // The connection is gone with its last reference.
    guard case .running(let connection, let state) = await sandbox.supervisor.reconnect(directory: directory) else {
        Issue.record("expected a running container")
        return
    }
    #expect(state.containerID == sandbox.id)
    try await connection.execCreate(id: "go", process: Sandbox.process(["sh", "-c", "echo > /tmp/go"]), terminal: false, stdin: false)
    _ = try await connection.execStart(id: "go")
    #expect(await connection.finished()?.exitCode == 9)
    #expect(try sandbox.log().map(\.text) == (0..<3000).map { "line \($0)\n" })
}

@Test func leavesARecordForTheNextDaemon() async throws {
    let sandbox = try Sandbox(oneRuntime)
    defer { sandbox.remove() }
    let directory = "\(sandbox.base)/run"
    var request = try sandbox.request(["sh", "-c", "sleep 0.2; echo bye; exit 5"])
    request.exitRecordPath = "\(sandbox.base)/record.json"
    request.exitRecordIsDurable = true
    let shim = try await sandbox.supervisor.launch(request).shimPID
    while kill(shim, 0) == 0 && waitpid(shim, nil, WNOHANG) == 0 { try await Task.sleep(for: .milliseconds(20)) }
    guard case .exited(let record) = await sandbox.supervisor.reconnect(directory: directory, exitRecordPath: request.exitRecordPath) else {
        Issue.record("expected an exit record")
        return
    }
    #expect(record.exitCode == 5)
    #expect(try sandbox.log().map(\.text) == ["bye\n"])
}

/// A shim that is killed takes its container with it: nobody would read its output or know its exit code.
@Test(arguments: runtimes)
func killsTheContainerOfAKilledShim(_ runtime: LaunchRequest.Runtime) async throws {
    let sandbox = try Sandbox(runtime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sleep", "100"]))
    kill(connection.shimPID, SIGKILL)
    var events: [ShimEvent] = []
    for await event in connection.events { events.append(event) }
    #expect(events == [.disconnected])
    for _ in 0..<100 where kill(connection.containerPID, 0) == 0 { try await Task.sleep(for: .milliseconds(20)) }
    #expect(kill(connection.containerPID, 0) != 0)
    guard case .lost = await sandbox.supervisor.reconnect(directory: "\(sandbox.base)/run") else {
        Issue.record("expected a lost container")
        return
    }
    if case .external(let path, let root, _) = runtime { _ = shell("\(path) --root \(root) delete --force \(sandbox.id) 2>/dev/null") }
}

/// A peer that does not read holds the container back once its queue is full, and loses nothing.
@Test func losesNothingToASlowPeer() async throws {
    let sandbox = try Sandbox(oneRuntime)
    defer { sandbox.remove() }
    let (initial, slow) = try streamPair(AttachOptions())
    let (other, fast) = try streamPair(AttachOptions())
    let (dead, gone) = try streamPair(AttachOptions())
    var request = try sandbox.request(["sh", "-c", "seq 1 3000000"])
    request.log = .none
    let connection = try await sandbox.supervisor.launch(request, attaching: [initial, other, dead])
    shutdown(gone.socket, Int32(SHUT_RDWR))
    async let fastBytes = fast.readFrames()
    try await Task.sleep(for: .milliseconds(500))
    let slowFrames = await slow.readFrames()
    let expected = (1...3_000_000).reduce(0) { $0 + String($1).utf8.count + 1 }
    #expect(slowFrames[1]?.count == expected)
    #expect(await fastBytes[1] == slowFrames[1])
    #expect(await connection.finished()?.exitCode == 0)
}

/// A peer that leaves the last output lying about does not hold up the container's end.
@Test func endsInSpiteOfAPeerThatWaits() async throws {
    let sandbox = try Sandbox(oneRuntime)
    defer { sandbox.remove() }
    let (initial, late) = try streamPair(AttachOptions())
    let port = try OwnedFD.pipe()
    let connection = try await sandbox.supervisor.launch(
        try sandbox.request(["sh", "-c", "seq 1 200000; echo -n prompt"]), descriptors: [port.writing.raw], attaching: [initial])
    for await event in connection.events {
        // What is announced is complete.
        if case .exited = event { #expect(try sandbox.log().last?.text == "prompt") }
    }
    #expect(kill(connection.shimPID, 0) == 0)
    // What the daemon lent is given back: only the test itself holds the pipe.
    let writer = closing(port)
    var byte: UInt8 = 0
    #expect(read(writer, &byte, 1) == 0)
    close(writer)
    let frames = await late.readFrames()
    #expect(frames[1]?.suffix(13) == Array("200000\nprompt".utf8)[...])
    for _ in 0..<100 where kill(connection.shimPID, 0) == 0 { try await Task.sleep(for: .milliseconds(20)) }
    #expect(kill(connection.shimPID, 0) != 0)
}

/// Whoever is attached to an exec that nobody has started is told of the container's end, and does not keep its supervisor.
@Test func leavesWhenAnExecWasNeverStarted() async throws {
    let sandbox = try Sandbox(oneRuntime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sleep", "100"]))
    try await connection.execCreate(id: "w", process: Sandbox.process(["true"]), terminal: false, stdin: false)
    let stream = Stream(try await connection.execAttach(id: "w", AttachOptions()))
    try await connection.signal(SIGKILL)
    #expect(await stream.readAll() == [])
    #expect(await connection.finished()?.exitCode == 137)
    for _ in 0..<100 where kill(connection.shimPID, 0) == 0 { try await Task.sleep(for: .milliseconds(20)) }
    #expect(kill(connection.shimPID, 0) != 0)
}

/// Once all notices are given, a daemon that connects is sent to the exit record.
@Test func refusesToBeFollowedOnceTheContainerHasEnded() async throws {
    let sandbox = try Sandbox(oneRuntime)
    defer { sandbox.remove() }
    let (initial, late) = try streamPair(AttachOptions())
    let (other, reader) = try streamPair(AttachOptions())
    let request = try sandbox.request(["sh", "-c", "seq 1 200000; echo done; sleep 100"])
    let connection = try await sandbox.supervisor.launch(request, attaching: [initial, other])
    _ = await reader.read(until: "done")
    let follower = Stream(try connectToShim(sandbox))
    // Answered when the supervisor has taken the connection as well.
    try await connection.signal(0)
    try await connection.signal(SIGKILL)
    _ = await connection.finished()
    #expect(kill(connection.shimPID, 0) == 0, "it waits for its peer")
    follower.write(ShimWire.frame(["op": "control", "version": 1]))
    let answer = await follower.readAll()
    #expect(String(decoding: answer, as: UTF8.self).contains("the container has ended"))
    #expect(await late.readFrames()[1]?.suffix(12) == Array("200000\ndone\n".utf8)[...])
}

private func connectToShim(_ sandbox: Sandbox) throws -> Int32 {
    let directory = try OwnedFD.open("\(sandbox.base)/run", O_PATH)
    let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array("\(directory.procPath)/shim.sock".utf8)) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    let code = withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(raw, $0, size) } }
    #expect(code == 0)
    return raw
}

/// Closes the writing end; the reading one is the caller's.
private func closing(_ pipe: consuming PipeEnds) -> Int32 { pipe.reading.take() }

@Test func survivesNonsenseOnItsSocket() async throws {
    let sandbox = try Sandbox(oneRuntime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sleep", "100"]))
    let bodies: [[UInt8]] = [
        [0xFF, 0xFF, 0xFF, 0xFF, 1], [0, 0, 0, 2, 0x7B, 0x7D], [0, 0, 0, 3, 1, 2, 3], Array("GET / HTTP/1.1\r\n\r\n".utf8),
        ShimWire.frame(["op": "attach"]), ShimWire.frame(["op": "selfDestruct", "version": 9]), [],
    ]
    for body in bodies {
        let stream = Stream(try connectToShim(sandbox))
        stream.write(body)
        stream.endInput()
        let answer = await stream.readAll()
        if body.count > 40 { #expect(String(decoding: answer, as: UTF8.self).contains("unsupported")) }
    }
    try await connection.signal(SIGTERM)
    try await connection.signal(SIGKILL)
    #expect(await connection.finished()?.exitCode == 137)
}

func shell(_ command: String) -> Int32 { runs(["/bin/sh", "-c", command]) }

private func runs(_ arguments: [String]) -> Int32 {
    var pid: pid_t = 0
    let pointers = arguments.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    guard posix_spawn(&pid, arguments[0], nil, nil, pointers, nil) == 0 else { return -1 }
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    return status
}
