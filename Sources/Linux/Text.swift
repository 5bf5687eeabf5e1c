extension StringProtocol {
    /// Whether `text` occurs in it, byte for byte. The static zone's `contains(_:)`: the standard library's lives in the
    /// module of regular expressions, which the small programs do not link.
    public func includes(_ text: String) -> Bool {
        let bytes = Array(utf8)
        let wanted = Array(text.utf8)
        if wanted.count > bytes.count { return false }
        return (0...bytes.count - wanted.count).contains { bytes[$0...].starts(with: wanted) }
    }
}
