import CLinux
import Glibc
import Testing

@testable import Linux

@Suite struct DirectorySizeTests {
    @Test func hardLinksCountOnceAndLinksNot() throws {
        let scratch = try Scratch()
        try Files.makeDirectories(scratch.file("a/b"))
        try Files.replace(scratch.file("a/one"), with: Array(repeating: 1, count: 100), durable: false)
        try #require(link(scratch.file("a/one"), scratch.file("a/b/two")) == 0)
        try #require(symlink("one", scratch.file("a/three")) == 0)
        #expect(try DirectorySize.bytes(of: scratch.path) == 100)
        try #require(symlink("a", scratch.file("link")) == 0)
        #expect(throws: SystemError.self) { try DirectorySize.bytes(of: scratch.file("link")) }
    }

    /// Each tmpfs counts its inodes from one.
    @Test func inodesOfTwoFilesystemsAreNotOne() throws {
        let scratch = try Scratch()
        for name in ["a", "b"] {
            let directory = scratch.file(name)
            try Files.makeDirectories(directory)
            try #require(mount("none", directory, "tmpfs", 0, nil) == 0)
            try Files.replace("\(directory)/one", with: Array(repeating: 1, count: 100), durable: false)
            try #require(link("\(directory)/one", "\(directory)/two") == 0)
        }
        defer { for name in ["a", "b"] { umount2(scratch.file(name), Int32(MNT_DETACH)) } }
        #expect(try DirectorySize.bytes(of: scratch.path) == 200)
    }
}
