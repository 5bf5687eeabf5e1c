internal import CLinux
internal import Glibc
internal import Linux

/// Packs the rotated files of one log with gzip, one after another, each in a process of its own: the container and its
/// output never wait for it.
///
/// The helper only reads one descriptor and writes another. Names are changed by the shim alone, so that packing and
/// rotating cannot get in each other's way. A packed file keeps the time of the one it replaces: readers know it by that.
final class LogCompression {
    private let path: String
    private let maxFiles: Int
    /// The helper, and the number that its file has now.
    private var job: (pid: Int32, number: Int)?

    init(path: String, maxFiles: Int) {
        self.path = path
        self.maxFiles = maxFiles
    }

    private var unfinished: String { "\(path).gz.tmp" }

    /// The log has been rotated: each file's number is one higher.
    func rotated() {
        job?.number += 1
        startNext()
    }

    /// Starts on the oldest file that is not packed yet, unless one is at work.
    private func startNext() {
        guard job == nil else { return }
        for number in stride(from: maxFiles - 1, through: 1, by: -1) where Files.exists("\(path).\(number)") {
            do throws(SystemError) {
                let input = try OwnedFD.open("\(path).\(number)", O_RDONLY)
                let output = try OwnedFD.open(unfinished, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o640)
                job = (try ChildProcess.spawn(["/proc/self/exe", "compress-log"], standard: [input.raw, output.raw, -1]), number)
            } catch { ShimLog.write("\(error)") }
            return
        }
    }

    func childEnded(_ pid: Int32, status: Int32) {
        guard let job, job.pid == pid else { return }
        self.job = nil
        let plain = "\(path).\(job.number)"
        guard status == 0 else {
            ShimLog.write("pack log \(plain): the helper ended with status \(status)")
            unlink(unfinished)
            return
        }
        var facts = stat()
        // What was rotated away meanwhile is gone.
        if job.number < maxFiles && stat(plain, &facts) == 0 {
            let times = [facts.st_atim, facts.st_mtim]
            utimensat(AT_FDCWD, unfinished, times, 0)
            rename(unfinished, "\(plain).gz")
            unlink(plain)
        } else {
            unlink(unfinished)
        }
        startNext()
    }

    /// Gives up what is at work; it is taken up after the next rotation.
    func stop() {
        guard let job else { return }
        kill(job.pid, SIGKILL)
        unlink(unfinished)
        self.job = nil
    }
}

/// `clipper-runtime compress-log`: standard input to standard output, packed with gzip.
public enum LogCompressionHelper {
    /// Returns the exit status.
    public static func run() -> Int32 {
        _ = nice(19)
        guard let deflate = try? Deflate(.gzip) else { return 1 }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(0, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return 1 }
            if count == 0 { return write(deflate.finish()) ? 0 : 1 }
            guard write(buffer.withUnsafeBytes { deflate.compress(UnsafeRawBufferPointer(rebasing: $0[..<count])) }) else { return 1 }
        }
    }

    private static func write(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(1, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
