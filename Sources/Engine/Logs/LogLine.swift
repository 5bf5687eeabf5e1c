internal import JSON
internal import Linux

/// One entry of a json-file log.
struct LogLine {
    let text: String
    let isError: Bool
    let time: Timestamp
    let attributes: JSONObject?

    /// Reads `{"log":"…","stream":"stdout","time":"…"}`; nil for what is no entry (a torn line after a crash).
    init?(_ bytes: ArraySlice<UInt8>) {
        guard let value = try? JSONValue(parsing: Array(bytes)), let text = value["log"]?.stringValue,
            let time = value["time"]?.stringValue.flatMap({ Timestamp($0) })
        else { return nil }
        self.text = text
        self.time = time
        isError = value["stream"]?.stringValue == "stderr"
        attributes = value["attrs"]?.objectValue
    }
}
