// ClientCommands: flags in, calls of the Engine API, rendered answers out; no logic of the engine lives here.
//
// `Program` finds the command that the words name (`CommandTable`), reads its flags and runs it with a `Context`
// (client, output, flags). Each command is declared in `<Noun>/<Noun><Verb>.swift`, small ones of a noun together.
// `run`, `exec`, `attach` and `start -a` share `StreamSession` (Run/): one poll loop over terminal, signals and connection.
// `build` packs its context with `BuildSource` (Build/). Installed as `docker`, it calls itself `docker` in messages.
// A library and not the executable itself, because tests can't link what is linked with -static-executable.
