internal import CLinux
internal import Glibc
public import Linux

/// Work inside a network namespace without moving the calling thread: a thread of its own goes there and ends.
public enum NetworkNamespace {
    /// Where to work.
    public enum Place: Sendable {
        /// A new namespace.
        case new
        /// An existing one, by descriptor; the descriptor stays the caller's.
        case existing(Int32)
    }

    /// The namespace of the calling thread.
    public static func current() throws(SystemError) -> OwnedFD { try OwnedFD.open("/proc/thread-self/ns/net") }

    /// Runs `body` on a thread of its own inside the namespace and waits for it.
    public static func run<Result: Sendable>(in place: Place, _ body: @escaping @Sendable () throws -> Result) throws -> Result {
        let box = Box(place: place, body: body)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<AnyBox>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, Unmanaged<AnyBox>.passRetained(box).toOpaque())
        if code != 0 {
            Unmanaged<AnyBox>.passUnretained(box).release()
            throw SystemError("start thread", code: code)
        }
        pthread_join(thread, nil)
        guard let result = box.result else { throw SystemError("run thread", code: ECANCELED) }
        return try result.get()
    }

    private class AnyBox {
        func run() {}
    }

    private final class Box<Result: Sendable>: AnyBox {
        let place: Place
        let body: @Sendable () throws -> Result
        var result: Swift.Result<Result, any Error>?

        init(place: Place, body: @escaping @Sendable () throws -> Result) {
            self.place = place
            self.body = body
        }

        override func run() {
            result = Swift.Result {
                switch place {
                case .new: try retrying("create network namespace") { unshare(Int32(CLONE_NEWNET)) }
                case .existing(let descriptor): try retrying("enter network namespace") { setns(descriptor, Int32(CLONE_NEWNET)) }
                }
                return try body()
            }
        }
    }
}
