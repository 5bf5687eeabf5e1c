internal import Synchronization

/// A value behind a mutex that can be shared: `Mutex` in a reference.
final class Locked<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>

    init(_ value: Value) { mutex = Mutex(value) }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        try mutex.withLock { value in
            try body(&value)
        }
    }

    var current: Value { mutex.withLock { $0 } }
}
