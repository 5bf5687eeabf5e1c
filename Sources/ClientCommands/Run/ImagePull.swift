internal import ClientUI
internal import EngineClient

/// `POST /images/create?fromImage=`, with its progress on one of the outputs.
enum ImagePull {
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
