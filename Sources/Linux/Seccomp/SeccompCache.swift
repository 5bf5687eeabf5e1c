internal import CLinux
internal import CSeccomp
internal import Glibc

/// Compiled filters on disk, found again by the content of their profile.
///
/// `SeccompCache(directory: "/run/clipper/seccomp").filter(for: profile)` compiles at most once per profile. The directory is
/// made 0700; one that others may write to is not used; a file that is damaged is ignored and written anew; files appear
/// whole, by rename.
///
/// A file holds the whole canonical profile beside the program and is used only when they are equal byte for byte:
/// its name is a short hash and proves nothing.
public struct SeccompCache: Sendable {
    public let directory: String

    public init(directory: String) { self.directory = directory }

    /// The filter of a profile, from the cache or compiled now. A cache that cannot be written is no failure.
    public func filter(for profile: SeccompProfile) throws -> SeccompFilter {
        let key = Self.canonical(profile)
        let path = "\(directory)/\(String(Self.hash(key), radix: 16)).bpf"
        let isTrusted = Self.isTrusted(directory)
        if isTrusted, let bytes = try? Files.read(path, limit: 1 << 20), let filter = Self.parse(bytes, key: key) { return filter }
        let filter = try SeccompFilter.compile(profile)
        if !isTrusted {
            if Files.exists(directory) { return filter }
            guard (try? Files.makeDirectories(directory, mode: 0o700)) != nil, Self.isTrusted(directory) else { return filter }
        }
        try? Files.replace(path, with: Self.serialize(filter, key: key), durable: false)
        return filter
    }

    /// Ours alone: a filter read from here decides what a container may do.
    private static func isTrusted(_ directory: String) -> Bool {
        var status = stat()
        return lstat(directory, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR && status.st_uid == geteuid()
            && status.st_mode & 0o022 == 0
    }

    private static let magic = Array("clipper-seccomp 1\n".utf8)

    /// Everything that the program depends on, in one form: the profile, libseccomp's version, the machine.
    static func canonical(_ profile: SeccompProfile) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16384)
        func put(_ text: String) {
            put(UInt64(text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }
        func put(_ number: UInt64?) {
            // Absent and present never look alike.
            bytes.append(number == nil ? 0 : 1)
            if let number { withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) } }
        }
        put(SeccompHost.architecture)
        if let version = seccomp_version() {
            put(UInt64(version.pointee.major))
            put(UInt64(version.pointee.minor))
            put(UInt64(version.pointee.micro))
        }
        put(profile.defaultAction.rawValue)
        put(profile.defaultErrnoRet.map(UInt64.init))
        put(UInt64(profile.architectures.count))
        for architecture in profile.architectures { put(architecture.rawValue) }
        put(UInt64(profile.flags.count))
        for flag in profile.flags { put(flag.rawValue) }
        for rule in profile.rules {
            put(rule.action.rawValue)
            put(rule.errnoRet.map(UInt64.init))
            put(UInt64(rule.names.count))
            for name in rule.names { put(name) }
            put(UInt64(rule.arguments.count))
            for argument in rule.arguments {
                put(UInt64(argument.index))
                put(argument.value)
                put(argument.valueTwo)
                put(argument.comparison.rawValue)
            }
        }
        return bytes
    }

    /// FNV-1a over eight bytes at a time: finds the file and notices damage; nothing more rests on it.
    static func hash(_ bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBytes { raw in
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            var offset = 0
            while offset + 8 <= raw.count {
                hash = (hash ^ raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x100_0000_01b3
                hash ^= hash >> 29
                offset += 8
            }
            while offset < raw.count {
                hash = (hash ^ UInt64(raw[offset])) &* 0x100_0000_01b3
                offset += 1
            }
            return hash
        }
    }

    /// magic, then 64-bit words: length of key, flags, number of instructions, length of skipped names; then those four;
    /// last a hash of all before it.
    static func serialize(_ filter: SeccompFilter, key: [UInt8]) -> [UInt8] {
        let skipped = Array(filter.skippedNames.joined(separator: "\n").utf8)
        var bytes = magic
        func put(_ number: UInt64) { withUnsafeBytes(of: number) { bytes.append(contentsOf: $0) } }
        put(UInt64(key.count))
        put(UInt64(filter.flags))
        put(UInt64(filter.instructions.count))
        put(UInt64(skipped.count))
        bytes += key
        filter.instructions.withUnsafeBytes { bytes.append(contentsOf: $0) }
        bytes += skipped
        put(hash(bytes))
        return bytes
    }

    /// nil for a file of another version, of another profile, cut short or altered.
    static func parse(_ bytes: [UInt8], key: [UInt8]) -> SeccompFilter? {
        let start = magic.count + 32
        guard bytes.count >= start + 8, bytes.starts(with: magic), hash(Array(bytes.dropLast(8))) == word(bytes, bytes.count - 8) else {
            return nil
        }
        guard let keyLength = Int(exactly: word(bytes, magic.count)), let flags = UInt32(exactly: word(bytes, magic.count + 8)),
            let count = Int(exactly: word(bytes, magic.count + 16)), let skippedLength = Int(exactly: word(bytes, magic.count + 24)),
            keyLength == key.count, (1...SeccompFilter.maximumInstructions).contains(count), skippedLength <= 1 << 20,
            bytes.count == start + keyLength + count * 8 + skippedLength + 8, bytes[start..<start + keyLength].elementsEqual(key)
        else { return nil }
        let program = start + keyLength
        let names = bytes[(program + count * 8)..<(bytes.count - 8)]
        return SeccompFilter(
            instructions: (0..<count).map { word(bytes, program + $0 * 8) }, flags: flags,
            skippedNames: String(decoding: names, as: UTF8.self).split(separator: "\n").map(String.init))
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
        bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    }
}

extension SeccompHost {
    /// The version of libseccomp, which makes the programs; empty when it does not tell.
    public static var libraryVersion: String {
        guard let version = seccomp_version()?.pointee else { return "" }
        return "\(version.major).\(version.minor).\(version.micro)"
    }
}
