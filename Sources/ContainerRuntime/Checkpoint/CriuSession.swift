internal import CLinux
internal import Glibc
internal import Linux

// criu as a helper process for one request: `criu swrk FD` serves the SOCK_SEQPACKET socket that it is given.
//
//     runtime                                criu
//     ───────                                ────
//     request(type, options)      ────────▶
//                                 ◀────────  notify(script, pid)        any number of times
//     request(notify, success)    ────────▶
//                                 ◀────────  response(type, success, pid, errno, message)

/// One request to criu.
struct CriuSession: ~Copyable {
    /// criu's `criu_req_type`.
    enum Request: UInt64 {
        case dump = 1
        case restore = 2
        case preDump = 4
        case notify = 6
    }

    /// The program, as `--criu` gives it.
    let program: String
    let options: CriuOptions
    /// Descriptors that criu inherits under their numbers.
    var inherited: [Int32] = []
    /// Enters the container's control groups before criu is executed, so that what it starts is in them.
    var entrance: CgroupEntrance?

    /// Runs the request to its end. `notified` is called at each of criu's stages with its name, the process id if there
    /// is one, and a descriptor if one came along (`orphan-pts-master`). Answers the pid of a restored process.
    borrowing func perform(_ request: Request, notified: (String, Int32, consuming OwnedFD?) throws -> Void) throws -> Int32 {
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
        let socket = MessageSocket(pair.first)
        let server = pair.second
        let path = try executable()
        let number = server.raw
        let child = try ClonedProcess.clone(namespaces: 0) { serve(path, number) }
        _ = consume server
        let result: Int32
        do { result = try converse(socket, request, notified) } catch {
            child.killAndReap()
            throw error
        }
        _ = consume socket
        _ = try ProcessStatus.reap(child.pid)
        return result
    }

    /// A name without a slash is looked up as a shell does.
    private borrowing func executable() throws -> String {
        if program.utf8.contains(UInt8(ascii: "/")) {
            if access(program, X_OK) == 0 { return program }
        } else {
            let search = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            for directory in search.split(separator: ":") where access("\(directory)/\(program)", X_OK) == 0 {
                return "\(directory)/\(program)"
            }
        }
        throw RuntimeError(
            kind: .notImplemented("criu"),
            message: "checkpoint and restore need criu, and there is no program \(program): install it, or name it with --criu")
    }

    /// The child: from here on criu.
    private borrowing func serve(_ path: String, _ socket: Int32) -> Int32 {
        clp_reset_signals()
        do {
            switch entrance {
            case .some(let entrance): try entrance.enter()
            case .none: break
            }
        } catch {
            let reason = "clipper-runtime: prepare criu: \(error)\n"
            _ = reason.withCString { write(2, $0, strlen($0)) }
            return 1
        }
        for number in inherited + [socket] { _ = clp_fcntl(number, F_SETFD, 0) }
        return Program.withCStrings([path, "swrk", "\(socket)"]) { argv in
            execv(path, argv)
            return 127
        }
    }

    private borrowing func converse(
        _ socket: borrowing MessageSocket, _ request: Request, _ notified: (String, Int32, consuming OwnedFD?) throws -> Void
    ) throws -> Int32 {
        var first = ProtobufMessage()
        first.put(1, request.rawValue)
        first.put(2, options.message)
        try socket.send(first.bytes)
        while true {
            guard var received = try socket.receive() else {
                throw failure("criu went away without an answer")
            }
            guard let response = ProtobufFields(received.bytes), let type = response.number(1) else {
                throw failure("criu gave an answer that cannot be read")
            }
            if UInt64(type) != Request.notify.rawValue {
                if response.flag(2) { return response.message(4)?.number(1) ?? 0 }
                let code = response.number(7) ?? 0
                throw failure(response.text(9) ?? (code == 0 ? "criu failed" : "criu failed: \(SystemError.text(of: code))"))
            }
            let notice = response.message(5)
            try notified(notice?.text(1) ?? "", notice?.number(2) ?? 0, received.descriptor.take())
            var answer = ProtobufMessage()
            answer.put(1, Request.notify.rawValue)
            answer.put(3, true)
            try socket.send(answer.bytes)
        }
    }

    /// criu's own words: its answer names hardly ever what is wrong, the errors in its log do.
    private borrowing func failure(_ words: String) -> RuntimeError {
        let log = try? OwnedFD.open("/proc/self/fd/\(options.work)/\(options.logFile)")
        let text = String(decoding: (try? log?.readAll(limit: 1 << 22)) ?? [], as: UTF8.self)
        let reasons = text.split(separator: "\n").compactMap(Self.reason).prefix(3)
        let place = (try? Self.path(of: options.work)).map { " (see \($0)/\(options.logFile))" } ?? ""
        return RuntimeError(kind: .system(0), message: ([words] + reasons).joined(separator: ": ") + place)
    }

    /// What a line of criu's log complains of: `(00.25) Error (criu/util.c:1040): Unable to…`.
    static func reason(_ line: Substring) -> String? {
        guard let end = line.firstIndex(of: ")") else { return nil }
        let rest = line[end...].dropFirst(2)
        guard rest.hasPrefix("Error ("), let colon = rest.firstIndex(of: ")") else { return nil }
        return String(rest[colon...].dropFirst(2).drop { $0 == " " })
    }

    /// Where a descriptor leads.
    static func path(of descriptor: Int32) throws -> String {
        guard let resolved = realpath("/proc/self/fd/\(descriptor)", nil) else { throw SystemError("resolve", "\(descriptor)") }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
