internal import Dockerfile
internal import Images
internal import Linux
internal import Logging
internal import OCIImageSpec

/// One build from its context to its image. Used on one thread.
final class BuildSession {
    let builder: ImageBuilder
    let request: BuildRequest
    let cancellation: BuildCancellation
    let platform: Platform
    /// Unpacked context, and room for what steps need beside it.
    let context: BuildContext
    private let report: (BuildProgress) -> Void
    private var file: ParsedDockerfile
    private let tags: [ImageReference]
    /// Images of stages that are done, by number.
    private(set) var results: [Int: Image] = [:]
    /// Layers of this build, kept from being deleted until it ends.
    private var leases: [LayerLease] = []
    /// What was pulled for this build, by name and platform.
    private var pulled: [String: Digest] = [:]
    private var step = 0
    private var stepCount = 0
    private var hasReported = false
    /// Keys of the cache whose steps this build took or made.
    private var usedKeys: Set<String> = []

    init(
        builder: ImageBuilder, request: BuildRequest, archive: Int32, cancellation: BuildCancellation,
        report: @escaping (BuildProgress) -> Void
    ) throws {
        self.builder = builder
        self.request = request
        self.cancellation = cancellation
        self.report = report
        if request.squash { throw BuildError(.notImplemented, "not implemented: squash") }
        do { platform = request.platform.isEmpty ? .host : try Platform(parsing: request.platform) } catch {
            throw BuildError(.invalid, "invalid platform: \(error)")
        }
        do { tags = try request.tags.map { try ImageReference($0).withDefaultTag } } catch { throw BuildError(.invalid, "\(error)") }
        if let digest = tags.first(where: { $0.digest != nil }) {
            throw BuildError(.invalid, "invalid tag \(digest.familiar): a build can't be named by digest")
        }
        let directory = "\(builder.scratchDirectory)/build-\(ContentHasher.randomIdentifier().prefix(16))"
        context = try BuildContext(directory: directory, archive: archive)
        file = try context.dockerfile(request.dockerfile)
    }

    func emit(_ text: String) { report(.stream(text)) }

    func hold(_ layers: [Layer]) throws { leases.append(try builder.images.lease(layers)) }

    /// The image too: a prune meanwhile must not take what the next step is built on.
    func hold(_ image: Image) throws { leases.append(try builder.images.lease(image)) }

    /// Notes that a step is the cache's.
    func note(_ key: String) { usedKeys.insert(key) }

    /// To its image, or to the step that failed.
    func run() throws -> Image {
        var result: Image?
        defer { builder.cache.used(usedKeys, result: result?.id, logger: builder.logger) }
        let image = try makeImage()
        result = image
        return image
    }

    private func makeImage() throws -> Image {
        var arguments = BuildArguments(given: request.buildArguments, platform: platform)
        addLabels()
        for instruction in file.globalArguments { try declareGlobals(instruction, &arguments) }
        let graph = try StageGraph(file, target: request.target, arguments: arguments)
        stepCount = file.globalArguments.count + graph.nodes.reduce(0) { $0 + 1 + $1.stage.instructions.count }
        for warning in file.warnings { emit("[Warning] line \(warning.line): \(warning.message)\n") }
        for instruction in file.globalArguments { announce(instruction.original) }
        for node in graph.nodes {
            let stage = StageBuilder(session: self, node: node, arguments: arguments, escape: file.directives.escape)
            results[node.stage.index] = try stage.build()
            arguments.merge(referenced: stage.state.arguments.referenced)
            if let image = results[node.stage.index] { report(.image(image.id.description)) }
        }
        guard let image = results[graph.target] else {
            throw BuildError(.failed, "No image was generated. Is your Dockerfile empty?")
        }
        if !arguments.unused.isEmpty {
            emit("[Warning] One or more build-args \(GoFormat.plain(arguments.unused)) were not consumed\n")
        }
        emit("Successfully built \(image.id.short)\n")
        for tag in tags {
            try builder.images.tag(image.id.description, as: tag)
            emit("Successfully tagged \(tag.familiar)\n")
        }
        return try builder.images.image(image.id.description)
    }

    /// `Step 2/5 : RUN make`.
    func announce(_ instruction: String) {
        step += 1
        emit("Step \(step)/\(stepCount) : \(instruction)")
        emit("\n")
    }

    /// An image for FROM and `--from`: one that is here, or pulled. With `--pull` the registry is asked first, once for each name.
    func image(_ name: String, platform wanted: Platform?) throws -> Image {
        var reference: ImageReference?
        if Int(name) == nil, name != "scratch" {
            do { reference = try ImageReference(name) } catch {
                // An ID is as good as a name.
                guard case .isIdentifier = error else { throw BuildError(.invalid, "\(error)") }
            }
        }
        let key = "\(name) \(wanted?.description ?? "")"
        let asks = request.pull && pulled[key] == nil && reference != nil && builder.bases != nil
        if !asks, let image = try localImage(name), pulled[key] != nil || wanted.map({ image.config.platform.satisfies($0) }) ?? true {
            return try checked(image, name, wanted)
        }
        guard let reference, let bases = builder.bases else {
            guard let image = try localImage(name) else { throw BuildError(.notFound, "No such image: \(name)") }
            return try checked(image, name, wanted)
        }
        let image = try bases.pull(
            reference, platform: wanted, credentials: request.credentials(for: reference), cancellation: cancellation, progress: report)
        pulled[key] = image.id
        return try checked(image, name, wanted)
    }

    private func localImage(_ name: String) throws -> Image? {
        do { return try builder.images.image(name) } catch let error as ImageError where error.code == .notFound { return nil }
    }

    private func checked(_ image: Image, _ name: String, _ wanted: Platform?) throws -> Image {
        if let wanted, !image.config.platform.satisfies(wanted) {
            throw BuildError(.notFound, "image \(name) is for \(image.config.platform), not for \(wanted)")
        }
        try hold(image)
        return image
    }

    /// The stage or image that `--from` names, as seen from stage `index`.
    func source(_ reference: String, from index: Int) throws -> Image? {
        if let stage = file.stage(reference, before: index) { return results[stage.index] }
        if let number = Int(reference) {
            let reason = number == index ? "refers to current build stage" : "index out of bounds"
            throw BuildError(.failed, "invalid from flag value \(reference): \(reason)")
        }
        do { return try image(reference, platform: nil) } catch let error as BuildError {
            throw BuildError(error.code, "invalid from flag value \(reference): \(error.message)")
        }
    }

    /// Whether a name is one of the stages before `index`: it has a result, or was empty.
    func isStage(_ reference: String, before index: Int) -> Bool { file.stage(reference, before: index) != nil }

    /// Each `--label` becomes an instruction at the end of the last stage, as if it stood in the file.
    private func addLabels() {
        let index = file.stage(request.target)?.index ?? file.stages.count - 1
        for (key, value) in request.labels.sorted(by: { $0.key < $1.key }) {
            // In single quotes nothing is special but the quote itself.
            let pair = KeyValue(key: Self.protected(key), value: Self.protected(value))
            let line = file.stages[index].instructions.last?.lines ?? file.stages[index].fromInstruction.lines
            file.stages[index].instructions.append(Instruction(kind: .label([pair]), original: "LABEL \(key)=\(value)", lines: line))
        }
    }

    private static func protected(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\"'\"'") + "'"
    }

    private func declareGlobals(_ instruction: Instruction, _ arguments: inout BuildArguments) throws {
        guard case .arg(let declarations) = instruction.kind else { return }
        for declaration in declarations {
            let known = arguments
            let expander = WordExpander(escape: file.directives.escape) { known.globalValue($0) }
            let name = try expander.building(declaration.name)
            arguments.declareGlobal(name, default: try declaration.defaultValue.map { try expander.building($0) })
        }
    }
}
