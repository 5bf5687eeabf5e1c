/// An element of the XML that object stores answer with: elements and text. Attributes are passed over, comments and
/// sections of other kinds are refused.
struct XMLElement: Sendable {
    var name: String
    var text = ""
    var children: [XMLElement] = []

    /// The text of the first child of that name.
    subscript(name: String) -> String? { children.first { $0.name == name }?.text }

    func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

    /// The root element; nil for what is no XML of this kind.
    init?(parsing bytes: [UInt8]) {
        var rest = Substring(decoding: bytes, as: UTF8.self)
        // The root is a child of this one.
        var open = [XMLElement(name: "")]
        while let start = rest.firstIndex(of: "<") {
            open[open.count - 1].text += Self.plain(rest[..<start])
            guard let end = rest[start...].firstIndex(of: ">") else { return nil }
            let tag = rest[rest.index(after: start)..<end]
            rest = rest[rest.index(after: end)...]
            switch tag.first {
            case "?": break
            case "!": return nil
            case "/":
                guard open.count > 1, let done = open.popLast(), done.name == tag.dropFirst() else { return nil }
                open[open.count - 1].children.append(done)
            default:
                let name = String(tag.prefix { $0 != " " && $0 != "/" && !$0.isNewline })
                if tag.last == "/" {
                    open[open.count - 1].children.append(XMLElement(name: name))
                } else {
                    guard open.count < 32 else { return nil }
                    open.append(XMLElement(name: name))
                }
            }
        }
        guard open.count == 1, let root = open[0].children.first, open[0].children.count == 1 else { return nil }
        self = root
    }

    init(name: String) { self.name = name }

    private static let entities = ["amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'"]

    /// Text without its entities.
    private static func plain(_ text: Substring) -> String {
        guard text.utf8.contains(UInt8(ascii: "&")) else { return String(text) }
        var result = ""
        var rest = text
        while let mark = rest.firstIndex(of: "&") {
            result += rest[..<mark]
            guard let end = rest[mark...].firstIndex(of: ";") else { break }
            let name = rest[rest.index(after: mark)..<end]
            if let known = entities[String(name)] {
                result += known
            } else if name.first == "#" {
                let digits = name.dropFirst()
                let number = digits.first == "x" ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
                if let scalar = number.flatMap({ Unicode.Scalar($0) }) { result.unicodeScalars.append(scalar) }
            }
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }

    /// Text as it stands in XML.
    static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
    }
}
