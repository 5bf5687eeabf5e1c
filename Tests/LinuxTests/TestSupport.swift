import Glibc
import Testing

@testable import Linux

/// A directory of its own for one test, removed at its end.
final class Scratch {
    let path: String

    init() throws {
        var template = Array("/tmp/clipper-linux-tests-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError("make", "scratch directory") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? Files.removeTree(path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// What a thread is to do; generic work hides behind a closure, since C's entry point knows no generics.
private final class ThreadWork {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
}

/// Runs `body` on a thread of its own: for what cannot be undone on a thread (a filter, a cgroup of the thread).
func onOwnThread<T>(_ body: @escaping () -> T) -> T? {
    var result: T?
    let work = ThreadWork { result = body() }
    var thread = pthread_t()
    let started = pthread_create(
        &thread, nil,
        { raw in
            if let raw { Unmanaged<ThreadWork>.fromOpaque(raw).takeUnretainedValue().run() }
            return nil
        }, Unmanaged.passUnretained(work).toOpaque())
    guard started == 0 else { return nil }
    // Until it has ended nobody reads the result.
    pthread_join(thread, nil)
    return result
}

/// A process of the tests, killed and reaped at the end of its owner's life.
final class Child {
    let pid: pid_t
    private var isReaped = false

    init(_ arguments: String...) throws {
        var arguments: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        var pid: pid_t = 0
        guard let name = arguments[0] else { throw SystemError("spawn", code: ENOMEM) }
        // A test's thread may have blocked every signal.
        var attributes = posix_spawnattr_t()
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let code = posix_spawnp(&pid, name, nil, &attributes, &arguments, environ)
        guard code == 0 else { throw SystemError("spawn", code: code) }
        self.pid = pid
    }

    deinit {
        if !isReaped {
            kill(pid, SIGKILL)
            _ = wait()
        }
    }

    /// The wait status.
    func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        isReaped = true
        return status
    }
}
