// clipper: the client. Flags in, calls of the Engine API, rendered answers out; no logic of the engine lives here.
//
// `Program` finds the command that the words name (`CommandTable`), reads its flags and runs it with a `Context`
// (client, output, flags). Each command is a file `<Noun>/<Noun><Verb>.swift` that declares its `Command`.
// `run`, `exec`, `attach` and `start -a` share `StreamSession` (Run/): one poll loop over terminal, signals and connection.
// `build` packs its context with `BuildContext` (Build/). Installed as `docker`, it calls itself `docker` in messages.
internal import ClientUI
internal import Glibc

_ = signal(SIGPIPE, SIG_IGN)
let status = Program(words: CommandLine.arguments).run()
exit(status)
