internal import Glibc

/// A process that the kernel killed for lack of memory.
public struct OOMVictim: Sendable, Equatable {
    /// The name that the process had, at most 15 bytes (proc(5), comm).
    public let name: String
    /// In the machine's own process namespace.
    public let pid: Int32
}

/// What the kernel has logged lately (/dev/kmsg: Documentation/ABI/testing/dev-kmsg).
public enum KernelLog {
    /// The last process that was killed in a control group whose path has `component` in it; nil when the log does not tell, or may
    /// not be read.
    public static func lastVictim(inControlGroup component: String) -> OOMVictim? {
        guard let log = try? OwnedFD.open("/dev/kmsg", O_RDONLY | O_NONBLOCK) else { return nil }
        var found: OOMVictim?
        // A read gives one record, and EINVAL when the record is longer than the buffer.
        var buffer = [UInt8](repeating: 0, count: 8192)
        while true {
            let count = read(log.raw, &buffer, buffer.count)
            if count > 0 {
                found = victim(in: String(decoding: buffer[..<count], as: UTF8.self), component) ?? found
            } else if count == 0 || errno != EINTR && errno != EPIPE && errno != EINVAL {
                // EPIPE: the ring has moved on below the reader, who goes on where it begins now.
                return found
            }
        }
    }

    /// `oom-kill:constraint=…,task_memcg=/parent/id,task=NAME,pid=NUMBER,uid=0`; a name may have commas in it.
    static func victim(in record: String, _ component: String) -> OOMVictim? {
        guard record.includes("oom-kill:"), let group = tail(of: record, behind: ",task_memcg="),
            let task = tail(of: group, behind: ",task="), let number = tail(of: task, behind: ",pid=")
        else { return nil }
        let path = group.dropLast(task.utf8.count + ",task=".utf8.count)
        guard path.split(separator: "/").contains(where: { $0 == component }), let pid = Int32(number.prefix { $0.isNumber }) else {
            return nil
        }
        return OOMVictim(name: String(task.dropLast(number.utf8.count + ",pid=".utf8.count)), pid: pid)
    }

    private static func tail(of text: String, behind mark: String) -> String? {
        let (bytes, wanted) = (Array(text.utf8), Array(mark.utf8))
        guard bytes.count >= wanted.count else { return nil }
        for start in 0...(bytes.count - wanted.count) where bytes[start...].starts(with: wanted) {
            return String(decoding: bytes[(start + wanted.count)...], as: UTF8.self)
        }
        return nil
    }
}
