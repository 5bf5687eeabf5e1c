import Testing

@testable import ContainerRuntime

/// What is said to criu, and what it says.
struct CriuTests {
    @Test func messagesAreProtocolBuffers() {
        var inner = ProtobufMessage()
        inner.put(1, "a")
        var message = ProtobufMessage()
        message.put(1, 300 as UInt64)
        message.put(2, true)
        message.put(3, false)
        message.put(20, inner)
        message.put(5, -1 as Int32)
        #expect(
            message.bytes == [
                8, 0xac, 2, 16, 1, 0xa2, 1, 3, 10, 1, 97, 40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ])
        let fields = ProtobufFields(message.bytes)
        #expect(fields?.number(1) == 300)
        #expect(fields?.flag(2) == true)
        #expect(fields?.flag(3) == false)
        #expect(fields?.message(20)?.text(1) == "a")
        #expect(fields?.number(5) == -1)
        #expect(fields?.number(6) == nil)
    }

    @Test(arguments: [[8], [10, 5, 1], [0x0b], [8, 0x80], [0x09, 1, 2]] as [[UInt8]])
    func damagedMessagesAreRefused(_ bytes: [UInt8]) { #expect(ProtobufFields(bytes) == nil) }

    @Test func takesTheReasonOutOfTheLog() {
        #expect(
            CriuSession.reason("(00.25) Error (criu/util.c:1040): Unable to mount: Invalid argument") == "Unable to mount: Invalid argument"
        )
        #expect(CriuSession.reason("(00.25) cg: Preparing") == nil)
        #expect(CriuSession.reason("") == nil)
    }

    @Test func containersNameTheirFileOfOptions() {
        #expect(CriuOptions.configFile([:]) == "/etc/criu/runc.conf")
        #expect(CriuOptions.configFile(["org.criu.config": ""]) == nil)
        var options = CriuOptions(images: 3, work: 4, logFile: "dump.log", root: "/")
        #expect(ProtobufFields(options.message.bytes)?.text(51) == nil)
        options.configFile = CriuOptions.configFile(["org.criu.config": "/here"])
        #expect(ProtobufFields(options.message.bytes)?.text(51) == "/here")
    }

    @Test func pageServers() throws {
        let rules = [OptionRule.value("page-server")]
        let server = try CheckpointCommand.pageServer(try CommandArguments(["--page-server", "[::1]:27"], rules))
        #expect(server?.address == "::1")
        #expect(server?.port == 27)
        for text in ["host", ":5", "host:", "host:70000"] {
            #expect(throws: RuntimeError.self) { try CheckpointCommand.pageServer(try CommandArguments(["--page-server", text], rules)) }
        }
    }

    @Test func everyCommandIsThereOnce() {
        let names = RuntimeCommand.commands.map(\.name)
        #expect(Set(names).count == names.count)
        for command in RuntimeCommand.commands {
            let options = command.options.flatMap(\.names)
            #expect(Set(options).count == options.count, "\(command.name)")
            #expect(command.options.allSatisfy { !$0.help.isEmpty }, "\(command.name)")
        }
    }
}
