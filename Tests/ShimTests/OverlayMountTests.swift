import CLinux
import Glibc
import Linux
import ShimProtocol
import Testing

@testable import Shim

@Suite struct OverlayMountTests {
    /// The way of kernels before 6.7, on this one. More layers than their names would have room for in a page, and names with the
    /// marks of mount options.
    @Test(arguments: [false, true])
    func classic(isVolatile: Bool) throws {
        let base = "/tmp/cliptest-overlay-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { try? Files.removeTree(base) }
        let layers = (0..<64).map { "\(base)/\(String(repeating: "l", count: 64)),a:b-\($0)" }
        for (number, layer) in layers.enumerated() {
            try Files.makeDirectories(layer)
            try Files.write("\(layer)/f\(number)", "\(number)")
            try Files.write("\(layer)/same", "\(number)")
        }
        for name in ["upper", "work"] { try Files.makeDirectories("\(base)/\(name)") }
        let overlay = Overlay(layers: layers, upper: "\(base)/upper", work: "\(base)/work", isVolatile: isVolatile)
        let found = try Self.inNamespace {
            try PrivateMounts.enter()
            let tree = try OverlayMount.makeClassic(overlay)
            try Files.write("\(tree.procPath)/new", "made")
            return try ["f0", "f63", "same"].map { try Files.readText("\(tree.procPath)/\($0)") }
        }
        #expect(found == ["0", "63", "0"])
        // Nothing is mounted, neither here nor there; what was written is in the writable layer.
        #expect(try Files.list("\(base)/upper") == ["new"] && Files.readText("\(base)/upper/new") == "made")
        #expect(try !Files.readText("/proc/self/mounts").contains(base))
    }

    /// Calls `body` on a thread of its own, whose mount namespace ends with it.
    private static func inNamespace(_ body: @escaping () throws -> [String]) throws -> [String] {
        let task = Task(body)
        var thread = pthread_t()
        let argument = Unmanaged.passUnretained(task).toOpaque()
        let code = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Task>.fromOpaque(argument).takeUnretainedValue().run() }
                return nil
            }, argument)
        if code != 0 { throw SystemError("start thread", code: code) }
        pthread_join(thread, nil)
        return try task.result.get()
    }

    private final class Task {
        private let body: () throws -> [String]
        private(set) var result: Result<[String], any Error> = .success([])

        init(_ body: @escaping () throws -> [String]) { self.body = body }

        func run() { result = Result(catching: body) }
    }
}
