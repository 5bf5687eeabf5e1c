internal import ClientUI
internal import EngineClient
internal import JSON

extension Command {
    static var systemCheck: Command {
        Command(
            "system check", summary: "Check that images, layers and containers are whole", usage: "[OPTIONS]",
            flags: [
                Flag("deep", .bool, "Compare the files of every layer with its stream or digest, too"),
                Flag("repair", .bool, "Make anew what can be made, and set aside what is damaged; deletes nothing"),
                ListFlags.format,
            ]
        ) { context in
            var query: [(String, String)] = []
            for name in ["deep", "repair"] where context.flags.bool(name) { query.append((name, "1")) }
            let report = try context.post("/system/check", query)
            let findings = report["Findings"]?.arrayValue ?? []
            let damage = findings.filter { $0["Kind"]?.stringValue != "aside" && $0["Repair"]?.stringValue == nil }
            let format = context.flags.string("format")
            if !format.isEmpty && format != "table" {
                context.print(format == "json" ? report.text() : try Template(ListFormat.unescaped(format)).render(report))
            } else {
                for finding in findings { context.print(Self.line(finding)) }
                context.print(Self.summary(report, findings.count, damage.count))
            }
            return damage.isEmpty ? 0 : 1
        }
    }

    private static func line(_ finding: JSONValue) -> String {
        let message = finding["Message"]?.stringValue ?? ""
        return finding["Repair"]?.stringValue.map { "\(message): \($0)" } ?? message
    }

    private static func summary(_ report: JSONValue, _ findings: Int, _ damage: Int) -> String {
        func count(_ name: String) -> Int64 { report[name]?.intValue ?? 0 }
        let seen =
            "\(count("Images")) images, \(count("Layers")) layers, \(count("Contents")) contents, \(count("Containers")) containers"
            + " (\(HumanSize.decimal(Double(count("BytesRead")))) read)"
        if findings == 0 { return "All is well: \(seen)." }
        return damage == 0 ? "Nothing is left to repair: \(seen)." : "\(damage) not repaired: \(seen)."
    }
}
