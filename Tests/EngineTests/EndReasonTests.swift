import EngineTypes
import Glibc
import ShimProtocol
import Testing

@testable import Engine
@testable import Linux

@Suite struct EndReasons {
    private func sentence(
        code: Int32, signal: Int32? = nil, oom: Bool = false, sent: SentSignal? = nil, victim: OOMVictim? = nil,
        host: HostConfig = HostConfig(), peak: UInt64? = nil
    ) -> String? {
        let exit = ExitRecord(exitCode: code, signal: signal, oomKilled: oom, memoryPeak: peak, startedAt: "", exitedAt: "")
        let record = ContainerRecord(
            id: "id", name: "name", created: "", imageID: "", imageName: "", config: ContainerConfig(), hostConfig: host, networks: [:],
            path: "/x", arguments: [], mounts: [], outcome: .init())
        return EndReason(exit: exit, record: record, sent: sent, victim: victim).sentence
    }

    @Test func nothingToTell() {
        #expect(sentence(code: 0) == nil)
        #expect(sentence(code: 7) == nil)
        #expect(sentence(code: 137) == nil)
        // A child was killed, and the container went on to its end.
        #expect(sentence(code: 0, oom: true) == nil)
    }

    @Test func outOfMemory() {
        var host = HostConfig()
        host.Memory = 32 << 20
        #expect(
            sentence(code: 137, signal: SIGKILL, oom: true, victim: OOMVictim(name: "dd", pid: 42), host: host, peak: 32 << 20)
                == "out of memory: the kernel killed dd (process 42) at the limit of 32 MiB, at most 32 MiB were in use")
        #expect(
            sentence(code: 1, oom: true)
                == "out of memory: the kernel killed a process of the container, as the machine's memory ran out")
    }

    @Test(arguments: [
        (SentSignal.Cause.stop, SIGTERM, "stopped by SIGTERM: a stop request sent it"),
        (.kill, SIGKILL, "killed by SIGKILL: a kill request sent it"), (.remove, SIGKILL, "killed by SIGKILL: it was removed by force"),
        (
            .stopTimeout(after: SIGTERM, seconds: 10), SIGKILL,
            "killed by SIGKILL: it did not end within 10 s of the stop request's SIGTERM"
        ),
    ])
    func sentByRequests(_ cause: SentSignal.Cause, _ signal: Int32, _ expected: String) {
        #expect(sentence(code: 128 + signal, signal: signal, sent: SentSignal(number: signal, cause: cause)) == expected)
    }

    /// A signal that a request sent is not the reason when another one ended the container.
    @Test func sentByOthers() {
        let sent = SentSignal(number: SIGUSR1, cause: .kill)
        #expect(
            sentence(code: 137, signal: SIGKILL, sent: sent)?.hasPrefix("killed by SIGKILL: a process of this machine, outside") == true)
        #expect(sentence(code: 139, signal: SIGSEGV)?.hasPrefix("crashed by SIGSEGV: it used an address") == true)
        #expect(sentence(code: 159, signal: SIGSYS)?.contains("seccomp") == true)
        var host = HostConfig()
        host.PidMode = "host"
        #expect(sentence(code: 137, signal: SIGKILL, host: host)?.contains("inside or outside") == true)
        host = HostConfig()
        host.Init = true
        #expect(sentence(code: 139, host: host)?.hasPrefix("crashed by SIGSEGV") == true)
    }

    @Test(arguments: [
        (127, "executable not found: m"), (126, "not executable: m"), (128, "start failed: m"),
    ])
    func failedStarts(_ code: Int, _ expected: String) { #expect(EndReason.ofFailedStart("m", code: code) == expected) }

    @Test(arguments: [(UInt64(100), "100 bytes"), (32 << 20, "32 MiB"), (1536 << 20, "1.5 GiB"), (6 << 10, "6 KiB")])
    func sizes(_ bytes: UInt64, _ text: String) { #expect(EndReason.size(bytes) == text) }
}
