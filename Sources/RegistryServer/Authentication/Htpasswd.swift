internal import CCrypt
internal import CCrypto
internal import CLinux
internal import Glibc
internal import HTTPServer
internal import Linux
internal import NIOHTTP1
internal import Synchronization

/// Basic authentication (RFC 7617) against a file as `htpasswd -B` writes it: `user:$2y$…` lines, bcrypt only. The file is read
/// again when it has changed.
final class Htpasswd: Authenticator {
    private struct State {
        var users: [String: String] = [:]
        var signature: [Int] = []
        /// Passwords that were right: bcrypt takes 50 ms and more, and clients send them with each request.
        var known: [String: (password: [UInt8], hash: String)] = [:]
    }

    private let path: String
    private let realm: String
    let challengesBase: Bool
    private let state = Mutex(State())
    /// Passwords are kept in memory only as hashes with this key.
    private let secret: [UInt8]
    /// A hash that no password has: an unknown user costs as much time as a known one.
    private static let decoy = "$2y$10$abcdefghijklmnopqrstuuWlT8eT4M1eDmTkNQUGwVUoJV9Cxe1QW"

    init(path: String, realm: String, challengesBase: Bool) throws {
        self.path = path
        self.realm = realm
        self.challengesBase = challengesBase
        var secret = [UInt8](repeating: 0, count: 32)
        guard RAND_bytes(&secret, 32) == 1 else { throw SystemError("make random key", code: EIO) }
        self.secret = secret
        try reload()
    }

    private func reload() throws {
        let file = try OwnedFD.open(path)
        let status = try file.status()
        let signature = [Int(status.st_ino), Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec]
        if state.withLock({ $0.signature == signature }) { return }
        let users = try Self.parse(String(decoding: try file.readAll(limit: 16 << 20), as: UTF8.self), path)
        state.withLock {
            $0.users = users
            $0.signature = signature
            $0.known = [:]
        }
    }

    /// Throws for a line of another form, with its number.
    static func parse(_ text: String, _ path: String) throws -> [String: String] {
        var users: [String: String] = [:]
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.filter { $0 != "\r" }
            if line.isEmpty || line.hasPrefix("#") { continue }
            let halves = line.split(separator: ":", maxSplits: 1)
            guard halves.count == 2 else { throw ConfigurationError("\(path):\(number + 1): must be USER:HASH") }
            guard ["$2y$", "$2b$", "$2a$"].contains(where: { halves[1].hasPrefix($0) }), halves[1].utf8.count == 60 else {
                throw ConfigurationError("\(path):\(number + 1): the password of \(halves[0]) is no bcrypt hash (htpasswd -B makes one)")
            }
            users[String(halves[0])] = String(halves[1])
        }
        return users
    }

    func challenge(_ wish: Wish, _ failure: AuthenticationFailure?) -> String { "Basic realm=\"\(realm)\"" }

    func identify(_ request: Request) async throws(AuthenticationFailure) -> Identity {
        guard let header = request.headers.first(name: "Authorization") else { return .anonymous }
        guard let (user, password) = Self.credentials(header) else { throw AuthenticationFailure(description: "no Basic credentials") }
        let isRight: Bool
        do { isRight = try await offloaded { [self] in try verify(user, password) } } catch {
            throw AuthenticationFailure(description: "cannot check password: \(error)")
        }
        guard isRight else { throw AuthenticationFailure(description: "wrong user or password") }
        return Identity(user: user)
    }

    /// User and password of `Basic dXNlcjpwYXNz`.
    static func credentials(_ header: String) -> (String, String)? {
        guard header.lowercased().hasPrefix("basic "), let bytes = Base64.decode(header.dropFirst(6)) else { return nil }
        let halves = String(decoding: bytes, as: UTF8.self).split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        return halves.count == 2 ? (String(halves[0]), String(halves[1])) : nil
    }

    private func verify(_ user: String, _ password: String) throws -> Bool {
        try reload()
        let (hash, known) = state.withLock { ($0.users[user], $0.known[user]) }
        let print = Signing.hmac(secret, Array(password.utf8))
        if let known, let hash, known.hash == hash, Signing.areEqual(known.password, print) { return true }
        let isRight = Self.matches(password, hash ?? Self.decoy) && hash != nil
        if isRight, let hash { state.withLock { $0.known[user] = (print, hash) } }
        return isRight
    }

    /// crypt_r(3) of libxcrypt.
    static func matches(_ password: String, _ hash: String) -> Bool {
        var data = crypt_data()
        guard let found = crypt_r(password, hash, &data) else { return false }
        return Signing.areEqual(Array(String(cString: found).utf8), Array(hash.utf8))
    }
}
