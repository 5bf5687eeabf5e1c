/// One record of comma-separated values (RFC 4180): `a,"b,c",d` has three fields.
public enum CommaSeparated {
    /// Throws `FlagError` for a quote that isn't closed or stands inside a bare field.
    public static func fields(_ text: String) throws(FlagError) -> [String] {
        var fields: [String] = []
        var field = ""
        var isQuoted = false
        var wasQuoted = false
        var rest = Substring(text)
        while let character = rest.popFirst() {
            switch character {
            case "\"" where isQuoted:
                if rest.first == "\"" { field.append(rest.removeFirst()) } else { isQuoted = false }
            case _ where isQuoted: field.append(character)
            case "\"" where field.isEmpty && !wasQuoted:
                isQuoted = true
                wasQuoted = true
            case ",":
                fields.append(field)
                field = ""
                wasQuoted = false
            case "\"": throw FlagError(message: "parse error on line 1: bare \" in non-quoted-field")
            default:
                guard !wasQuoted else { throw FlagError(message: "parse error on line 1: extraneous or missing \" in quoted-field") }
                field.append(character)
            }
        }
        if isQuoted { throw FlagError(message: "parse error on line 1: extraneous or missing \" in quoted-field") }
        return fields + [field]
    }
}
