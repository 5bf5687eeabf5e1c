// ClientUI: how the client reads its command line and how it speaks to a person. Static, knows no engine.
//
// Flags: `Flag` tables in pflag's grammar, read by `FlagParser` into `FlagValues`; the same tables give `HelpPage`
// (docs/decisions/0003-flag-grammar.md). Text: `Table` (Docker's columns), `HumanSize`, `HumanDuration`, `ByteSize`,
// `GoDuration`. Templates: `Template` is the part of Go's text/template that `--format` users write; it works over
// `JSONValue`. `Output` is buffered standard output; `ProgressLines` redraws a pull's or push's lines in place.
// Used by the commands of `clipper`.
