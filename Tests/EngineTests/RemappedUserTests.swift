import Glibc
import Linux
import Testing

@testable import Engine

@Suite struct RemappedUserTests {
    /// Fedora's adduser is a link to useradd, BusyBox' all are links to it, and neither has Debian's options.
    @Test func aLinkToAProgramOfAnotherNameIsNotTheProgram() throws {
        let directory = "/tmp/clp-remapped-user-\(getpid())"
        defer { try? Files.removeTree(directory) }
        for name in ["first", "second"] { try Files.makeDirectories("\(directory)/\(name)") }
        try Files.replace("\(directory)/first/useradd", with: [], mode: 0o755, durable: false)
        #expect(symlink("useradd", "\(directory)/first/adduser") == 0)
        #expect(symlink("../first/useradd", "\(directory)/second/useradd") == 0)
        func find(_ program: String, isItself: Bool, _ names: String...) -> String? {
            RemappedUser.find(program, isItself: isItself, in: names.map { "\(directory)/\($0)" })
        }
        #expect(find("adduser", isItself: true, "first", "second") == nil)
        #expect(find("adduser", isItself: false, "first") == "\(directory)/first/adduser")
        #expect(find("useradd", isItself: true, "second") == "\(directory)/second/useradd")
        try Files.replace("\(directory)/second/adduser", with: [], mode: 0o755, durable: false)
        #expect(find("adduser", isItself: true, "first", "second") == "\(directory)/second/adduser")
    }
}
