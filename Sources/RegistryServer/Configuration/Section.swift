internal import Glibc
internal import YAML

/// A mapping of the configuration while it is read: each key is asked for by name and kind, and `end` refuses what nobody asked for.
final class Section {
    let name: String
    let line: Int
    private let path: String
    private var members: [String: (line: Int, value: YAML)] = [:]
    /// Where each key stands, also one that has been read.
    private var lines: [String: Int] = [:]

    /// - Parameter name: where it stands, as `tls`; empty for the whole document.
    init(_ node: YAML, name: String, path: String) throws {
        self.name = name
        self.path = path
        line = node.line
        guard case .mapping(let pairs, let line) = node else {
            throw ConfigurationError("\(path):\(node.line): \(name.isEmpty ? "configuration" : name) must be a mapping")
        }
        _ = line
        for pair in pairs {
            guard members[pair.key] == nil else { throw ConfigurationError("\(path):\(pair.line): \(full(pair.key)) is given twice") }
            members[pair.key] = (pair.line, pair.value)
            lines[pair.key] = pair.line
        }
    }

    private func full(_ key: String) -> String { name.isEmpty || key.isEmpty ? name + key : "\(name).\(key)" }

    /// - Parameter key: empty for the section itself.
    func error(_ key: String, _ reason: String, line: Int? = nil) -> ConfigurationError {
        ConfigurationError("\(path):\(line ?? lines[key] ?? self.line): \(full(key)) \(reason)")
    }

    private func scalar(_ key: String, _ kind: String) throws -> (text: String, isPlain: Bool, line: Int)? {
        guard let member = members.removeValue(forKey: key) else { return nil }
        guard case .scalar(let text, let isPlain, let line) = member.value else { throw error(key, "must be \(kind)", line: member.line) }
        return (text, isPlain, line)
    }

    func text(_ key: String) throws -> String? {
        guard let (text, isPlain, line) = try scalar(key, "text") else { return nil }
        if text.isEmpty && isPlain { throw error(key, "has no value", line: line) }
        return text
    }

    func required(_ key: String) throws -> String {
        guard let text = try text(key) else { throw error(key, "is missing") }
        return text
    }

    func flag(_ key: String) throws -> Bool? {
        guard let (text, _, line) = try scalar(key, "true or false") else { return nil }
        switch text {
        case "true": return true
        case "false": return false
        default: throw error(key, "must be true or false, not \(text)", line: line)
        }
    }

    func number(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let (text, _, line) = try scalar(key, "a number") else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw error(key, "must be a number from \(range.lowerBound) to \(range.upperBound), not \(text)", line: line)
        }
        return number
    }

    /// Seconds: `90`, `90s`, `15m`, `24h`, `7d`.
    func seconds(_ key: String, atLeast least: Int = 0) throws -> Int? {
        guard let (text, _, line) = try scalar(key, "a duration") else { return nil }
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        let unit = text.last.flatMap { units[$0] }
        guard let number = Int(unit == nil ? text[...] : text.dropLast()), number >= 0, number < 1 << 32, number * (unit ?? 1) >= least
        else {
            throw error(key, "must be a duration of at least \(least)s, such as 90s, 15m, 24h or 7d, not \(text)", line: line)
        }
        return number * (unit ?? 1)
    }

    func texts(_ key: String) throws -> [String]? {
        guard let member = members.removeValue(forKey: key) else { return nil }
        guard case .sequence(let items, _) = member.value else { throw error(key, "must be a list", line: member.line) }
        return try items.map { item in
            guard case .scalar(let text, _, _) = item else { throw error(key, "must be a list of texts", line: item.line) }
            return text
        }
    }

    /// Names and values of a mapping whose keys are free.
    func pairs(_ key: String) throws -> [(String, String)]? {
        guard let member = members.removeValue(forKey: key) else { return nil }
        guard case .mapping(let pairs, _) = member.value else { throw error(key, "must be a mapping", line: member.line) }
        return try pairs.map { pair in
            guard case .scalar(let text, _, _) = pair.value else { throw error("\(key).\(pair.key)", "must be text", line: pair.line) }
            return (pair.key, text)
        }
    }

    func section(_ key: String) throws -> Section? {
        try members.removeValue(forKey: key).map { try Section($0.value, name: full(key), path: path) }
    }

    func sections(_ key: String) throws -> [Section]? {
        guard let member = members.removeValue(forKey: key) else { return nil }
        guard case .sequence(let items, _) = member.value else { throw error(key, "must be a list", line: member.line) }
        return try items.enumerated().map { try Section($1, name: "\(full(key))[\($0)]", path: path) }
    }

    /// Refuses the first key that has not been asked for.
    func end() throws {
        guard let unknown = members.min(by: { $0.value.line < $1.value.line }) else { return }
        throw ConfigurationError("\(path):\(unknown.value.line): unknown key \(full(unknown.key))")
    }
}
