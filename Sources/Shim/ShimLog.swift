internal import Glibc
internal import Linux

/// What the shim has to say and nobody asked: a line on its standard error, which the daemon sends to `shim.log`.
enum ShimLog {
    static func write(_ message: String) {
        let line = Array("\(Timestamp.now()) \(message)\n".utf8)
        _ = line.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    }
}
