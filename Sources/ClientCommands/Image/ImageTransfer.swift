internal import CLinux
internal import ClientUI
internal import EngineClient
internal import JSON
internal import Linux
internal import OCIImageSpec

// load, save, import, pull, push: images in and out of the engine.

extension OwnedFD {
    /// A file whose content goes to the daemon. A directory is refused, with its path, before anything is asked.
    fileprivate static func toSend(_ path: String) throws(SystemError) -> OwnedFD {
        if Files.isDirectory(path) { throw SystemError("read", path, code: EISDIR) }
        return try OwnedFD.open(path)
    }
}

extension Command {
    static var imageLoad: Command {
        Command(
            "image load", "load", summary: "Load an image from a tar archive or STDIN", usage: "[OPTIONS]",
            flags: [
                Flag("input", "i", .string, "Read from tar archive file, instead of STDIN"),
                Flag("platform", .string, "Load only the given platform variant"),
                Flag("quiet", "q", .bool, "Suppress the load output"),
            ]
        ) { context in
            let path = context.flags.string("input")
            if path.isEmpty && Output.isTerminal(0) { throw Failure("requested load from stdin, but stdin is empty") }
            let file = path.isEmpty ? OwnedFD(owning: -1) : try OwnedFD.toSend(path)
            var query = [("quiet", context.flags.bool("quiet") || !Output.isTerminal(1) ? "1" : "0")]
            query += try PlatformFlag.query(context)
            let response = try context.client.send(
                Request("POST", "/images/load", query: query, body: .descriptor(path.isEmpty ? 0 : file.raw, type: "application/x-tar")))
            guard response.head["content-type"]?.hasPrefix("application/json") ?? false else {
                try response.forEachPiece { context.out.write(raw: $0) }
                return 0
            }
            try MessageStream.show(response, on: context.out, isTerminal: Output.isTerminal(1))
            return 0
        }
    }

    static var imageSave: Command {
        Command(
            "image save", "save", summary: "Save one or more images to a tar archive (streamed to STDOUT by default)",
            usage: "[OPTIONS] IMAGE [IMAGE...]",
            arity: .atLeast(1),
            flags: [
                Flag("output", "o", .string, "Write to a file, instead of STDOUT"),
                Flag("platform", .string, "Save only the given platform variant"),
            ]
        ) { context in
            var query = context.arguments.map { ("names", $0) }
            query += try PlatformFlag.query(context)
            return try Download.run(context, Request("GET", "/images/get", query: query))
        }
    }

    static var imageImport: Command {
        Command(
            "image import", "import", summary: "Import the contents from a tarball to create a filesystem image",
            usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]", arity: .atLeast(1),
            flags: [
                Flag("change", "c", .list, "Apply Dockerfile instruction to the created image"),
                Flag("message", "m", .string, "Set commit message for imported image"),
                Flag("platform", .string, "Set platform if server is multi-platform capable"),
            ]
        ) { context in
            let source = context.arguments[0]
            let isURL = source.hasPrefix("http://") || source.hasPrefix("https://")
            var query = [("fromSrc", isURL ? source : "-")]
            if context.arguments.count >= 2 {
                _ = try ImagePull.reference(context.arguments[1])
                let (name, tag) = ImagePull.split(context.arguments[1])
                query += [("repo", name), ("tag", tag)]
            }
            query += context.flags.list("change").map { ("changes", $0) }
            query += [("message", context.flags.string("message")), ("platform", context.flags.string("platform"))].filter { !$0.1.isEmpty }
            let file = isURL || source == "-" ? OwnedFD(owning: -1) : try OwnedFD.toSend(source)
            let body: RequestBody = isURL ? .none : .descriptor(source == "-" ? 0 : file.raw, type: "application/x-tar")
            let response = try context.client.send(Request("POST", "/images/create", query: query, body: body))
            try MessageStream.show(response, on: context.out, isTerminal: Output.isTerminal(1))
            return 0
        }
    }

    static var imagePull: Command {
        Command(
            "image pull", "pull", summary: "Download an image from a registry", usage: "[OPTIONS] NAME[:TAG|@DIGEST]", arity: .exactly(1),
            flags: [
                Flag("all-tags", "a", .bool, "Download all tagged images in the repository"),
                Flag("disable-content-trust", .bool, "Skip image verification", default: "true", hidden: true),
                Flag("platform", .string, "Set platform if server is multi-platform capable"),
                Flag("quiet", "q", .bool, "Suppress verbose output"),
            ]
        ) { context in
            let all = context.flags.bool("all-tags")
            let reference = try ImagePull.reference(context.arguments[0], allTags: all, context)
            try ImagePull.pull(
                reference.familiar, platform: context.flags.string("platform"), allTags: all, quiet: context.flags.bool("quiet"),
                context: context, on: context.out)
            context.print("\(reference)")
            return 0
        }
    }

    static var imagePush: Command {
        Command(
            "image push", "push", summary: "Upload an image to a registry", usage: "[OPTIONS] NAME[:TAG]", arity: .exactly(1),
            flags: [
                Flag("all-tags", "a", .bool, "Push all tags of an image to the repository"),
                Flag("disable-content-trust", .bool, "Skip image signing", default: "true", hidden: true),
                Flag("platform", .string, "Push a platform-specific manifest as a single-platform image"),
                Flag("quiet", "q", .bool, "Suppress verbose output"),
            ]
        ) { context in
            let all = context.flags.bool("all-tags")
            let platform = try PlatformFlag.query(context)
            let reference = try ImagePull.reference(context.arguments[0], allTags: all, context)
            if reference.digest != nil { throw Failure("cannot push a digest reference") }
            let query = (reference.tag.map { [("tag", $0)] } ?? []) + platform
            let request = Request(
                "POST", "/images/\(Context.imageSegment(reference.familiarName))/push", query: query,
                headers: [("X-Registry-Auth", try context.registryAuth.header(for: "\(reference)"))])
            try MessageStream.show(
                try context.client.send(request), on: context.out, isTerminal: Output.isTerminal(1), quiet: context.flags.bool("quiet"))
            if context.flags.bool("quiet") { context.print("\(reference)") }
            return 0
        }
    }
}
