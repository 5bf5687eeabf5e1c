internal import ClientUI
internal import JSON
internal import OCIImageSpec

/// `--platform` of commands that look at one platform's part of an image: the API takes it as an OCI platform in JSON.
enum PlatformFlag {
    /// The query parameter; none without the flag. Throws what is no `os[/arch[/variant]]` and no architecture.
    static func query(_ context: Context) throws -> [(String, String)] {
        guard let text = context.flags.given("platform"), !text.isEmpty else { return [] }
        guard let platform = Platform(parsing: text) else {
            throw Failure("invalid platform: \(quoted(text)): must be \"os[/arch[/variant]]\"")
        }
        return [("platform", String(decoding: try JSON.encode(platform), as: UTF8.self))]
    }
}
