internal import ClientUI
internal import Glibc
internal import Linux

/// The TLS files of a context, by endpoint and name: `ca.pem`, `cert.pem`, `key.pem` of `docker`.
struct ContextTLS: Equatable {
    /// The endpoint of an engine, the only one that this client uses.
    static let engine = "docker"
    /// No certificate is as large; Docker's limit for what is imported.
    static let largestFile = 10 << 20

    var endpoints: [String: [String: [UInt8]]] = [:]

    /// Every file with its place below the directory `tls`, in order.
    var files: [(endpoint: String, name: String, content: [UInt8])] {
        endpoints.sorted { $0.key < $1.key }.flatMap { endpoint in
            endpoint.value.sorted { $0.key < $1.key }.map { (endpoint.key, $0.key, $0.value) }
        }
    }

    /// Takes a file of an archive, by its path below `tls`: `docker/ca.pem`. Throws for any other shape.
    mutating func add(_ path: Substring, _ content: [UInt8]) throws {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts.allSatisfy({ !["", ".", ".."].contains($0) }) else {
            throw Failure("unexpected context file: tls/\(path)")
        }
        endpoints[parts[0], default: [:]][parts[1]] = content
    }
}

extension ContextTLS {
    /// The files that `--docker ca=…,cert=…,key=…` names, checked as far as they are to be PEM; empty when it names none.
    static func named(_ settings: [String: String]) throws -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        for (key, marker) in [("ca", "CERTIFICATE"), ("cert", "CERTIFICATE"), ("key", "PRIVATE KEY")] {
            guard let path = settings[key], !path.isEmpty else { continue }
            let content: [UInt8]
            do throws(SystemError) { content = try Files.read(path) } catch {
                throw Failure("unable to create docker endpoint config: open \(path): \(error.reason)")
            }
            guard String(decoding: content, as: UTF8.self).contains("\(marker)-----") else {
                throw Failure(
                    "unable to create docker endpoint config: unable to apply docker endpoint options: "
                        + "failed to retrieve context tls info: \(key).pem seems invalid")
            }
            files["\(key).pem"] = content
        }
        return files
    }
}

extension ContextStore {
    /// The TLS files of a context; empty when it has none.
    func tls(_ name: String) throws -> ContextTLS {
        var tls = ContextTLS()
        let path = tlsPath(name)
        guard Files.exists(path) else { return tls }
        for endpoint in try Files.list(path) {
            for file in try Files.list("\(path)/\(endpoint)") {
                tls.endpoints[endpoint, default: [:]][file] = try Files.read("\(path)/\(endpoint)/\(file)")
            }
        }
        return tls
    }

    /// Writes a context with these TLS files in place of those that there are, readable by the owner alone: they are written beside,
    /// renamed into place, and the metadata, by which there is a context, come last. What fails up to then leaves all as it was.
    func write(_ context: StoredContext, _ tls: ContextTLS) throws {
        if (try? self.tls(context.name)) == tls { return try write(context) }
        let path = tlsPath(context.name)
        let (made, former) = ("\(path).new.\(getpid())", "\(path).old.\(getpid())")
        do {
            try Files.removeTree(made)
            for file in tls.files {
                try Files.makeDirectories("\(made)/\(file.endpoint)", mode: 0o700)
                try Files.replace("\(made)/\(file.endpoint)/\(file.name)", with: file.content)
            }
            let isReplaced = Files.exists(path)
            if isReplaced {
                try Files.removeTree(former)
                try retrying("rename", path) { rename(path, former) }
            }
            do {
                if !tls.files.isEmpty { try retrying("rename", made) { rename(made, path) } }
                try write(context)
            } catch {
                try? Files.removeTree(path)
                if isReplaced { try retrying("rename", former) { rename(former, path) } }
                throw error
            }
        } catch {
            try? Files.removeTree(made)
            throw error
        }
        try Files.removeTree(former)
    }
}
