internal import ClientUI
internal import EngineClient
internal import JSON

extension Command {
    static var systemVersion: Command {
        Command(
            "version", summary: "Show the Clipper version information", usage: "[OPTIONS]",
            flags: [
                Flag(
                    "format", "f", .string,
                    "Format output using a custom template:\n'json': Print in JSON format\n'TEMPLATE': Print output using the given Go template"
                )
            ]
        ) { context in
            let format = context.flags.string("format")
            let template = format.isEmpty || format == "json" ? nil : try Template(format)
            var server: JSONValue = .null
            var failure: (any Error)?
            do { server = try context.get("/version") } catch { failure = error }
            let client = VersionText.client(context)
            if !format.isEmpty {
                let document: JSONValue = ["Client": client, "Server": server]
                let text = try template?.render(
                    document, methods: { name, _ in VersionText.emptyFields[name] }, names: ["APIVersion": "ApiVersion"])
                context.print(text ?? document.text())
            } else {
                context.out.write(VersionText.text(client, server))
            }
            guard let failure else { return 0 }
            context.printError(message(of: failure))
            return 1
        }
    }
}

enum VersionText {
    /// What scripts ask of Docker's client or server that these do not tell.
    static let emptyFields: [String: JSONValue] = ["GitCommit": "", "GoVersion": "", "BuildTime": "", "Experimental": false]

    static func client(_ context: Context) -> JSONValue {
        #if arch(arm64)
            let architecture = "arm64"
        #else
            let architecture = "amd64"
        #endif
        return [
            "Platform": ["Name": "Clipper"], "Version": .string(Program.version), "ApiVersion": .string(context.client.apiVersion),
            "DefaultAPIVersion": .string(EngineClient.newestVersion), "Os": "linux", "Arch": .string(architecture), "Context": "default",
        ]
    }

    static func text(_ client: JSONValue, _ server: JSONValue) -> String {
        func field(_ document: JSONValue, _ name: String) -> String { document[name]?.stringValue ?? "" }
        let newest = field(client, "DefaultAPIVersion")
        let current = field(client, "ApiVersion")
        var text = """
            Client: Clipper
             Version:           \(field(client, "Version"))
             API version:       \(current)\(current == newest ? "" : " (downgraded from \(newest))")
             OS/Arch:           \(field(client, "Os"))/\(field(client, "Arch"))
             Context:           default

            """
        guard !server.isNull else { return text }
        let platform = server["Platform"]?["Name"]?.stringValue ?? ""
        text += "\nServer:\(platform.isEmpty ? "" : " \(platform)")\n"
        for component in server["Components"]?.arrayValue ?? [] {
            text += " \(field(component, "Name")):\n"
            let details = component["Details"] ?? .null
            var rows = [("Version", field(component, "Version"))]
            if component["Name"]?.stringValue == "Engine" {
                rows.append(("API version", "\(field(details, "ApiVersion")) (minimum version \(field(details, "MinAPIVersion")))"))
                rows.append(("Go version", field(details, "GoVersion")))
                rows.append(("Git commit", field(details, "GitCommit")))
                rows.append(("Built", field(details, "BuildTime")))
                rows.append(("OS/Arch", "\(field(details, "Os"))/\(field(details, "Arch"))"))
                rows.append(("Experimental", field(details, "Experimental")))
                rows = rows.filter { !$0.1.isEmpty }
            } else {
                rows += (details.objectValue?.members ?? []).map { ($0.name, $0.value.stringValue ?? "") }
            }
            for (name, value) in rows { text += "  \(name):\(String(repeating: " ", count: max(1, 17 - name.count)))\(value)\n" }
        }
        return text
    }
}
