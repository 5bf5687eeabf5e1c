import CLinux
import Glibc
import Testing

@testable import Linux

@Suite struct SeccompCacheTests {
    private let profile = SeccompProfile(
        defaultAction: .errno, rules: [SeccompProfile.Rule(names: ["read", "no_such_call"], action: .allow)])

    private func files(_ cache: SeccompCache) throws -> [String] { try Files.list(cache.directory) }

    @Test func secondTimeComesFromTheCache() throws {
        let scratch = try Scratch()
        let cache = SeccompCache(directory: scratch.file("a/seccomp"))
        let first = try cache.filter(for: profile)
        #expect(first == (try SeccompFilter.compile(profile)))
        #expect(try files(cache).count == 1)
        // A program that libseccomp would never make, under the same key, shows where the second answer comes from.
        let planted = SeccompFilter(instructions: [6], flags: 0, skippedNames: ["x"])
        let path = "\(cache.directory)/\(try files(cache)[0])"
        try Files.replace(path, with: SeccompCache.serialize(planted, key: SeccompCache.canonical(profile)), durable: false)
        #expect(try cache.filter(for: profile) == planted)
    }

    @Test func directoryIsPrivate() throws {
        let scratch = try Scratch()
        let cache = SeccompCache(directory: scratch.file("seccomp"))
        _ = try cache.filter(for: profile)
        var status = stat()
        #expect(stat(cache.directory, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o700)
    }

    @Test func directoryOpenToOthersIsNotUsed() throws {
        let scratch = try Scratch()
        let cache = SeccompCache(directory: scratch.file("seccomp"))
        #expect(mkdir(cache.directory, 0o777) == 0 && chmod(cache.directory, 0o777) == 0)
        #expect(try cache.filter(for: profile) == SeccompFilter.compile(profile))
        #expect(try files(cache).isEmpty)
    }

    @Test func linkInPlaceOfTheDirectoryIsNotUsed() throws {
        let scratch = try Scratch()
        try Files.makeDirectories(scratch.file("real"), mode: 0o700)
        #expect(symlink(scratch.file("real"), scratch.file("seccomp")) == 0)
        _ = try SeccompCache(directory: scratch.file("seccomp")).filter(for: profile)
        #expect(try Files.list(scratch.file("real")).isEmpty)
    }

    @Test func unwritableDirectoryIsNoFailure() throws {
        #expect(try SeccompCache(directory: "/proc/nowhere/seccomp").filter(for: profile) == SeccompFilter.compile(profile))
    }

    @Test func damagedFilesAreIgnoredAndRewritten() throws {
        let scratch = try Scratch()
        let cache = SeccompCache(directory: scratch.file("seccomp"))
        let good = try cache.filter(for: profile)
        let path = "\(cache.directory)/\(try files(cache)[0])"
        let whole = try Files.read(path)
        var damaged: [[UInt8]] = [[], Array("no filter".utf8), Array(whole.dropLast()), whole + [0]]
        for position in stride(from: 0, to: whole.count, by: 7) {
            var copy = whole
            copy[position] ^= 0x10
            damaged.append(copy)
        }
        for bytes in damaged { #expect(SeccompCache.parse(bytes, key: SeccompCache.canonical(profile)) == nil) }
        try Files.replace(path, with: damaged[1], durable: false)
        #expect(try cache.filter(for: profile) == good)
        #expect(try Files.read(path) == whole)
    }

    @Test func fileOfAnotherProfileIsNotTaken() throws {
        let bytes = SeccompCache.serialize(try SeccompFilter.compile(profile), key: SeccompCache.canonical(profile))
        var other = profile
        other.rules[0].names = ["read", "no_such_cal1"]
        #expect(SeccompCache.parse(bytes, key: SeccompCache.canonical(profile)) != nil)
        #expect(SeccompCache.parse(bytes, key: SeccompCache.canonical(other)) == nil)
    }

    @Test func everyPartOfTheProfileIsPartOfTheKey() {
        var variants = [profile]
        func add(_ change: (inout SeccompProfile) -> Void) {
            var copy = profile
            change(&copy)
            variants.append(copy)
        }
        add { $0.defaultAction = .allow }
        add { $0.defaultErrnoRet = 1 }
        add { $0.defaultErrnoRet = 0 }
        add { $0.architectures = [.x86_64] }
        add { $0.flags = [.log] }
        add { $0.rules[0].action = .log }
        add { $0.rules[0].errnoRet = 5 }
        add { $0.rules[0].names = ["readno_such_call"] }
        add { $0.rules[0].names = ["no_such_call", "read"] }
        add { $0.rules[0].arguments = [SeccompProfile.Argument(index: 0, value: 0, comparison: .equal)] }
        add { $0.rules[0].arguments = [SeccompProfile.Argument(index: 0, value: 0, valueTwo: 1, comparison: .equal)] }
        add { $0.rules[0].arguments = [SeccompProfile.Argument(index: 0, value: 0, comparison: .less)] }
        add { $0.rules.append($0.rules[0]) }
        #expect(Set(variants.map(SeccompCache.canonical)).count == variants.count)
    }
}
