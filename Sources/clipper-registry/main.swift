// clipper-registry: serves the OCI distribution protocol from a directory.
internal import Dispatch
internal import Glibc
internal import HTTPServer
internal import Logging
internal import RegistryServer

let usage = """
    Usage: clipper-registry serve [--address HOST:PORT] [--root DIR] [--debug]

    Serves the OCI distribution protocol over plain HTTP, without authentication.

      --address HOST:PORT   where to listen (default 127.0.0.1:5000)
      --root DIR            where repositories are kept (default /var/lib/clipper-registry)
      --debug               log each request
    """

func fail(_ message: String) -> Never {
    let line = Array("clipper-registry: \(message)\n".utf8)
    _ = write(2, line, line.count)
    exit(1)
}

var address = "127.0.0.1:5000"
var root = "/var/lib/clipper-registry"
var logger = Logger(label: "clipper-registry", factory: { StreamLogHandler.standardError(label: $0) })
var arguments = CommandLine.arguments.dropFirst()
switch arguments.popFirst() {
case "serve": break
case "--help", "-h":
    print(usage)
    exit(0)
case let other: fail(other.map { "unknown command: \($0)" } ?? "no command given\n\n\(usage)")
}
while let flag = arguments.popFirst() {
    let halves = flag.split(separator: "=", maxSplits: 1).map(String.init)
    func value() -> String {
        if halves.count == 2 { return halves[1] }
        guard let next = arguments.popFirst() else { fail("flag needs an argument: \(flag)") }
        return next
    }
    switch halves[0] {
    case "--address": address = value()
    case "--root": root = value()
    case "--debug": logger.logLevel = .debug
    case "--help", "-h":
        print(usage)
        exit(0)
    default: fail("unknown flag: \(flag)")
    }
}
guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]), (0...65535).contains(port) else {
    fail("invalid address: \(address): must be HOST:PORT")
}
let host = address[..<colon].filter { $0 != "[" && $0 != "]" }

do {
    let registry = try RegistryServer(root: root, logger: logger)
    let server = HTTPServer(logger: logger, handler: registry.handle)
    // Before listening, so that no signal is lost.
    let (signals, told) = AsyncStream.makeStream(of: Void.self)
    let sources = [SIGTERM, SIGINT].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number)
        // Explicitly on any thread: a plain closure of main.swift belongs to the main actor.
        source.setEventHandler { @Sendable in told.yield() }
        source.activate()
        return source
    }
    try await server.listen(on: .tcp(host: host.isEmpty ? "0.0.0.0" : host, port: port))
    for await _ in signals { break }
    logger.info("stopping")
    await server.stop()
    for source in sources { source.cancel() }
} catch {
    fail("\(error)")
}
