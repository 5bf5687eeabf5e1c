import Glibc
import JSON
import Linux
import ShimProtocol
import Supervision
import Synchronization
import Testing

/// The runtimes that a container is tried with: Clipper's own inside the shim, and runc by its command line.
let runtimes: [LaunchRequest.Runtime] = [oneRuntime, .external(path: "/usr/sbin/runc", root: "/run/cliptest-runc")]
let oneRuntime = LaunchRequest.Runtime.inProcess(root: "/run/cliptest-clipper")

@Test(arguments: runtimes)
func runsToItsEnd(_ runtime: LaunchRequest.Runtime) async throws {
    let sandbox = try Sandbox(runtime)
    defer { sandbox.remove() }
    let (initial, stream) = try streamPair(AttachOptions())
    let request = try sandbox.request(["sh", "-c", "echo out; echo err >&2; echo new > /written; exit 7"])
    let connection = try await sandbox.supervisor.launch(request, attaching: [initial])
    #expect(connection.containerPID > 0)
    let frames = await stream.readFrames()
    #expect(frames[1] == Array("out\n".utf8))
    #expect(frames[2] == Array("err\n".utf8))
    let record = await connection.finished()
    #expect(record?.exitCode == 7)
    #expect(record?.signal == nil)
    #expect(record?.oomKilled == false)
    let log = try sandbox.log()
    #expect(log.filter { $0.stream == "stdout" }.map(\.text) == ["out\n"])
    #expect(log.filter { $0.stream == "stderr" }.map(\.text) == ["err\n"])
    #expect(try Files.readText("\(sandbox.base)/upper/written") == "new\n")
    // Nothing of it is left but the record.
    #expect(Set(try Files.list("\(sandbox.base)/run")) == ["exit.json", "shim.log"])
    #expect(try Files.readText("\(sandbox.base)/run/shim.log") == "")
    #expect(!Files.exists("/sys/fs/cgroup/memory/\(sandbox.id)"))
    guard case .exited(let again) = await sandbox.supervisor.reconnect(directory: "\(sandbox.base)/run") else {
        Issue.record("expected an exit record")
        return
    }
    #expect(again == record)
}

@Test(arguments: runtimes)
func saysWhatIsWrongWithTheCommand(_ runtime: LaunchRequest.Runtime) async throws {
    for (command, kind) in [("/bin/missing", ShimFailure.Kind.commandNotFound), ("/bin/notes", .commandNotExecutable)] {
        let sandbox = try Sandbox(runtime)
        defer { sandbox.remove() }
        let request = try sandbox.request([command])
        let failure = await #expect(throws: ShimFailure.self) { _ = try await sandbox.supervisor.launch(request) }
        #expect(failure?.kind == kind, "\(failure?.message ?? "")")
        #expect(!Files.exists("/sys/fs/cgroup/memory/\(sandbox.id)"))
    }
}

@Test func namesTheLayerThatCannotBeMounted() async throws {
    let sandbox = try Sandbox(oneRuntime)
    defer { sandbox.remove() }
    var request = try sandbox.request(["true"])
    var overlay = sandbox.overlay
    overlay.layers.append("\(sandbox.base)/no-such-layer")
    request.rootfs = .overlay(overlay)
    let failure = await #expect(throws: ShimFailure.self) { _ = try await sandbox.supervisor.launch(request) }
    #expect(failure?.kind == .rootfs)
    #expect(failure?.message.contains("no-such-layer") == true, "\(failure?.message ?? "")")
}

@Test func mountsManyLayersWithLongPaths() async throws {
    let sandbox = try Sandbox(oneRuntime)
    defer { sandbox.remove() }
    var overlay = sandbox.overlay
    for number in 0..<60 {
        let layer = "\(sandbox.base)/\(String(repeating: "long", count: 40))-\(number)"
        try Files.makeDirectories(layer)
        try Files.write("\(layer)/f\(number)", "\(number)")
        overlay.layers.insert(layer, at: 0)
    }
    overlay.isVolatile = true
    for _ in 0..<2 {
        var request = try sandbox.request(["sh", "-c", "cat /f0 /f59"])
        request.rootfs = .overlay(overlay)
        let (initial, stream) = try streamPair(AttachOptions())
        let connection = try await sandbox.supervisor.launch(request, attaching: [initial])
        #expect(await stream.readFrames()[1] == Array("059".utf8))
        #expect(await connection.finished()?.exitCode == 0)
    }
}

@Test(arguments: runtimes)
func carriesBinaryDataBothWays(_ runtime: LaunchRequest.Runtime) async throws {
    let sandbox = try Sandbox(runtime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["cat"], stdin: .once))
    let stream = Stream(try await connection.attach(stdin: true, stdout: true, stderr: true))
    let data = (0..<3_000_000).map { _ in UInt8.random(in: .min ... .max) }
    onThread {
        stream.write(data)
        stream.endInput()
    }
    let frames = await stream.readFrames()
    #expect(frames[1]?.count == data.count)
    #expect(frames[1] == data)
    #expect(await connection.finished()?.exitCode == 0)
}

@Test func keepsInputOpenForTheNextPeer() async throws {
    let sandbox = try Sandbox(oneRuntime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sh", "-c", "read a; read b; echo $a-$b"], stdin: .open))
    let first = Stream(try await connection.attach(stdin: true, stdout: true, stderr: true))
    first.write("one\n")
    first.endInput()
    #expect(await first.readAll() == [])
    let second = Stream(try await connection.attach(stdin: true, stdout: true, stderr: false))
    second.write("two\n")
    #expect(await second.readFrames()[1] == Array("one-two\n".utf8))
    #expect(await connection.finished()?.exitCode == 0)
}

@Test(arguments: runtimes)
func signalsAndTellsWhichKilled(_ runtime: LaunchRequest.Runtime) async throws {
    let sandbox = try Sandbox(runtime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sleep", "100"]))
    let failure = await #expect(throws: ShimFailure.self) { try await connection.signal(99) }
    #expect(failure?.kind == .invalidRequest)
    try await connection.signal(SIGKILL)
    let record = await connection.finished()
    #expect(record?.exitCode == 137)
    #expect(record?.signal == 9)
    let late = await #expect(throws: ShimFailure.self) { try await connection.signal(SIGKILL) }
    #expect(late?.kind == .lost)
}

@Test(arguments: runtimes)
func tellsThatMemoryRanOut(_ runtime: LaunchRequest.Runtime) async throws {
    let sandbox = try Sandbox(runtime)
    defer { sandbox.remove() }
    sandbox.memoryLimit.withLock { $0 = 16 << 20 }
    // A child dies, the container lives on: told at once, and in the record.
    let request = try sandbox.request(["sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M count=1; echo $?; read x; exit 4"], stdin: .open)
    let connection = try await sandbox.supervisor.launch(request)
    let stream = Stream(try await connection.attach(stdin: true, stdout: false, stderr: false))
    var events: [ShimEvent] = []
    for await event in connection.events {
        events.append(event)
        if event == .oom { stream.write("\n") }
    }
    #expect(events.first == .oom)
    guard events.count == 3, case .exited(let record) = events[1] else {
        Issue.record("unexpected events: \(events)")
        return
    }
    #expect(record.oomKilled)
    #expect(record.exitCode == 4)
    #expect(try sandbox.log().first { $0.stream == "stdout" }?.text == "137\n")
}

/// systemd takes a scope away as soon as nothing runs in it.
@Test func remembersThatMemoryRanOutInAGroupThatIsGone() async throws {
    let sandbox = try Sandbox()
    defer { sandbox.remove() }
    sandbox.memoryLimit.withLock { $0 = 16 << 20 }
    let request = try sandbox.request(["sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M count=1; read x"], stdin: .open)
    let connection = try await sandbox.supervisor.launch(request)
    let stream = Stream(try await connection.attach(stdin: true, stdout: false, stderr: false))
    var found: ExitRecord?
    for await event in connection.events {
        if case .exited(let record) = event { found = record }
        guard event == .oom else { continue }
        let paths = try connection.cgroup().paths
        let group = try #require(paths["memory"] ?? paths["unified"])
        let top = String(group.dropLast(connection.state.cgroupPath.utf8.count))
        try Files.write("\(top)/cgroup.procs", "\(connection.containerPID)", flags: O_WRONLY)
        try #require(rmdir(group) == 0, "\(SystemError.text(of: errno))")
        stream.write("\n")
    }
    let record = try #require(found)
    #expect(record.oomKilled && record.memoryPeak ?? 0 >= 15 << 20)
}

@Test(arguments: runtimes)
func givesATerminal(_ runtime: LaunchRequest.Runtime) async throws {
    let sandbox = try Sandbox(runtime)
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(
        try sandbox.request(["sh", "-c", "tty; read go; stty size; read more; exit 3"], terminal: true, stdin: .open))
    let stream = Stream(try await connection.attach(stdin: true, stdout: true, stderr: true))
    try await connection.resize(rows: 33, columns: 77)
    stream.write("go\n")
    let text = await stream.read(until: "77")
    #expect(text.contains("33 77"))
    stream.write("\n")
    _ = await stream.readAll()
    #expect(await connection.finished()?.exitCode == 3)
    let log = try sandbox.log()
    #expect(log.first?.text == "/dev/pts/0\r\n")
    #expect(log.allSatisfy { $0.stream == "stdout" })
}

/// More than one message can carry.
@Test func holdsPortsOfARunningContainer() async throws {
    let sandbox = try Sandbox()
    defer { sandbox.remove() }
    let connection = try await sandbox.supervisor.launch(try sandbox.request(["sleep", "100"]))
    let (sockets, ports) = try listeners(300)
    let numbers = try await connection.hold(sockets)
    for socket in sockets { close(socket) }
    #expect(Set(numbers).count == 300)
    #expect(!ports.contains(where: isFree))
    let stranger = PortRelay(target: "127.0.0.1", listeners: [.init(descriptor: 1000, port: 9, isUDP: false)])
    await #expect(throws: ShimFailure.self) { try await connection.servePorts(stranger) }
    try await connection.servePorts(
        PortRelay(target: "127.0.0.1", listeners: [.init(descriptor: numbers[299], port: 9, isUDP: false)]))
    try await connection.closePorts()
    // Others may have taken some of so many by now.
    #expect(ports.count(where: isFree) > 250)
    // As often as somebody wants.
    let (again, more) = try listeners(1)
    _ = try await connection.hold(again)
    close(again[0])
    #expect(!isFree(more[0]))
    try await connection.signal(SIGKILL)
    _ = await connection.finished()
    #expect(isFree(more[0]))
}

/// Sockets that listen on ports of 127.0.0.1, and the ports.
private func listeners(_ count: Int) throws -> ([Int32], [UInt16]) {
    var sockets: [Int32] = []
    var ports: [UInt16] = []
    for _ in 0..<count {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        let port = try #require(bound(listener, 0))
        #expect(listen(listener, 1) == 0)
        sockets.append(listener)
        ports.append(port)
    }
    return (sockets, ports)
}

private func isFree(_ port: UInt16) -> Bool {
    let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    defer { close(probe) }
    return bound(probe, port) != nil
}

/// The port at which it is bound now; nil when it is taken.
private func bound(_ descriptor: Int32, _ port: UInt16) -> UInt16? {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    address.sin_port = port.bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    return withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
            bind(descriptor, name, size) == 0 && getsockname(descriptor, name, &size) == 0
        }
    } ? UInt16(bigEndian: address.sin_port) : nil
}
