internal import HTTPServer
internal import NIOHTTP1

/// What may be done in a repository. The words of Docker's token scopes.
enum Action: String, Sendable, CaseIterable, Hashable {
    case pull, push, delete
}

/// What a request wants, in the words of a token's scope: `repository:library/x:pull,push`.
enum Wish: Sendable {
    case nothing
    case catalog
    case repository(String, Set<Action>)

    /// Empty when there is nothing to ask for.
    var scope: String {
        switch self {
        case .nothing: ""
        case .catalog: "registry:catalog:*"
        case .repository(let name, let actions):
            "repository:\(name):\(Action.allCases.filter(actions.contains).map(\.rawValue).joined(separator: ","))"
        }
    }
}

/// Who sends a request.
struct Identity: Sendable {
    /// Nil: nobody has said who they are.
    var user: String?
    /// What a token allows; nil when no token says anything.
    var grants: [Grant]?

    /// One entry of a token's `access` claim.
    struct Grant: Sendable {
        let type: String
        let name: String
        let actions: Set<String>
    }

    static let anonymous = Identity()

    /// Whether the token, if there is one, allows it.
    func isGranted(_ wish: Wish) -> Bool {
        guard let grants else { return true }
        func has(_ type: String, _ name: String, _ action: String) -> Bool {
            grants.contains { $0.type == type && $0.name == name && ($0.actions.contains(action) || $0.actions.contains("*")) }
        }
        switch wish {
        case .nothing: return true
        case .catalog: return has("registry", "catalog", "*")
        case .repository(let name, let actions): return actions.allSatisfy { has("repository", name, $0.rawValue) }
        }
    }
}

/// Finds out who sends a request.
protocol Authenticator: Sendable {
    /// The sender; anonymous without credentials. Throws `.unauthorized` for credentials that are wrong.
    func identify(_ request: Request) async throws(AuthenticationFailure) -> Identity

    /// `WWW-Authenticate` for a request that lacks credentials or has wrong ones.
    func challenge(_ wish: Wish, _ failure: AuthenticationFailure?) -> String

    /// Whether `/v2/` asks for credentials that nobody has given.
    var challengesBase: Bool { get }
}

/// Credentials that don't hold; the reason is for the client (RFC 6750, 3.1) and the log.
struct AuthenticationFailure: Error, CustomStringConvertible {
    /// `invalid_token` or `insufficient_scope`; empty for passwords.
    var error = ""
    let description: String
}

/// Which users may do what in which repositories: what one rule allows is allowed.
struct AccessRules: Sendable {
    struct Rule: Sendable {
        /// `*` stands for a part of a name without slash, `**` for any part.
        var repositories: [String]
        /// Names; `*` is everybody who has given credentials, `anonymous` everybody.
        var users: [String]
        var actions: Set<Action>
    }

    var rules: [Rule] = []
    /// Without rules: whoever has given credentials may do everything, and everybody where none are asked for.
    var asksForCredentials = false

    func allows(_ wish: Wish, _ identity: Identity) -> Bool {
        guard identity.isGranted(wish) else { return false }
        guard case .repository(let name, let actions) = wish else {
            // What the catalog shows is filtered by repository.
            return identity.user != nil || identity.grants != nil || !asksForCredentials || hasAnonymous
        }
        if rules.isEmpty { return identity.user != nil || identity.grants != nil || !asksForCredentials }
        return actions.allSatisfy { action in
            rules.contains { rule in
                rule.actions.contains(action) && rule.users.contains { matches(user: $0, identity) }
                    && rule.repositories.contains { Self.matches(pattern: $0[...], name[...]) }
            }
        }
    }

    private var hasAnonymous: Bool { rules.contains { $0.users.contains("anonymous") } }

    private func matches(user: String, _ identity: Identity) -> Bool {
        switch user {
        case "anonymous": true
        case "*": identity.user != nil
        default: user == identity.user
        }
    }

    /// Whether `pattern` names `name`.
    static func matches(pattern: Substring, _ name: Substring) -> Bool {
        guard let first = pattern.first else { return name.isEmpty }
        guard first == "*" else {
            return name.first == first && matches(pattern: pattern.dropFirst(), name.dropFirst())
        }
        let isAny = pattern.hasPrefix("**")
        let rest = pattern.dropFirst(isAny ? 2 : 1)
        var tail = name
        while true {
            if matches(pattern: rest, tail) { return true }
            guard let next = tail.popFirst(), isAny || next != "/" else { return false }
        }
    }
}
