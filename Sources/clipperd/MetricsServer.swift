internal import Engine
internal import HTTPServer
internal import Logging
internal import NIOHTTP1

/// The daemon's figures at `/metrics` of an address of their own (`metrics-addr`): whoever may read them may do nothing else.
enum MetricsServer {
    static func make(_ system: SystemService, logger: Logger) -> HTTPServer {
        HTTPServer(logger: logger) { request in
            guard request.path == "/metrics" else {
                return .bytes("404 page not found\n".utf8, contentType: "text/plain; charset=utf-8", status: .notFound)
            }
            guard request.method == .GET || request.method == .HEAD else {
                return .bytes("Method Not Allowed\n".utf8, contentType: "text/plain; charset=utf-8", status: .methodNotAllowed)
            }
            return .bytes(system.metrics().utf8, contentType: SystemService.metricsType)
        }
    }

    /// `address:port` as `tcp://` has it; without an address localhost.
    static func address(_ text: String) throws(OptionError) -> ListenAddress {
        guard case .address(let address) = try Door(parsing: "tcp://\(text)", usesTLS: false) else {
            throw OptionError("metrics-addr: expected address:port, found \(text)")
        }
        return address
    }
}
