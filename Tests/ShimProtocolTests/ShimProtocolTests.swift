import JSON
import ShimProtocol
import Testing

private func sampleRequest() -> LaunchRequest {
    var request = LaunchRequest(
        containerID: "c1", directory: "/run/c1", bundle: "/b/c1",
        runtime: .external(path: "/bin/runc", root: "/r", arguments: ["--debug", "a b"]))
    request.rootfs = .overlay(Overlay(layers: ["/l/2", "/l/1"], upper: "/u", work: "/w", isVolatile: true))
    var file = LaunchRequest.Log.JSONFile(path: "/log")
    file.maxSize = 1 << 40
    file.maxFiles = 3
    file.attributes = ["b": "2", "a": "\"1\""]
    request.log = .jsonFile(file)
    request.systemdCgroup = true
    request.runtimeTimeout = 7
    request.openFiles = 1024
    request.mountSources = [
        MountSource(origin: .directory("/v"), subpath: "a/b", place: "/run/c1/sources/0"),
        MountSource(origin: .directory("/v"), subpath: "", place: "/v", isReadOnly: true, isRecursive: false),
        MountSource(origin: .process(77, path: "/dev/shm"), subpath: "", place: "/run/c1/sources/shm"),
        MountSource(
            origin: .layers(["/l/9", "/l/8"], mappedRoot: MappedRoot(userNamespace: "/proc/7/ns/user", uid: 5, gid: 6)), subpath: "",
            place: "/run/c1/sources/1"),
    ]
    request.terminal = true
    request.stdin = .once
    request.exitRecordPath = "/e"
    request.exitRecordIsDurable = true
    request.attachments = [AttachOptions(stdin: true, stdout: true, stderr: false)]
    request.relay = PortRelay(
        target: "172.17.0.2",
        listeners: [
            .init(descriptor: 6, port: 80, isUDP: false), .init(descriptor: 7, port: 65535, isUDP: false),
            .init(descriptor: 8, port: 53, isUDP: true),
        ])
    return request
}

private func sent(_ value: JSONValue) throws -> JSONValue {
    var reader = FrameReader()
    var result: JSONValue?
    // One byte at a time: frames come cut anywhere.
    for byte in ShimWire.frame(value) {
        #expect(result == nil)
        reader.append([byte])
        result = try reader.next()
    }
    #expect(reader.rest.isEmpty)
    return try #require(result)
}

@Test func requestsArriveAsSent() throws {
    let exec = ExecRequest(id: "e", process: ["args": ["a", "b"]], terminal: true, stdin: false)
    let requests: [ControlRequest] = [
        .launch(sampleRequest()), .launch(LaunchRequest(containerID: "c", directory: "/d", bundle: "/b", runtime: .inProcess(root: "/r"))),
        .signal(15), .resize(rows: 65535, columns: 1), .closeStdin, .execCreate(exec), .execStart(id: "e"), .execSignal(id: "e", signal: 9),
        .execResize(id: "e", rows: 1, columns: 2), .execForget(id: "e"), .closePorts,
        .holdSockets(2), .servePorts(PortRelay(target: "10.0.0.2", listeners: [.init(descriptor: 9, port: 80, isUDP: false)])),
    ]
    for (index, request) in requests.enumerated() {
        let value = try sent(request.json(id: UInt64(index)))
        #expect(ControlRequest.id(of: value) == UInt64(index))
        #expect(try ControlRequest(value) == request)
    }
    for opening: Opening in [
        .control, .attach(AttachOptions(stdin: true)), .attachExec(id: "x", AttachOptions(stderr: false, isFramed: true)),
    ] {
        #expect(try Opening(try sent(opening.json)) == opening)
    }
}

@Test func answersArriveAsSent() throws {
    var state = ContainerState(
        containerID: "c", shimPID: 1, containerPID: 2, containerStartTime: 1 << 60, startedAt: "2026-11-23T21:00:00Z")
    state.cgroupPath = "/docker/c"
    state.systemdUnit = "clipper-c.scope"
    (state.runtimePath, state.runtimeRoot) = ("/usr/sbin/runc", "/run/r")
    state.runtimeArguments = ["--debug"]
    let record = ExitRecord(exitCode: 137, signal: 9, oomKilled: true, startedAt: "a", exitedAt: "b")
    let messages: [ShimMessage] = [
        .answer(id: 1, .done), .answer(id: 2, .state(state)), .answer(id: 3, .process(7)),
        .answer(id: 4, .failure(ShimFailure(.commandNotFound, "no \"x\""))), .notice(.outOfMemory),
        .notice(.execExited(id: "e", exitCode: 3)),
        .notice(.exited(record)), .notice(.exited(ExitRecord(exitCode: 0, signal: nil, oomKilled: false, startedAt: "", exitedAt: ""))),
    ]
    for message in messages { #expect(try ShimMessage(try sent(message.json)) == message) }
    #expect(try JSON.decode(ExitRecord.self, from: JSON.encode(record)) == record)
}

@Test func rootfsRequestsArriveAsSent() throws {
    let overlay = Overlay(layers: ["/l"], upper: nil, work: nil)
    let operations: [RootfsRequest.Operation] = [
        .archiveOut(path: "/a"), .archiveIn(path: "/a", noOverwriteDirNonDir: true, owner: .init(uid: 0, gid: 0)), .stat(path: ""), .export,
        .copyUp(path: "/a", destination: "/d"), .buildCopy(path: "/b"),
    ]
    for operation in operations {
        for target: RootfsRequest.Target in [.overlay(overlay), .process(4, startTime: 1 << 40), .directory("/x")] {
            for tellsOpening in [false, true] {
                let request = RootfsRequest(target: target, operation: operation, tellsOpening: tellsOpening)
                #expect(try RootfsRequest(try sent(request.json)) == request)
            }
        }
    }
    let status = PathStatus(name: "n", size: -1, mode: 0o100644, modifiedAt: "t", linkTarget: "")
    for answer: RootfsAnswer in [.opened, .done, .status(status), .failure(ShimFailure(.notFound, "m"))] {
        #expect(try RootfsAnswer(try sent(answer.json)) == answer)
    }
}

/// A newer or older side is understood as far as it goes.
@Test func skipsWhatItDoesNotKnow() throws {
    guard case .object(var launch) = sampleRequest().json else { throw ShimFailure(.other, "no object") }
    launch.append("invented", ["later": true])
    #expect(try LaunchRequest(.object(launch)) == sampleRequest())
    #expect(try ShimMessage(["event": "invented"]) == .unknown)
    #expect(
        try ShimMessage(["re": 1, "failure": ["kind": "invented", "message": "m"]]) == .answer(id: 1, .failure(ShimFailure(.other, "m"))))
    let failure = #expect(throws: ShimFailure.self) { try ControlRequest(["op": "invented", "id": 5]) }
    #expect(failure?.kind == .unsupported)
}

@Test(
    arguments: [
        ["op": "signal"], ["op": "signal", "signal": "9"], ["op": "signal", "signal": 99_999_999_999], ["op": 4], [],
        ["op": "resize", "rows": -1, "columns": 2], ["op": "launch"], ["op": "launch", "launch": ["container": "c"]],
        ["op": "execCreate", "exec": "e"],
        ["op": "launch", "launch": ["container": "c", "directory": "relative", "bundle": "/b", "runtimeRoot": "/r"]],
        ["op": "launch", "launch": ["container": "c", "directory": "/d", "bundle": "/b", "runtimeRoot": "/r", "overlay": ["layers": []]]],
        [
            "op": "launch",
            "launch": ["container": "c", "directory": "/d", "bundle": "/b", "runtimeRoot": "/r", "overlay": ["upper": "/u"]],
        ],
        ["op": "launch", "launch": ["container": "c", "directory": "/d", "bundle": "/b", "runtimeRoot": "/r", "stdin": "maybe"]],
        [
            "op": "launch",
            "launch": [
                "container": "c", "directory": "/d", "bundle": "/b", "runtimeRoot": "/r", "jsonFile": ["path": "/l", "maxFiles": 0],
            ],
        ],
        [
            "op": "launch",
            "launch": ["container": "c", "directory": "/d", "bundle": "/b", "runtimeRoot": "/r", "relay": ["target": "::1", "tcp": [4]]],
        ],
        [
            "op": "launch",
            "launch": [
                "container": "c", "directory": "/d", "bundle": "/b", "runtimeRoot": "/r", "relay": ["target": "::1", "udp": [3, 80]],
            ],
        ],
    ] as [JSONValue])
func refusesNonsense(_ value: JSONValue) {
    let failure = #expect(throws: ShimFailure.self) { try ControlRequest(value) }
    #expect(failure?.kind == .invalidRequest)
}

@Test func refusesFramesThatAreTooLongOrNoJSON() {
    var long = FrameReader()
    long.append([0x7F, 0, 0, 0])
    #expect(throws: ShimFailure.self) { try long.next() }
    var text = FrameReader()
    text.append([0, 0, 0, 1, 0x7B])
    #expect(throws: ShimFailure.self) { try text.next() }
}
