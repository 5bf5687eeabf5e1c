internal import Dockerfile
public import OCIImageSpec

/// `--change` of commit and import: Dockerfile instructions applied to an image's configuration, without a build.
public enum ImageChanges {
    /// Applies instructions in their order; a text may have several lines, as a Dockerfile. Throws `BuildError` for what is no
    /// instruction, or none that changes configuration.
    public static func apply(_ changes: [String], to config: RunConfig) throws(BuildError) -> RunConfig {
        var config = config
        for text in changes { try apply(text, to: &config) }
        return config
    }

    private static let known: Set = [
        "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
    ]

    private static func apply(_ text: String, to config: inout RunConfig) throws(BuildError) {
        let words = words(text)
        if words.isEmpty { throw BuildError(.invalid, "file with no instructions") }
        for word in words where !known.contains(word) { throw BuildError(.invalid, "\(word.lowercased()) is not a valid change command") }
        let file: ParsedDockerfile
        do { file = try ParsedDockerfile(parsing: "FROM scratch\n\(text)") } catch { throw BuildError(.invalid, error.message) }
        for instruction in file.stages.first?.instructions ?? [] {
            do { try apply(instruction.kind, to: &config) } catch let error as ExpansionError {
                throw BuildError(.invalid, error.description)
            } catch let error as BuildError { throw BuildError(.invalid, error.message) } catch {
                throw BuildError(.invalid, "\(error)")
            }
        }
    }

    /// The first word of each instruction: a line that ends in a backslash goes on in the next, comments and empty lines are none.
    private static func words(_ text: String) -> [String] {
        var words: [String] = []
        var goesOn = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let trimmed = line.drop { $0 == " " || $0 == "\t" || $0 == "\r" }
            if trimmed.isEmpty || trimmed.hasPrefix("#") { continue }
            if !goesOn { words.append(trimmed.prefix { $0 != " " && $0 != "\t" }.uppercased()) }
            goesOn = trimmed.hasSuffix("\\")
        }
        return words
    }

    private static func apply(_ kind: Instruction.Kind, to config: inout RunConfig) throws {
        let environment = config.env ?? []
        let expander = WordExpander(escape: "\\") { name in
            environment.last { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
        }
        func vector(_ command: CommandLine) -> [String] {
            switch command {
            case .shell(let text): (config.shell ?? ["/bin/sh", "-c"]) + [text]
            case .exec(let words): words
            }
        }
        switch kind {
        case .cmd(let command): config.cmd = vector(command)
        case .entrypoint(let command): config.entrypoint = vector(command)
        case .env(let pairs):
            for pair in pairs { config.setEnvironment(try expander.word(pair.key), try expander.word(pair.value)) }
        case .label(let pairs):
            for pair in pairs {
                config.labels = (config.labels ?? [:]).merging([try expander.word(pair.key): try expander.word(pair.value)]) { $1 }
            }
        case .expose(let texts):
            let ports = try texts.flatMap { try expander.words($0) }.flatMap(ExposedPort.expand)
            config.exposedPorts = KeySet((config.exposedPorts?.sorted ?? []) + ports)
        case .volume(let paths): config.volumes = KeySet((config.volumes?.sorted ?? []) + (try paths.map { try expander.word($0) }))
        case .user(let user): config.user = try expander.word(user)
        case .workdir(let path): config.workingDir = RelativePath.absolute(try expander.word(path), from: config.workingDir ?? "/")
        case .stopsignal(let text):
            let signal = try expander.word(text)
            guard SignalName.isValid(signal) else { throw BuildError(.invalid, "Invalid signal: \(signal)") }
            config.stopSignal = signal
        case .healthcheck(let check): config.healthcheck = Healthcheck(check)
        case .onbuild(let trigger): config.onBuild = (config.onBuild ?? []) + [trigger]
        case .shell(let words): config.shell = words
        case .from, .arg, .run, .copy, .add, .maintainer: break
        }
    }
}

extension RunConfig {
    /// Sets a variable in its place, or behind the others.
    mutating func setEnvironment(_ name: String, _ value: String) {
        var list = env ?? []
        let entry = "\(name)=\(value)"
        if let index = list.firstIndex(where: { $0.hasPrefix(name + "=") }) { list[index] = entry } else { list.append(entry) }
        env = list
    }
}

extension Healthcheck {
    /// What is not given stays nil: Docker's defaults.
    init(_ instruction: HealthcheckInstruction) {
        self.init()
        guard case .command(let command, let timing) = instruction else {
            test = ["NONE"]
            return
        }
        switch command {
        case .shell(let text): test = ["CMD-SHELL", text]
        case .exec(let words): test = ["CMD"] + words
        }
        if timing.interval != 0 { interval = timing.interval }
        if timing.timeout != 0 { timeout = timing.timeout }
        if timing.startPeriod != 0 { startPeriod = timing.startPeriod }
        if timing.startInterval != 0 { startInterval = timing.startInterval }
        if timing.retries != 0 { retries = timing.retries }
    }
}
