internal import CLinux
internal import ClientUI
internal import EngineClient
internal import Glibc
internal import Linux

extension Command {
    static var containerExport: Command {
        Command(
            "container export", "export", summary: "Export a container's filesystem as a tar archive", usage: "[OPTIONS] CONTAINER",
            arity: .exactly(1),
            flags: [Flag("output", "o", .string, "Write to a file, instead of STDOUT")]
        ) { context in
            try Download.run(context, Request("GET", "/containers/\(Context.segment(context.arguments[0]))/export"))
        }
    }

    static var containerCopy: Command {
        Command(
            "container cp", "cp", summary: "Copy files/folders between a container and the local filesystem",
            usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-", arity: .exactly(2),
            flags: [
                Flag("archive", "a", .bool, "Archive mode (copy all uid/gid information)"),
                Flag("follow-link", "L", .bool, "Always follow symbol link in SRC_PATH"),
                Flag("quiet", "q", .bool, "Suppress progress output during copy"),
            ]
        ) { context in
            if context.flags.bool("follow-link") { throw Failure.notImplemented("--follow-link") }
            let (source, destination) = (context.arguments[0], context.arguments[1])
            // Archives from and to standard streams; unpacking into host paths comes with the engine's archive calls.
            if let (name, path) = split(source), destination == "-" {
                let response = try context.client.send(
                    Request("GET", "/containers/\(Context.segment(name))/archive", query: [("path", path)]))
                try response.forEachPiece { context.out.write(raw: $0) }
                return 0
            }
            if source == "-", let (name, path) = split(destination) {
                let query =
                    [("path", path), ("noOverwriteDirNonDir", "true")] + (context.flags.bool("archive") ? [("copyUIDGID", "true")] : [])
                _ = try context.client.call(
                    Request(
                        "PUT", "/containers/\(Context.segment(name))/archive", query: query, body: .descriptor(0, type: "application/x-tar")
                    ))
                return 0
            }
            throw Failure.notImplemented("\(context.program) cp between paths (CONTAINER:PATH - and - CONTAINER:PATH are)")
        }
    }

    private static func split(_ text: String) -> (name: String, path: String)? {
        guard !text.hasPrefix("/"), !text.hasPrefix("."), let colon = text.firstIndex(of: ":"), colon != text.startIndex else { return nil }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }
}

/// A body that goes to `-o FILE` or standard output.
enum Download {
    static func run(_ context: Context, _ request: Request) throws -> Int32 {
        let path = context.flags.string("output")
        if path.isEmpty {
            if Output.isTerminal(1) { throw Failure("cowardly refusing to save to a terminal. Use the -o flag or redirect") }
            let response = try context.client.send(request)
            try response.forEachPiece { context.out.write(raw: $0) }
            return 0
        }
        // A name of its own until it is whole: an interrupted save leaves no half archive under the name asked for.
        let isFile = try !Files.exists(path) || OwnedFD.open(path, O_PATH).status().st_mode & S_IFMT == S_IFREG
        let response = try context.client.send(request)
        let target = isFile ? "\(path).tmp.\(getpid())" : path
        do {
            let file = try OwnedFD.open(target, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            try response.forEachPiece { piece in
                var rest = piece[...]
                while !rest.isEmpty {
                    let count = try retrying("write", path) {
                        write(file.raw, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                    }
                    rest = rest.dropFirst(count)
                }
            }
            if isFile { _ = try retrying("rename", path) { rename(target, path) } }
        } catch {
            if isFile { _ = unlink(target) }
            throw error
        }
        return 0
    }
}
