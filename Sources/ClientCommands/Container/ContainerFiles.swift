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
        let parent = Files.parent(of: path)
        if !Files.isDirectory(parent) {
            throw Failure("failed to save image: invalid output path: stat \(parent): no such file or directory")
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
