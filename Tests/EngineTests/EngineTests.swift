import EngineTypes
import Glibc
import JSON
import Linux
import Testing

@testable import Engine

// What the tests of this room share.

/// A directory of a test's own, removed with the value.
final class Scratch: Sendable {
    let path = "/tmp/clp-engine-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"

    init() throws { try Files.makeDirectories(path) }

    deinit { try? Files.removeTree(path) }

    /// Writes a file below, making its directories.
    func write(_ name: String, _ text: String) throws {
        try Files.makeDirectories(Files.parent(of: "\(path)/\(name)"))
        try Files.replace("\(path)/\(name)", with: Array(text.utf8), durable: false)
    }

    /// Appends as the shim's log writer does.
    func append(_ name: String, _ text: String) throws {
        let file = try OwnedFD.open("\(path)/\(name)", O_WRONLY | O_CREAT | O_APPEND)
        try file.writeAll(Array(text.utf8))
    }
}

func makeRecord(_ id: String = "c1", config: ContainerConfig = ContainerConfig(), host: HostConfig = HostConfig()) -> ContainerRecord {
    ContainerRecord(
        id: id, name: "name-\(id)", created: "2026-01-02T03:04:05Z", imageID: "sha256:1", imageName: "busybox", config: config,
        hostConfig: host, networks: [:], path: "/bin/ls", arguments: ["-l"], mounts: [], outcome: .init())
}

/// The message of what `body` throws; nil when it throws nothing.
func message(_ body: () throws -> Void) -> String? {
    do { try body() } catch { return "\(error)" }
    return nil
}
