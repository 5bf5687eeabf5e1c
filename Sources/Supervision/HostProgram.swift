internal import CLinux
internal import Glibc
internal import Linux

/// A program of the host that the daemon cannot do without.
public enum HostProgram {
    /// Runs it, without input, and waits for its end. Throws `SystemError` when it does not end well, with what it said last.
    public static func run(_ words: [String]) async throws {
        guard let program = words.first else { return }
        let null = try OwnedFD.open("/dev/null", O_RDWR)
        let said = OwnedFD(owning: try retrying("create file in memory") { clp_memfd_create("output", UInt32(MFD_CLOEXEC)) })
        let pid = try Spawn.start(program, Array(words.dropFirst()), descriptors: [null.raw, said.raw, said.raw])
        let status = await Spawn.awaitEnd(of: pid)
        if status == 0 { return }
        lseek(said.raw, 0, SEEK_SET)
        let text = String(decoding: (try? said.readAll(limit: 4096)) ?? [], as: UTF8.self)
        let last = text.split(separator: "\n").last.map { ": \($0)" } ?? ""
        throw SystemError("run", program + last, code: ECHILD)
    }
}
