internal import CLinux
internal import Glibc

extension Files {
    /// lchown(2).
    public static func changeOwner(_ path: String, uid: UInt32, gid: UInt32) throws(SystemError) {
        try retrying("change owner of", path) { lchown(path, uid, gid) }
    }

    /// Copies the extended attributes of one file to another (xattr(7)). What the other's filesystem does not have is left
    /// out, also what it refuses as an attribute of the kernel's own.
    ///
    /// The paths are followed: those of descriptors below /proc/self/fd stand for symbolic links themselves too.
    public static func copyAttributes(from source: String, to target: String, name: String) throws(SystemError) {
        let list = try attribute(name) { listxattr(source, $0, $1) }
        for bytes in list.split(separator: 0) {
            let key = bytes.map { CChar(bitPattern: $0) } + [0]
            let value = try attribute(name) { getxattr(source, key, $0, $1) }
            if setxattr(target, key, value, value.count, 0) != 0 && errno != EOPNOTSUPP {
                throw SystemError("copy attribute \(String(decoding: bytes, as: UTF8.self)) of", name)
            }
        }
    }

    /// What a call answers that tells its length when there is no room: empty where there are no attributes at all.
    private static func attribute(
        _ name: String, _ call: (UnsafeMutableRawPointer?, Int) -> Int
    ) throws(SystemError) -> [UInt8] {
        // It may grow between the two calls.
        while true {
            let length = call(nil, 0)
            if length == 0 || (length < 0 && errno == EOPNOTSUPP) { return [] }
            if length < 0 { throw SystemError("read attributes of", name) }
            var bytes = [UInt8](repeating: 0, count: length)
            let count = bytes.withUnsafeMutableBytes { call($0.baseAddress, $0.count) }
            if count >= 0 { return Array(bytes.prefix(count)) }
            if errno != ERANGE { throw SystemError("read attributes of", name) }
        }
    }
}
