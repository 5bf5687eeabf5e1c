internal import ClientUI
internal import JSON

/// `--platform` of commands that look at one platform's part of an image: the API takes it as an OCI platform in JSON.
enum PlatformFlag {
    private static let systems: Set = ["linux", "windows", "darwin", "freebsd"]
    private static let names = ["x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386"]

    /// The query parameter; none without the flag. Throws what is no `os[/arch[/variant]]` and no architecture.
    static func query(_ context: Context) throws -> [(String, String)] {
        guard let text = context.flags.given("platform"), !text.isEmpty else { return [] }
        let parts = text.lowercased().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (1...3).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else {
            throw Failure("invalid platform: \(quoted(text)): must be \"os[/arch[/variant]]\"")
        }
        let isSystem = systems.contains(parts[0])
        let architecture = parts.count > 1 ? parts[1] : isSystem ? hostArchitecture : parts[0]
        var members: [JSONObject.Member] = [
            .init(name: "architecture", value: .string(names[architecture] ?? architecture)),
            .init(name: "os", value: .string(parts.count > 1 || isSystem ? parts[0] : "linux")),
        ]
        if parts.count == 3 { members.append(.init(name: "variant", value: .string(parts[2]))) }
        return [("platform", String(decoding: JSONValue.object(JSONObject(members)).serialized(), as: UTF8.self))]
    }

    private static var hostArchitecture: String {
        #if arch(arm64)
            "arm64"
        #else
            "amd64"
        #endif
    }
}
