internal import ClientUI
internal import EngineClient
internal import OCIImageSpec

/// `POST /images/create?fromImage=`, with its progress on one of the outputs.
enum ImagePull {
    /// A name that a user gives; what is none is told in Docker's words.
    static func reference(_ text: String) throws -> ImageReference {
        do { return try ImageReference(text) } catch { throw Failure("\(error)") }
    }

    /// The name of something that is made, as the API wants it.
    static func target(_ text: String) throws -> [(String, String)] {
        let reference = try reference(text).withDefaultTag
        if reference.digest != nil { throw Failure("refusing to create a tag with a digest reference") }
        return [("repo", reference.name), ("tag", reference.tag ?? "")]
    }

    /// The name for a pull or push with `-a`, or without, when `latest` goes without saying but is said.
    static func reference(_ text: String, allTags: Bool, _ context: Context) throws -> ImageReference {
        let given = try reference(text)
        let isBare = given.tag == nil && given.digest == nil
        if allTags && !isBare { throw Failure("tag can't be used with --all-tags/-a") }
        if allTags || !isBare { return given }
        if !context.flags.bool("quiet") { context.print("Using default tag: latest") }
        context.out.flush()
        return given.withDefaultTag
    }

    /// Name and tag (or digest) of a reference as the API wants them.
    static func split(_ reference: String) -> (name: String, tag: String) {
        if let at = reference.firstIndex(of: "@") {
            return (String(reference[..<at]), String(reference[reference.index(after: at)...]))
        }
        if let colon = reference.lastIndex(of: ":"), !reference[colon...].contains("/") {
            return (String(reference[..<colon]), String(reference[reference.index(after: colon)...]))
        }
        return (reference, "")
    }

    /// With `:latest` when the reference names neither tag nor digest.
    static func tagged(_ reference: String) -> String { split(reference).tag.isEmpty ? reference + ":latest" : reference }

    static func pull(_ reference: String, platform: String, allTags: Bool = false, quiet: Bool, context: Context, on output: Output) throws
    {
        let (name, tag) = split(allTags ? reference : tagged(reference))
        var query = [("fromImage", name), ("tag", tag)]
        if allTags { query = [("fromImage", name)] }
        if !platform.isEmpty { query.append(("platform", platform)) }
        let header = [("X-Registry-Auth", try context.registryAuth.header(for: reference))]
        let response = try context.client.send(Request("POST", "/images/create", query: query, headers: header))
        try MessageStream.show(response, on: output, isTerminal: Output.isTerminal(output === context.err ? 2 : 1), quiet: quiet)
    }
}
