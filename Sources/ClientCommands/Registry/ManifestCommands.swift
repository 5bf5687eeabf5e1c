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
            let (registry, store) = (RemoteManifests(context), ManifestStore(context))
            let name = try reference(context.arguments.last ?? "")
            if context.arguments.count == 2 {
                let list = try reference(context.arguments[0])
                guard let entry = try store.entry(name, of: list) else { throw Failure("No such manifest: \(name)") }
                try show(entry, context)
                return 0
            }
            if store.exists(name) {
                try show(try store.entries(of: name), name, context)
                return 0
            }
            try registry.refuseInsecure(name)
            let fetched = try registry.fetch(name)
            if fetched.isList {
                try show(try registry.entries(of: fetched, name), name, context)
            } else {
                try show(try registry.entry(name, fetched), context)
            }
            return 0
        }
    }

    private static func show(_ entry: ManifestEntry, _ context: Context) throws {
        let isVerbose = context.flags.bool("verbose")
        context.print(isVerbose ? GoJSON.htmlSafe(GoJSON.tabbed(Array(try entry.document.utf8))) : GoJSON.tabbed(entry.bytes))
    }

    private static func show(_ entries: [ManifestEntry], _ list: ImageReference, _ context: Context) throws {
        if context.flags.bool("verbose") {
            let document = "[" + (try entries.map { try $0.document }).joined(separator: ",") + "]"
            context.print(GoJSON.htmlSafe(GoJSON.tabbed(Array(document.utf8))))
            return
        }
        do { context.print(String(decoding: try RemoteManifests.list(of: entries, as: list).bytes, as: UTF8.self)) } catch {
            throw Failure("failed to assemble ManifestDescriptor: \(message(of: error))")
        }
    }

    static var manifestCreate: Command {
        Command(
            "manifest create", summary: "Create a local manifest list for annotating and pushing to a registry",
            usage: "MANIFEST_LIST MANIFEST [MANIFEST...]", arity: .atLeast(2),
            flags: [Flag("amend", "a", .bool, "Amend an existing manifest list"), insecure]
        ) { context in
            let list = try reference(context.arguments[0], "error parsing name for manifest list \(context.arguments[0])")
            let (registry, store) = (RemoteManifests(context), ManifestStore(context))
            if store.exists(list) && !context.flags.bool("amend") {
                throw Failure("refusing to amend an existing manifest list with no --amend flag")
            }
            for text in context.arguments.dropFirst() {
                let name = try reference(text)
                // What the list has of it already, with what it was annotated with, stays.
                if try store.entry(name, of: list) != nil { continue }
                try registry.refuseInsecure(name)
                try store.keep(try registry.entry(name, try registry.fetch(name)), of: list)
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
            let (given, image) = (context.arguments[0], context.arguments[1])
            let list = try reference(given, "annotate: error parsing name for manifest list \(given)")
            let name = try reference(image, "annotate: error parsing name for manifest \(image)")
            let store = ManifestStore(context)
            guard var entry = try store.entry(name, of: list) else {
                throw Failure("manifest for image \(image) does not exist in \(given)")
            }
            func told(_ flag: String) -> String? { context.flags.given(flag).flatMap { $0.isEmpty ? nil : $0 } }
            entry.platform.os = told("os") ?? entry.platform.os
            entry.platform.architecture = told("arch") ?? entry.platform.architecture
            entry.platform.variant = told("variant") ?? entry.platform.variant
            entry.platform.osVersion = told("os-version") ?? entry.platform.osVersion
            for feature in context.flags.list("os-features") where !(entry.platform.osFeatures ?? []).contains(feature) {
                entry.platform.osFeatures = (entry.platform.osFeatures ?? []) + [feature]
            }
            guard architectures[entry.platform.os]?.contains(entry.platform.architecture) ?? false else {
                let (os, architecture) = (context.flags.string("os"), context.flags.string("arch"))
                throw Failure("manifest entry for image has unsupported os/arch combination: \(os)/\(architecture)")
            }
            try store.keep(entry, of: list)
            return 0
        }
    }

    /// What Docker's client lets an image be annotated with: by operating system.
    private static let architectures: [String: Set<String>] = [
        "darwin": ["386", "amd64", "arm", "arm64"], "dragonfly": ["amd64"], "freebsd": ["386", "amd64", "arm"],
        "linux": ["386", "amd64", "arm", "arm64", "ppc64le", "mips64", "mips64le", "riscv64", "s390x"],
        "netbsd": ["386", "amd64", "arm"], "openbsd": ["386", "amd64", "arm"], "plan9": ["386", "amd64"], "solaris": ["amd64"],
        "windows": ["386", "amd64"],
    ]

    static var manifestPush: Command {
        Command(
            "manifest push", summary: "Push a manifest list to a repository", usage: "[OPTIONS] MANIFEST_LIST", arity: .exactly(1),
            flags: [
                Flag("insecure", .bool, "Allow push to an insecure registry"),
                Flag("purge", "p", .bool, "Remove the local manifest list after push"),
            ]
        ) { context in
            let list = try reference(context.arguments[0])
            let (registry, store) = (RemoteManifests(context), ManifestStore(context))
            let entries = try store.entries(of: list)
            if entries.isEmpty { throw Failure("\(list) not found") }
            try registry.refuseInsecure(list)
            context.print(try registry.push(entries, as: list))
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

    /// - Parameter purpose: what stands before the reason when it is none.
    private static func reference(_ text: String, _ purpose: String? = nil) throws -> ImageReference {
        do { return try ImageReference(text).withDefaultTag } catch { throw Failure((purpose.map { "\($0): " } ?? "") + "\(error)") }
    }
}
