/// Does something once a time is over, unless it is put off before.
struct Alarm {
    private let task: Task<Bool, Never>?

    /// - Parameter seconds: nil for never.
    init(seconds: UInt32?, _ body: @escaping @Sendable () -> Void) {
        task = seconds.map { seconds in
            Task {
                do { try await Task.sleep(for: .seconds(seconds)) } catch { return false }
                body()
                return true
            }
        }
    }

    /// Whether it has gone off; it does not after this returns.
    @discardableResult
    func putOff() async -> Bool {
        task?.cancel()
        return await task?.value ?? false
    }
}
