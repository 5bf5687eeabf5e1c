internal import Dockerfile
internal import OCIImageSpec

/// Instructions that change how a container of the image runs, and no files.
extension StageBuilder {
    func executeConfiguration(_ kind: Instruction.Kind) throws {
        switch kind {
        case .arg(let declarations): try executeArg(declarations)
        case .env(let pairs):
            let pairs = try expand(pairs)
            try commitChange(" ENV " + Self.text(pairs)) { state in for pair in pairs { state.setEnvironment(pair.key, pair.value) } }
        case .label(let pairs):
            let pairs = try expand(pairs)
            try commitChange(" LABEL " + Self.text(pairs)) { state in
                for pair in pairs { state.run.labels = (state.run.labels ?? [:]).merging([pair.key: pair.value]) { $1 } }
            }
        case .cmd(let command):
            let arguments = state.argumentVector(command)
            try commitChange(" CMD " + GoFormat.quoted(arguments)) { $0.run.cmd = arguments }
            state.hasOwnCommand = true
        case .entrypoint(let command): try executeEntrypoint(command)
        case .expose(let ports): try executeExpose(ports)
        case .volume(let paths):
            let paths = try paths.map { try state.expander.building($0) }
            if paths.contains("") { throw BuildError(.failed, "VOLUME specified can not be an empty string") }
            try commitChange(" VOLUME " + GoFormat.plain(paths)) { state in
                state.run.volumes = KeySet((state.run.volumes?.sorted ?? []) + paths)
            }
        case .user(let text):
            let user = try state.expander.building(text)
            try commitChange(" USER " + user) { $0.run.user = user }
        case .stopsignal(let text):
            let signal = try state.expander.building(text)
            guard SignalName.isValid(signal) else { throw BuildError(.failed, "Invalid signal: \(signal)") }
            try commitChange(" STOPSIGNAL " + signal) { $0.run.stopSignal = signal }
        case .maintainer(let author): try commitChange(" MAINTAINER " + author) { $0.config.author = author }
        case .healthcheck(let check): try executeHealthcheck(check)
        case .onbuild(let trigger): try commitChange(" ONBUILD " + trigger) { $0.run.onBuild = ($0.run.onBuild ?? []) + [trigger] }
        case .shell(let words):
            // The line of history is written in the new shell already.
            let before = state.run.shell
            state.run.shell = words
            do { try commitChange(" SHELL " + GoFormat.plain(words)) { $0.run.shell = words } } catch {
                state.run.shell = before
                throw error
            }
        case .from, .run, .copy, .add, .workdir: throw BuildError(.failed, "instruction with files taken for one without")
        }
    }

    private func expand(_ pairs: [KeyValue]) throws -> [KeyValue] {
        // All values see the environment as it was before the instruction.
        let expander = state.expander
        return try pairs.map { KeyValue(key: try expander.building($0.key), value: try expander.building($0.value)) }
    }

    private static func text(_ pairs: [KeyValue]) -> String { pairs.map { "\($0.key)=\($0.value)" }.joined(separator: " ") }

    private func executeArg(_ declarations: [ArgumentDeclaration]) throws {
        var words: [String] = []
        for declaration in declarations {
            let name = try state.expander.building(declaration.name)
            let value = try declaration.defaultValue.map { try state.expander.building($0) }
            state.arguments.declare(name, default: value)
            words.append(value.map { "\(name)=\($0)" } ?? name)
        }
        try commitChange(" ARG " + words.joined(separator: " ")) { _ in }
    }

    private func executeEntrypoint(_ command: CommandLine) throws {
        let arguments = state.argumentVector(command)
        let dropsCommand = !state.hasOwnCommand
        try commitChange(" ENTRYPOINT " + GoFormat.quoted(arguments)) { state in
            state.run.entrypoint = arguments
            // A command of the base image was meant for the base image's entrypoint.
            if dropsCommand { state.run.cmd = nil }
        }
    }

    private func executeExpose(_ texts: [String]) throws {
        var words: [String] = []
        for text in texts {
            do { words += try state.expander.words(text) } catch { throw BuildError(.failed, error.description) }
        }
        words.sort()
        let ports = try words.flatMap(ExposedPort.expand)
        try commitChange(" EXPOSE " + words.joined(separator: " ")) { state in
            state.run.exposedPorts = KeySet((state.run.exposedPorts?.sorted ?? []) + ports)
        }
    }

    private func executeHealthcheck(_ instruction: HealthcheckInstruction) throws {
        let check = Healthcheck(instruction)
        var timing = HealthcheckTiming()
        if case .command(_, let given) = instruction { timing = given }
        if let old = state.run.healthcheck?.test, !old.isEmpty {
            session.emit("Note: overriding previous HEALTHCHECK: \(GoFormat.plain(old))\n")
        }
        let times = [timing.interval, timing.timeout, timing.startPeriod, timing.startInterval].map { GoFormat.quoted(nanoseconds: $0) }
        let text = "&{\(GoFormat.quoted(check.test ?? [])) \(times.joined(separator: " ")) \(GoFormat.quoted(character: timing.retries))}"
        try commitChange(" HEALTHCHECK " + text) { $0.run.healthcheck = check }
    }
}

/// `80`, `80/udp`, `8000-8002/tcp`.
enum ExposedPort {
    static func expand(_ text: String) throws(BuildError) -> [String] {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let proto = parts.count == 2 ? parts[1].lowercased() : "tcp"
        guard ["tcp", "udp", "sctp"].contains(proto) else { throw BuildError(.failed, "Invalid proto: \(parts[1])") }
        let range = parts[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { UInt16($0) }
        guard let first = range.first ?? nil, let last = range.last ?? nil, first <= last else {
            throw BuildError(.failed, "Invalid containerPort: \(parts[0])")
        }
        return (first...last).map { "\($0)/\(proto)" }
    }
}

/// Names and numbers of signals, as STOPSIGNAL takes them.
enum SignalName {
    private static let names: Set<String> = [
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL", "PROF", "PWR",
        "QUIT", "SEGV",
        "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN",
        "RTMAX",
    ]

    static func isValid(_ text: String) -> Bool {
        if let number = Int(text) { return number > 0 && number < 128 }
        var name = text.uppercased()
        if name.hasPrefix("SIG") { name.removeFirst(3) }
        if names.contains(name) { return true }
        for (base, limit) in [("RTMIN+", 15), ("RTMAX-", 14)] where name.hasPrefix(base) {
            if let offset = Int(name.dropFirst(6)) { return (0...limit).contains(offset) }
        }
        return false
    }
}
