internal import HTTPServer
internal import Linux
internal import NIOHTTP1

/// One request on its way through the endpoints.
struct Call: Sendable {
    let request: Request
    /// For the log, the events and the client (`X-Request-Id`).
    let id: String
    let identity: Identity

    var isRead: Bool { request.method == .GET || request.method == .HEAD }

    /// Whether the client has what it asks for: `If-None-Match` (RFC 9110, 13.1.2).
    func has(_ etag: String) -> Bool {
        request.headers["If-None-Match"].contains { value in
            value.split(separator: ",").contains { item in
                let bare = item.filter { $0 != " " }
                return bare == "*" || bare == etag || bare == "W/" + etag
            }
        }
    }
}
