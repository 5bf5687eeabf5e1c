internal import Archive
internal import ClientUI
internal import Glibc
internal import JSON
internal import Linux

// Contexts in and out: a tar archive with `meta.json` and a directory `tls`, as Docker writes it.

extension Command {
    static var contextExport: Command {
        Command(
            "context export", summary: "Export a context to a tar archive FILE or a tar stream on STDOUT.", usage: "CONTEXT [FILE|-]",
            arity: .between(1, 2), isLocal: true
        ) { context in
            let name = context.arguments[0]
            let target = context.arguments.count == 2 ? context.arguments[1] : "\(name).dockercontext"
            try ContextStore.check(name)
            let stored = try context.contexts.read(name)
            let tls = try context.contexts.tls(name)
            let sink = MemorySink()
            let tar = TarWriter(sink)
            let content = stored.document.serialized()
            try tar.add(TarEntry(kind: .file, path: Array("meta.json".utf8), mode: 0o644, size: Int64(content.count)), content: content)
            try tar.add(TarEntry(kind: .directory, path: Array("tls".utf8), mode: 0o700))
            for endpoint in tls.endpoints.keys.sorted() {
                try tar.add(TarEntry(kind: .directory, path: Array("tls/\(endpoint)".utf8), mode: 0o700))
                for file in tls.files where file.endpoint == endpoint {
                    let path = Array("tls/\(endpoint)/\(file.name)".utf8)
                    try tar.add(TarEntry(kind: .file, path: path, mode: 0o600, size: Int64(file.content.count)), content: file.content)
                }
            }
            try tar.finish()
            if target == "-" {
                if Output.isTerminal(1) { throw Failure("cowardly refusing to export to a terminal, specify a file path") }
                sink.bytes.withUnsafeBytes { context.out.write(raw: $0) }
                return 0
            }
            let file = try OwnedFD.open(target, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            let output = FileSink(file.raw)
            try sink.bytes.withUnsafeBytes { try output.write($0) }
            try output.finish()
            context.printError("Written file \(quoted(target))")
            return 0
        }
    }

    static var contextImport: Command {
        Command(
            "context import", summary: "Import a context from a tar or zip file", usage: "CONTEXT FILE|-", arity: .exactly(2), isLocal: true
        ) { context in
            let name = context.arguments[0]
            let source = context.arguments[1]
            try ContextStore.check(name)
            if context.contexts.exists(name) { throw Failure("context \(quoted(name)) already exists") }
            let file = source == "-" ? OwnedFD(owning: -1) : try OwnedFD.open(source)
            if source != "-", try Files.read(source).starts(with: Array("PK\u{3}\u{4}".utf8)) {
                throw Failure.notImplemented("import of a context from a zip file")
            }
            let reader = TarReader(FileSource(source == "-" ? 0 : file.raw))
            var found: StoredContext?
            var tls = ContextTLS()
            while let entry = try reader.next() {
                let path = entry.pathText
                switch (path, entry.kind) {
                case ("meta.json", .file): found = try StoredContext(JSONValue(parsing: reader.readAll(limit: 1 << 20)), path: path)
                case (_, .directory) where path == "tls" || path.hasPrefix("tls/"): continue
                case (_, .file) where path.hasPrefix("tls/"):
                    guard entry.size <= ContextTLS.largestFile else { throw Failure("\(path) is larger than a TLS file can be") }
                    try tls.add(path.dropFirst("tls/".count), reader.readAll(limit: ContextTLS.largestFile))
                default: throw Failure("unexpected context file: \(path)")
                }
            }
            guard let found else { throw Failure("invalid context: no metadata found") }
            try context.contexts.write(found.named(name), tls)
            context.print(name)
            context.printError("Successfully imported context \(quoted(name))")
            return 0
        }
    }
}
