internal import CLinux
internal import Dockerfile
internal import Glibc
internal import Images
internal import Linux
internal import OCIImageSpec

/// RUN and WORKDIR.
extension StageBuilder {
    func execute(_ instruction: RunInstruction) throws {
        if instruction.security == "insecure" { throw BuildError(.notImplemented, "not implemented: RUN --security=insecure") }
        if !instruction.devices.isEmpty { throw BuildError(.notImplemented, "not implemented: RUN --device") }
        let mounts = RunMounts(stage: self, flags: instruction.mounts)
        let (arguments, script) = try commandLine(of: instruction)
        guard !arguments.isEmpty else { throw BuildError(.failed, "No command specified") }
        let createdBy = (visibleArguments + arguments).joined(separator: " ")
        let network = instruction.network.map { $0 == "default" ? session.request.networkMode : $0 } ?? session.request.networkMode
        var dependencies = try mounts.dependencies()
        if let script { dependencies.append(script.content) }
        let key = try BuildCache.key(parent: state.imageID, createdBy: createdBy, dependencies: dependencies)
        if try useCache(key) { return }
        // What is mounted doesn't show in a history.
        if dependencies.isEmpty, let found = importedLayer(createdBy: createdBy) {
            return try commit(found, createdBy: createdBy, key: key)
        }

        let identifier = ContentHasher.randomIdentifier()
        session.emit(" ---> Running in \(identifier.prefix(12))\n")
        let scratch = try StepScratch.make(images: session.builder.images, below: state.layerDirectories)
        let layer = try mounts.withMounts(script: script) { extra -> Layer? in
            let step = RunStep(
                identifier: identifier, arguments: arguments, environment: environment, workingDirectory: state.absolutePath("."),
                user: state.run.user ?? "", layers: state.layerDirectories, upper: scratch.upper, work: scratch.work, networkMode: network,
                mounts: extra, resources: session.request.resources, extraHosts: session.request.extraHosts,
                hostname: String(identifier.prefix(12)))
            let exitCode = try run(step)
            if exitCode != 0 {
                let command = arguments.joined(separator: " ")
                throw BuildError(.failed, "The command '\(command)' returned a non-zero code: \(exitCode)", exitCode: exitCode)
            }
            try MountStubs(layers: step.layers, mounts: extra).remove(from: scratch.upper)
            return try adopt(scratch)
        }
        session.emit("Removing intermediate container \(identifier.prefix(12))\n")
        try commit(createdBy: createdBy, layer: layer, key: key)
    }

    private func run(_ step: RunStep) throws -> Int32 {
        var output = OutputText()
        let exitCode = try session.builder.executor.run(step, cancellation: session.cancellation) { isError, bytes in
            let text = output.append(bytes, isError: isError)
            if !text.isEmpty { session.emit(isError ? OutputText.marked(text) : text) }
        }
        for (isError, text) in output.finish() { session.emit(isError ? OutputText.marked(text) : text) }
        try session.cancellation.check()
        return exitCode
    }

    /// `|1 NAME=value` before the command, when arguments of the build can be seen by it.
    private var visibleArguments: [String] {
        let shown = state.arguments.values(without: state.environmentNames).filter {
            state.arguments.isDeclared($0.name) || !BuildArguments.predefined.contains($0.name)
        }
        return shown.isEmpty ? [] : ["|\(shown.count)"] + shown.map { "\($0.name)=\($0.value)" }
    }

    /// PATH, what ENV says, and the build's arguments where ENV says nothing.
    private var environment: [String] {
        (state.run.env ?? []) + state.arguments.values(without: state.environmentNames).map { "\($0.name)=\($0.value)" }
    }

    /// argv, and a script to put into the container when the heredoc begins with `#!`.
    private func commandLine(of run: RunInstruction) throws -> ([String], Heredoc?) {
        guard let first = run.heredocs.first, case .shell(let text) = run.command else { return (state.argumentVector(run.command), nil) }
        guard run.heredocs.count == 1, text.isHeredocAlone else {
            // The shell reads its heredocs itself.
            let full = run.heredocs.reduce(text) { $0 + "\n" + $1.rawContent + $1.name }
            return (state.argumentVector(.shell(full)), nil)
        }
        if first.content.hasPrefix("#!") { return ([RunMounts.scriptDirectory + "/" + first.name], first) }
        return (state.argumentVector(.shell(first.content)), nil)
    }

    func executeWorkdir(_ text: String) throws {
        let expanded = try state.expander.building(text)
        if expanded.isEmpty { throw BuildError(.failed, "cannot normalize nothing") }
        let path = state.absolutePath(expanded)
        state.run.workingDir = path
        let createdBy = state.comment("WORKDIR " + path)
        let key = try BuildCache.key(parent: state.imageID, createdBy: createdBy)
        if try useCache(key) { return }
        if let found = importedLayer(createdBy: createdBy) { return try commit(found, createdBy: createdBy, key: key) }
        let layer = try fileStep { root in
            do { _ = try RootPath(root: root).makeDirectories(path) } catch let error as SystemError where error.code == ENOTDIR {
                throw BuildError(.failed, "Cannot mkdir: \(path) is not a directory")
            }
        }
        try commit(createdBy: createdBy, layer: layer, key: key)
    }
}

extension String {
    /// `<<EOF` and nothing else: the document is the command.
    fileprivate var isHeredocAlone: Bool {
        let text = drop { ("0"..."9").contains($0) }
        guard text.hasPrefix("<<") else { return false }
        var rest = text.dropFirst(2)
        if rest.first == "-" { rest = rest.dropFirst() }
        if let quote = rest.first, quote == "'" || quote == "\"" {
            return rest.dropFirst().firstIndex(of: quote) == rest.indices.last
        }
        return !rest.contains { $0.isWhitespace || ";|&<>()".contains($0) }
    }
}

/// Output of a command as text. A character that is cut by the end of a piece waits for its rest.
struct OutputText {
    private var pending: [Bool: [UInt8]] = [:]

    mutating func append(_ bytes: [UInt8], isError: Bool) -> String {
        let all = (pending[isError] ?? []) + bytes
        let cut = Self.incompleteTail(of: all)
        pending[isError] = Array(all.suffix(cut))
        return String(decoding: all.dropLast(cut), as: UTF8.self)
    }

    /// What never got its rest.
    mutating func finish() -> [(isError: Bool, text: String)] {
        defer { pending = [:] }
        return [false, true].compactMap { isError in
            guard let bytes = pending[isError], !bytes.isEmpty else { return nil }
            return (isError, String(decoding: bytes, as: UTF8.self))
        }
    }

    /// Standard error is red, as Docker has it.
    static func marked(_ text: String) -> String { "\u{1b}[91m\(text)\u{1b}[0m" }

    private static func incompleteTail(of bytes: [UInt8]) -> Int {
        for length in 1...3 where bytes.count >= length {
            let byte = bytes[bytes.count - length]
            if byte & 0xC0 == 0x80 { continue }
            let needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return needed > length ? length : 0
        }
        return 0
    }
}
