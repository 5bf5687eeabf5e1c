internal import ClientUI
internal import JSON
internal import OCIImageSpec

/// `--platform` of commands that look at one platform's part of an image: the API takes it as an OCI platform in JSON.
enum PlatformFlag {
    /// The query parameter; none without the flag. Throws what is no `os[/arch[/variant]]` and no architecture.
    static func query(_ context: Context) throws -> [(String, String)] {
        guard let text = context.flags.given("platform"), !text.isEmpty else { return [] }
        do { return [("platform", try document(text))] } catch { throw Failure("invalid platform: \(error)") }
    }

    /// `--platform` where it may be given several times.
    static func queries(_ context: Context) throws -> [(String, String)] {
        try context.flags.list("platform").map { text in
            do { return ("platforms", try document(text)) } catch { throw Failure("\(error)") }
        }
    }

    private static func document(_ text: String) throws -> String {
        String(decoding: try JSON.encode(try Platform(parsing: text)), as: UTF8.self)
    }
}
