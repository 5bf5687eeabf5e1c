internal import ClientUI
internal import EngineClient
internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux

// login, logout: what the user shows to registries, kept where `RegistryAuth` finds it.

extension Command {
    static var login: Command {
        Command(
            "login", summary: "Authenticate to a registry", usage: "[OPTIONS] [SERVER]", arity: .atMost(1),
            flags: [
                Flag("password", "p", .string, "Password or Personal Access Token (PAT)"),
                Flag("password-stdin", .bool, "Take the Password or Personal Access Token (PAT) from stdin"),
                Flag("username", "u", .string, "Username"),
            ]
        ) { context in
            let login = Login(context)
            let username = context.flags.string("username")
            let password = try login.givenPassword()
            if username.isEmpty && password.isEmpty, try login.usesStored() { return 0 }
            try login.run(try login.asked(username, password))
            return 0
        }
    }

    static var logout: Command {
        Command("logout", summary: "Log out from a registry", usage: "[SERVER]", arity: .atMost(1), isLocal: true) { context in
            let given = context.arguments.first ?? ""
            let server = RegistryAuth.server(named: given)
            context.print("Removing login credentials for \(server)")
            // Older clients kept them under other names for the same.
            let names = server == RegistryAuth.hub ? [server] : [server, given, "http://\(server)", "https://\(server)"]
            var failures: [String] = []
            for name in names {
                do { try context.configuration.credentialStore(for: name).forget(name) } catch {
                    failures.append("\(name): \(message(of: error))")
                }
            }
            if failures.count == names.count {
                context.printError("WARNING: could not erase credentials:\n\(failures.joined(separator: "\n"))")
            }
            return 0
        }
    }
}

/// One login: which server, who, and where it is kept.
private struct Login {
    private let context: Context
    private let server: String

    init(_ context: Context) {
        self.context = context
        server = RegistryAuth.server(named: context.arguments.first ?? "")
    }

    /// That of the flags; empty when it is to be asked for.
    func givenPassword() throws -> String {
        let password = context.flags.string("password")
        if !password.isEmpty {
            context.printError("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
            if context.flags.bool("password-stdin") { throw Failure("--password and --password-stdin are mutually exclusive") }
        }
        guard context.flags.bool("password-stdin") else { return password }
        if context.flags.string("username").isEmpty { throw Failure("Must provide --username with --password-stdin") }
        var text = String(decoding: try OwnedFD.open("/dev/stdin").readAll(limit: 1 << 20), as: UTF8.self)[...]
        if text.hasSuffix("\n") || text.hasSuffix("\r\n") { text.removeLast() }
        if text.hasSuffix("\r") { text.removeLast() }
        return String(text)
    }

    /// Tries what is kept for the server already; false when there is nothing, or it is no good any more.
    func usesStored() throws -> Bool {
        guard let stored = try context.registryAuth.credentials(server: server),
            stored.username?.isEmpty == false || stored.identitytoken?.isEmpty == false
        else { return false }
        let name = stored.username.flatMap { $0.isEmpty ? nil : " [Username: \($0)]" } ?? ""
        context.print("Authenticating with existing credentials...\(name)\n")
        let other = "\(context.program) logout' followed by '\(context.program) login'"
        context.print(" Info -> To login with a different account, run '\(other)\n\n")
        context.out.flush()
        do {
            try run(stored)
            return true
        } catch let error as ClientError {
            context.printError(
                error.status == 401 ? "Stored credentials invalid or expired" : "Login did not succeed, error: \(message(of: error))")
            return false
        }
    }

    /// With what is missing asked for at the terminal.
    func asked(_ username: String, _ password: String) throws -> AuthConfig {
        var credentials = AuthConfig(username: username, password: password, serveraddress: server)
        guard username.isEmpty || password.isEmpty else { return credentials }
        guard Output.isTerminal(0) else { throw Failure("Error: Cannot perform an interactive login from a non TTY device") }
        if username.isEmpty {
            if server == RegistryAuth.hub {
                context.print("Log in with your Docker ID or email address to push and pull images from Docker Hub.")
            }
            context.out.write("Username: ")
            context.out.flush()
            credentials.username = (readLine() ?? "").filter { !$0.isWhitespace }
            if credentials.username?.isEmpty != false { throw Failure("Error: Non-null Username Required") }
        }
        if password.isEmpty {
            let secret = Terminal.readSecret(0) {
                context.out.write("Password: ")
                context.out.flush()
            }
            context.print("")
            guard let secret else { throw Failure("", code: 130) }
            if secret.isEmpty { throw Failure("Error: Password Required") }
            credentials.password = secret
        }
        return credentials
    }

    /// Asks the daemon whether the registry accepts them, and keeps them.
    func run(_ credentials: AuthConfig) throws {
        var credentials = credentials
        credentials.serveraddress = server
        let answer = try context.post("/auth", [], .json(RegistryAuth.document(credentials)))
        if let token = answer["IdentityToken"]?.stringValue, !token.isEmpty {
            credentials.password = nil
            credentials.identitytoken = token
        }
        try keep(credentials)
        if let status = answer["Status"]?.stringValue, !status.isEmpty { context.print(status) }
    }

    /// Nothing is written, and nobody warned, when the same is kept already.
    private func keep(_ credentials: AuthConfig) throws {
        let store = context.configuration.credentialStore(for: server)
        if let kept = try? store.find(server), RegistryAuth.document(kept) == RegistryAuth.document(credentials) { return }
        do { try store.keep(credentials, for: server) } catch { throw Failure("Error saving credentials: \(message(of: error))") }
        guard store is CredentialFile else { return }
        context.printError(
            """

            WARNING! Your credentials are stored unencrypted in '\(context.configuration.path)'.
            Configure a credential helper to remove this warning. See
            https://docs.docker.com/go/credential-store/

            """)
    }
}
