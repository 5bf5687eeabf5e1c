internal import EngineTypes
internal import Linux

extension DetachKeys {
    /// Those that an option or the configuration names; nil for the standard keys. Throws `Failure`.
    init(orStandard text: String?) throws {
        guard let text else {
            self.init()
            return
        }
        do throws(KeySequence.Unknown) { self.init(try KeySequence(parsing: text).bytes) } catch {
            throw Failure("Invalid detach keys (\(text)): \(error)")
        }
    }
}
