internal import ClientUI
internal import EngineClient
internal import JSON
internal import OCIImageSpec

extension Command {
    static var imageTag: Command {
        Command(
            "image tag", "tag", summary: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
            usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
            arity: .exactly(2)
        ) { context in
            let (source, target) = (context.arguments[0], context.arguments[1])
            // What is an ID is no name.
            do { _ = try ImageReference(source) } catch ReferenceError.isIdentifier {} catch { throw refused(source, error) }
            do { _ = try ImageReference(target) } catch { throw refused(target, error) }
            try context.post("/images/\(Context.imageSegment(source))/tag", try ImagePull.target(target))
            return 0
        }
    }

    private static func refused(_ name: String, _ reason: any Error) -> Failure {
        Failure("Error parsing reference: \(quoted(name)) is not a valid repository/tag: \(reason)")
    }

    static var imageRemove: Command {
        Command(
            "image rm", "image remove", "rmi", summary: "Remove one or more images", usage: "[OPTIONS] IMAGE [IMAGE...]",
            arity: .atLeast(1),
            flags: [
                Flag("force", "f", .bool, "Force removal of the image"), Flag("no-prune", .bool, "Do not delete untagged parents"),
                Flag(
                    "platform", .commaList,
                    "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")"),
            ]
        ) { context in
            let force = context.flags.bool("force")
            var query: [(String, String)] = force ? [("force", "1")] : []
            if context.flags.bool("no-prune") { query.append(("noprune", "1")) }
            query += try PlatformFlag.queries(context)
            return context.forEach(context.arguments) { name in
                let steps: JSONValue
                do { steps = try context.delete("/images/\(Context.imageSegment(name))", query) } catch ClientError.api(404, let text)
                    where force
                {
                    context.printError("Error response from daemon: \(text)")
                    return
                }
                for step in steps.arrayValue ?? [] {
                    if let text = Prune.deletion(step) { context.print(text.prefix(1).uppercased() + text.dropFirst()) }
                }
            }
        }
    }

    static var imagePrune: Command {
        Command(
            "image prune", summary: "Remove unused images", usage: "[OPTIONS]",
            flags: [
                Flag("all", "a", .bool, "Remove all unused images, not just dangling ones"),
                Flag("blobs", .bool, "Remove no images, but packed layers that can be made again (clipperd only)"),
            ] + Prune.flags("Provide filter values (e.g. \"until=<timestamp>\")")
        ) { context in
            let all = context.flags.bool("all")
            if context.flags.bool("blobs") {
                if all || context.flags.has("filter") { throw Failure("--blobs goes with neither --all nor --filter") }
                return try Prune.run(
                    context, "/system/streams/prune", query: [],
                    warning: "This will remove the packed layers of all images; pushed, they get other digests than they came with.",
                    title: "Layers Without Their Blobs", member: "Layers")
            }
            var filters = try context.filterSet()
            var dangling = filters["dangling"]?.objectValue ?? JSONObject()
            dangling[all ? "false" : "true"] = true
            filters["dangling"] = .object(dangling)
            let warning =
                all
                ? "This will remove all images without at least one container associated to them." : "This will remove all dangling images."
            return try Prune.run(
                context, "/images/prune", query: [("filters", JSONValue.object(filters).text())], warning: warning, title: "Deleted Images",
                member: "ImagesDeleted")
        }
    }
}
