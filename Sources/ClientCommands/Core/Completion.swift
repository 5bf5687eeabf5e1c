internal import ClientUI
internal import EngineClient
internal import JSON

/// Shell completion. The scripts are thin: they hand the words to `clipper __complete`, which knows tables and engine.
enum Completion {
    /// One candidate a line for the last word (which may be empty).
    static func answer(_ words: [String], _ out: Output, _ makeClient: () throws -> EngineClient) -> Int32 {
        let last = words.last ?? ""
        let before = words.dropLast().filter { !$0.hasPrefix("-") }
        let two = before.prefix(2).joined(separator: " ")
        let command = (before.count > 1 ? CommandTable.find(two) : nil) ?? before.first.flatMap { CommandTable.find($0) }
        var candidates: [String]
        if let command {
            candidates = last.hasPrefix("-") ? flags(of: command) : ((try? objects(for: command, makeClient())) ?? [])
        } else if let noun = before.first, CommandTable.nouns[noun] != nil {
            candidates = CommandTable.verbs(of: noun).map(\.name)
        } else if before.isEmpty {
            candidates = CommandTable.verbs(of: nil).map(\.name) + CommandTable.nouns.keys
        } else {
            candidates = []
        }
        candidates = Set(candidates.filter { $0.hasPrefix(last) }).sorted()
        for candidate in candidates { out.line(candidate) }
        return 0
    }

    private static func flags(of command: Command) -> [String] {
        command.flags().filter { !$0.isHidden }.flatMap { flag in ["--\(flag.name)"] + (flag.short.map { ["-\($0)"] } ?? []) } + ["--help"]
    }

    /// Names of what the command works on.
    private static func objects(for command: Command, _ client: EngineClient) throws -> [String] {
        let usage = command.usage
        if usage.contains("CONTAINER") {
            let list = try client.call(Request("GET", "/containers/json", query: [("all", "1")])).arrayValue ?? []
            return list.flatMap { $0["Names"]?.arrayValue ?? [] }.compactMap { $0.stringValue.map { String($0.drop { $0 == "/" }) } }
        }
        if usage.contains("IMAGE") {
            let list = try client.call(Request("GET", "/images/json")).arrayValue ?? []
            return list.flatMap { $0["RepoTags"]?.arrayValue ?? [] }.compactMap(\.stringValue)
        }
        if usage.contains("VOLUME") {
            return (try client.call(Request("GET", "/volumes"))["Volumes"]?.arrayValue ?? []).compactMap { $0["Name"]?.stringValue }
        }
        if usage.contains("NETWORK") {
            return (try client.call(Request("GET", "/networks")).arrayValue ?? []).compactMap { $0["Name"]?.stringValue }
        }
        return []
    }

    static func script(_ shell: String, program: String) -> String? {
        switch shell {
        case "bash":
            """
            # bash completion of \(program); load with: source <(\(program) completion bash)
            _\(program)_complete() {
                local IFS=$'\\n'
                COMPREPLY=($(\(program) __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
            }
            complete -o bashdefault -o default -F _\(program)_complete \(program)

            """
        case "zsh":
            """
            #compdef \(program)
            # zsh completion of \(program); load with: source <(\(program) completion zsh)
            _\(program)() {
                local -a candidates
                candidates=("${(@f)$(\(program) __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
                [[ -n "$candidates" ]] && compadd -a candidates || _files
            }
            compdef _\(program) \(program)

            """
        case "fish":
            """
            # fish completion of \(program); load with: \(program) completion fish | source
            complete -c \(program) -a '(\(program) __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'

            """
        default: nil
        }
    }
}

extension Command {
    static var completion: Command {
        Command("completion", summary: "Generate the completion script for a shell", usage: "bash|zsh|fish", arity: .exactly(1)) {
            context in
            guard let script = Completion.script(context.arguments[0], program: context.program) else {
                throw Failure("unknown shell \(quoted(context.arguments[0])): bash, zsh and fish are known")
            }
            context.out.write(script)
            return 0
        }
    }
}
