// clipper-registry: serves the OCI distribution protocol from a directory or an S3 bucket.
//
// Reads flags and the configuration file, then wires RegistryServer to HTTPServer. SIGTERM and SIGINT end it gracefully, SIGHUP
// makes it read its certificates anew.
internal import Dispatch
internal import Glibc
internal import HTTPServer
internal import Logging
internal import RegistryServer

let usage = """
    Usage: clipper-registry COMMAND [OPTIONS]

    Serves the OCI distribution protocol.

    Commands:
      serve              listen and answer
      garbage-collect    remove what nothing names; works beside a running server

    Options:
      --config FILE         configuration (docs/registry.md); the options below override it
      --address HOST:PORT   where to listen (default 127.0.0.1:5000)
      --root DIR            where repositories are kept (default /var/lib/clipper-registry)
      --debug               log more
      --dry-run             garbage-collect: only count
      --untagged            garbage-collect: manifests too that no tag reaches
      --grace SECONDS       garbage-collect: how long content may lie unused
      --help                this text
      --version             the version
    """

func fail(_ message: String, status: Int32 = 1) -> Never {
    let line = Array("clipper-registry: \(message)\n".utf8)
    _ = write(2, line, line.count)
    exit(status)
}

/// What the command line says.
struct Options {
    var command = ""
    var configurationFile: String?
    var address: String?
    var root: String?
    var isDebugging = false
    var isDryRun = false
    var collectsUntagged = false
    var grace: Int?

    init(_ given: [String]) {
        var arguments = given[...]
        while let argument = arguments.popFirst() {
            let halves = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            func value() -> String {
                if halves.count == 2 { return halves[1] }
                guard let next = arguments.popFirst() else { fail("flag needs an argument: \(argument)", status: 2) }
                return next
            }
            switch halves[0] {
            case "--help", "-h":
                print(usage)
                exit(0)
            case "--version", "-v":
                print("clipper-registry version \(RegistryServer.version)")
                exit(0)
            case "--config": configurationFile = value()
            case "--address": address = value()
            case "--root": root = value()
            case "--debug": isDebugging = true
            case "--dry-run": isDryRun = true
            case "--untagged": collectsUntagged = true
            case "--grace":
                let text = value()
                guard let seconds = Int(text), seconds >= 0 else { fail("invalid grace: \(text): must be seconds", status: 2) }
                grace = seconds
            case let flag where flag.hasPrefix("-"): fail("unknown flag: \(flag)", status: 2)
            case let word where command.isEmpty: command = word
            case let word: fail("unexpected argument: \(word)", status: 2)
            }
        }
        if command.isEmpty { fail("no command given\n\n\(usage)", status: 2) }
        if !["serve", "garbage-collect"].contains(command) { fail("unknown command: \(command)", status: 2) }
        if command == "serve" && (isDryRun || collectsUntagged || grace != nil) {
            fail("--dry-run, --untagged and --grace belong to garbage-collect", status: 2)
        }
    }

    func configuration() throws -> RegistryConfiguration {
        var configuration = try configurationFile.map { try RegistryConfiguration(file: $0) } ?? RegistryConfiguration()
        if let address { configuration.address = address }
        if let root { configuration.root = root }
        if isDebugging { configuration.log.level = "debug" }
        if collectsUntagged { configuration.garbageCollection.untagged = true }
        if let grace { configuration.garbageCollection.grace = grace }
        return configuration
    }
}

func listenAddress(_ text: String) -> ListenAddress {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65535).contains(port) else {
        fail("invalid address: \(text): must be HOST:PORT")
    }
    let host = text[..<colon].filter { $0 != "[" && $0 != "]" }
    return .tcp(host: host.isEmpty ? "0.0.0.0" : host, port: port)
}

func certificates(_ configuration: RegistryConfiguration) throws -> ServerTLS? {
    try configuration.tls.map { try ServerTLS(certificate: $0.certificate, key: $0.key, clientAuthorities: $0.clientAuthorities) }
}

func serve(_ configuration: RegistryConfiguration, _ logger: Logger) async throws {
    let address = listenAddress(configuration.address)
    // Before listening, so that no signal is lost.
    let (signals, told) = AsyncStream.makeStream(of: Int32.self)
    let sources = [SIGTERM, SIGINT, SIGHUP].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number)
        // Explicitly on any thread: a plain closure of main.swift belongs to the main actor.
        source.setEventHandler { @Sendable in told.yield(number) }
        source.activate()
        return source
    }
    signal(SIGPIPE, SIG_IGN)
    let tls = try certificates(configuration)
    let registry = try RegistryServer(configuration: configuration, logger: logger)
    var settings = HTTPServerConfiguration()
    settings.threads = 2
    settings.maximumHeaderBytes = configuration.limits.header
    settings.bodyBufferBytes = 512 * 1024
    settings.idleSeconds = configuration.limits.idle
    let server = HTTPServer(configuration: settings, logger: logger, handler: registry.handle)
    do {
        try await registry.check()
        try await server.listen(on: address, tls: tls)
    } catch {
        await registry.close()
        throw error
    }
    let background = Task { await registry.run() }
    for await number in signals {
        if number != SIGHUP { break }
        do {
            if let tls = try certificates(configuration) { server.renew(tls) }
            logger.info("certificates read")
        } catch { logger.error("certificates stay as they are", metadata: ["error": "\(error)"]) }
    }
    logger.info("stopping")
    await server.stop()
    background.cancel()
    await background.value
    await registry.close()
    for source in sources { source.cancel() }
}

let options = Options(Array(CommandLine.arguments.dropFirst()))
do {
    let configuration = try options.configuration()
    var logger = Logger(label: "clipper-registry", factory: { StreamLogHandler.standardError(label: $0) })
    logger.logLevel = Logger.Level(rawValue: configuration.log.level) ?? .info
    if options.command == "serve" {
        try await serve(configuration, logger)
    } else {
        let registry = try RegistryServer(configuration: configuration, logger: logger)
        do { print(try await registry.collectGarbage(isDryRun: options.isDryRun)) } catch {
            await registry.close()
            throw error
        }
        await registry.close()
    }
} catch {
    fail("\(error)")
}
