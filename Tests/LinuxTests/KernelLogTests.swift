import Testing

@testable import Linux

@Suite struct KernelLogRecords {
    private let record =
        "6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=abc,mems_allowed=0,oom_memcg=/p/abc,task_memcg=/p/abc,"

    @Test func victims() {
        #expect(KernelLog.victim(in: record + "task=dd,pid=28908,uid=0\n", "abc") == OOMVictim(name: "dd", pid: 28908))
        #expect(KernelLog.victim(in: record + "task=a,b c,pid=7,uid=0\n", "abc") == OOMVictim(name: "a,b c", pid: 7))
        #expect(KernelLog.victim(in: record + "task=dd,pid=28908,uid=0\n", "ab") == nil)
        #expect(KernelLog.victim(in: "6,1,2,-;something else about abc", "abc") == nil)
        #expect(KernelLog.victim(in: record + "task=dd", "abc") == nil)
    }
}
