public import Linux

/// Why a call has no answer.
public enum ClientError: Error, CustomStringConvertible {
    /// Nobody listens there.
    case unreachable(endpoint: String, SystemError)
    /// The server refused: HTTP status and the message of its body.
    case api(status: Int, message: String)
    /// The server speaks only up to this API version; handled inside.
    case tooNew(serverVersion: String)
    /// The server closed the connection before it answered.
    case closed
    /// The answer breaks HTTP or is not JSON.
    case malformed(String)
    /// An endpoint or request that can't be.
    case invalid(String)

    public var description: String {
        switch self {
        case .unreachable(let endpoint, let cause):
            switch cause.code {
            case 13: "permission denied while trying to connect to the Clipper daemon socket at \(endpoint): \(cause)"
            default:
                "Cannot connect to the Clipper daemon at \(endpoint). Is the daemon running? Start it with: systemctl start clipper, or as root: clipperd &"
            }
        case .api(_, let message): "Error response from daemon: \(message)"
        case .tooNew(let version): "Error response from daemon: client version is too new. Maximum supported API version is \(version)"
        case .closed: "the daemon closed the connection before it answered"
        case .malformed(let what): "malformed answer of the daemon: \(what)"
        case .invalid(let what): what
        }
    }

    /// The HTTP status of a refusal.
    public var status: Int? { if case .api(let status, _) = self { status } else { nil } }
}
