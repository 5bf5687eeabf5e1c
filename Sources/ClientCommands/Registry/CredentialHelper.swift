internal import ClientUI
internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux

/// A program `docker-credential-NAME` that keeps credentials: one word for what to do, the server or a document on its standard
/// input, a document or an error on its standard output (docker-credential-helpers' protocol).
struct CredentialHelper: CredentialStore {
    let name: String
    /// What is kept there of it: that there is something, and what the helper has no place for.
    let file: CredentialFile

    /// The user name that marks a secret as an identity token.
    private static let tokenUser = "<token>"

    func find(_ server: String) throws -> AuthConfig? {
        let output: [UInt8]
        do throws(HelperError) { output = try run("get", Array(server.utf8)) } catch {
            if error.saysNothingIsKept { return nil }
            throw Failure("error getting credentials - \(error)")
        }
        guard let document = try? JSONValue(parsing: output), let secret = document["Secret"]?.stringValue else {
            throw Failure("error getting credentials - \(program) printed no credentials")
        }
        var found = AuthConfig(serveraddress: server)
        let username = document["Username"]?.stringValue ?? ""
        if username == Self.tokenUser {
            found.identitytoken = secret
        } else {
            found.username = username
            found.password = secret
        }
        found.email = try file.find(server)?.email
        return found
    }

    func all() throws -> [String: AuthConfig] {
        let output: [UInt8]
        do throws(HelperError) { output = try run("list", []) } catch { throw Failure("error listing credentials - \(error)") }
        guard let servers = (try? JSONValue(parsing: output))?.objectValue else {
            throw Failure("error listing credentials - \(program) printed no list")
        }
        var all: [String: AuthConfig] = [:]
        for server in servers.members { all[server.name] = try find(server.name) }
        return all
    }

    func keep(_ credentials: AuthConfig, for server: String) throws {
        let token = credentials.identitytoken.flatMap { $0.isEmpty ? nil : $0 }
        let document: JSONValue = [
            "ServerURL": .string(server), "Username": .string(token == nil ? credentials.username ?? "" : Self.tokenUser),
            "Secret": .string(token ?? credentials.password ?? ""),
        ]
        do throws(HelperError) { _ = try run("store", document.serialized()) } catch {
            throw Failure("error storing credentials - \(error)")
        }
        var rest = AuthConfig()
        rest.email = credentials.email
        try file.keep(rest, for: server)
    }

    func forget(_ server: String) throws {
        do throws(HelperError) { _ = try run("erase", Array(server.utf8)) } catch {
            if !error.saysNothingIsKept { throw Failure("error erasing credentials - \(error)") }
        }
        try file.forget(server)
    }

    // MARK: The program

    private var program: String { "docker-credential-\(name)" }

    /// Why a helper did nothing, in the words of Docker's client.
    private struct HelperError: Error, CustomStringConvertible {
        let reason: String
        let output: String

        /// The texts by which helpers say so, which are the protocol's.
        var saysNothingIsKept: Bool { output == "credentials not found in native keychain" }

        var description: String { "err: \(reason), out: `\(output)`" }
    }

    private func run(_ word: String, _ input: [UInt8]) throws(HelperError) -> [UInt8] {
        guard !name.contains("/") else { throw HelperError(reason: "invalid name of a credential helper: \(name)", output: "") }
        let environment = Self.environment
        do {
            let toChild = try OwnedFD.pipe()
            let fromChild = try OwnedFD.pipe()
            let pid: Int32
            do throws(SystemError) {
                pid = try ChildProcess.spawn(
                    [program, word], standard: [toChild.reading.raw, fromChild.writing.raw, 2], environment: environment)
            } catch {
                let isMissing = error.code == ENOENT
                let reason = isMissing ? "exec: \(quoted(program)): executable file not found in $PATH" : "\(error)"
                throw HelperError(reason: reason, output: "")
            }
            let output = try Self.exchange(input, consume toChild, consume fromChild)
            let code = try ChildProcess.wait(for: pid)
            guard code == 0 else {
                throw HelperError(reason: "exit status \(code)", output: Self.trimmed(output))
            }
            return output
        } catch let error as HelperError { throw error } catch { throw HelperError(reason: "\(error)", output: "") }
    }

    /// Inputs are a line or a small document: they fit a pipe, and the helper has all of it before it answers.
    private static func exchange(_ input: [UInt8], _ toChild: consuming PipeEnds, _ fromChild: consuming PipeEnds) throws(SystemError)
        -> [UInt8]
    {
        let writing = try toChild.writing.duplicate()
        let reading = try fromChild.reading.duplicate()
        // The child's ends are closed here, or neither side ever sees an end.
        _ = consume toChild
        _ = consume fromChild
        do throws(SystemError) { try writing.writeAll(input) } catch {
            // A helper that does not read its input says so by itself.
            guard error.code == EPIPE else { throw error }
        }
        _ = consume writing
        return try reading.readAll(limit: 16 << 20)
    }

    private static func trimmed(_ output: [UInt8]) -> String {
        var text = String(decoding: output, as: UTF8.self)[...]
        while let last = text.last, last.isWhitespace { text.removeLast() }
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        return String(text)
    }

    private static var environment: [String] {
        var result: [String] = []
        var place = Glibc.environ
        while let entry = place.pointee {
            result.append(String(cString: entry))
            place = place.advanced(by: 1)
        }
        return result
    }
}
