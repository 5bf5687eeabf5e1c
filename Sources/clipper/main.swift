// clipper: the client. All it does stands in ClientCommands.
internal import ClientCommands
internal import Glibc

// A reader that goes away is seen as EPIPE where it is written to.
_ = signal(SIGPIPE, SIG_IGN)
let status = Program(words: CommandLine.arguments).run()
exit(status)
