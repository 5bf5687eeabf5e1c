internal import ClientUI
internal import EngineClient
internal import JSON
internal import Linux
internal import OCIImageSpec

// manifest: look at what registries keep of images, and make lists of images of several platforms there.

extension Command {
    private static let insecure = Flag("insecure", .bool, "Allow communication with an insecure registry")

    static var manifestInspect: Command {
        Command(
            "manifest inspect", summary: "Display an image manifest, or manifest list", usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
            arity: .between(1, 2),
            flags: [insecure, Flag("verbose", "v", .bool, "Output additional info including layers and platform")]
        ) { context in
            let registry = RemoteManifests(context)
            let verbose = context.flags.bool("verbose")
            if context.arguments.count == 2 {
                let entry = try ManifestStore(context).entry(try reference(context.arguments[1]), of: try reference(context.arguments[0]))
                context.out.write(verbose ? TabbedJSON.text(entry.document) + "\n" : TabbedJSON.text(entry.manifest) + "\n")
                return 0
            }
            let name = try reference(context.arguments[0])
            try registry.refuseInsecure(name)
            let fetched = try registry.fetch(name)
            guard MediaType.indexes.contains(fetched.mediaType) else {
                let text = verbose ? TabbedJSON.text(try registry.entry(name, fetched).document) : TabbedJSON.text(fetched.document)
                context.print(text)
                return 0
            }
            guard verbose else {
                context.print(fetched.document.text(indent: 3))
                return 0
            }
            let entries = try registry.entries(of: fetched, name)
            context.print(TabbedJSON.text(.array(entries.map(\.document))))
            return 0
        }
    }

    static var manifestCreate: Command {
        Command(
            "manifest create", summary: "Create a local manifest list for annotating and pushing to a registry",
            usage: "MANIFEST_LIST MANIFEST [MANIFEST...]", arity: .atLeast(2),
            flags: [Flag("amend", "a", .bool, "Amend an existing manifest list"), insecure]
        ) { context in
            let list = try reference(context.arguments[0])
            let store = ManifestStore(context)
            let registry = RemoteManifests(context)
            if store.exists(list) && !context.flags.bool("amend") {
                throw Failure("refusing to amend an existing manifest list with no --amend flag")
            }
            for text in context.arguments.dropFirst() {
                let name = try reference(text)
                try registry.refuseInsecure(name)
                let fetched = try registry.fetch(name)
                if MediaType.indexes.contains(fetched.mediaType) { throw Failure("\(text) is a manifest list") }
                try store.keep(try registry.entry(name, fetched), of: list)
            }
            context.print("Created manifest list \(list)")
            return 0
        }
    }

    static var manifestAnnotate: Command {
        Command(
            "manifest annotate", summary: "Add additional information to a local image manifest", usage: "[OPTIONS] MANIFEST_LIST MANIFEST",
            arity: .exactly(2),
            flags: [
                Flag("arch", .string, "Set architecture"), Flag("os", .string, "Set operating system"),
                Flag("os-features", .commaList, "Set operating system feature"),
                Flag("os-version", .string, "Set operating system version"), Flag("variant", .string, "Set architecture variant"),
            ]
        ) { context in
            let (list, name) = (try reference(context.arguments[0]), try reference(context.arguments[1]))
            let store = ManifestStore(context)
            var entry = try store.entry(name, of: list)
            var platform = entry.platform
            for (flag, member) in [("arch", "architecture"), ("os", "os"), ("os-version", "os.version"), ("variant", "variant")] {
                if let value = context.flags.given(flag), !value.isEmpty { platform[member] = .string(value) }
            }
            if context.flags.has("os-features") {
                platform["os.features"] = .array(context.flags.list("os-features").map { .string($0) })
            }
            entry.platform = platform
            try store.keep(entry, of: list)
            return 0
        }
    }

    static var manifestPush: Command {
        Command(
            "manifest push", summary: "Push a manifest list to a repository", usage: "[OPTIONS] MANIFEST_LIST", arity: .exactly(1),
            flags: [insecure, Flag("purge", "p", .bool, "Remove the local manifest list after push")]
        ) { context in
            let list = try reference(context.arguments[0])
            let store = ManifestStore(context)
            let registry = RemoteManifests(context)
            try registry.refuseInsecure(list)
            let entries = try store.entries(of: list)
            for entry in entries { try registry.bring(entry, to: list) }
            context.print(try registry.pushList(entries, as: list))
            if context.flags.bool("purge") { try store.remove(list) }
            return 0
        }
    }

    static var manifestRemove: Command {
        Command(
            "manifest rm", summary: "Delete one or more manifest lists from local storage", usage: "MANIFEST_LIST [MANIFEST_LIST...]",
            arity: .atLeast(1), isLocal: true
        ) { context in
            let store = ManifestStore(context)
            return context.forEach(context.arguments) { try store.remove(try reference($0)) }
        }
    }

    private static func reference(_ text: String) throws -> ImageReference {
        do { return try ImageReference(text).withDefaultTag } catch { throw Failure("\(error)") }
    }
}

/// Documents as `docker manifest inspect` prints them: one tab for each level.
enum TabbedJSON {
    static func text(_ document: JSONValue) -> String {
        document.text(indent: 1).split(separator: "\n", omittingEmptySubsequences: false).map { line in
            // No line of a string begins with a space: breaks in strings are escaped.
            let body = line.drop { $0 == " " }
            return String(repeating: "\t", count: line.count - body.count) + body
        }.joined(separator: "\n")
    }
}
