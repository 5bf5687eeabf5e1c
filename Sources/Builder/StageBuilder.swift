internal import CLinux
internal import Dockerfile
internal import Images
internal import Linux
internal import OCIImageSpec

/// Executes the instructions of one stage, one after the other. Knows nothing of other stages but their results.
final class StageBuilder {
    let session: BuildSession
    let node: StageGraph.Node
    var state: StageState

    init(session: BuildSession, node: StageGraph.Node, arguments: BuildArguments, escape: Unicode.Scalar) {
        self.session = session
        self.node = node
        state = StageState(platform: session.platform, arguments: arguments, escape: escape)
    }

    /// The finished image; nil for a stage that is still scratch.
    func build() throws -> Image? {
        try session.cancellation.check()
        session.announce(node.stage.fromInstruction.original)
        try begin()
        for instruction in node.stage.instructions {
            try session.cancellation.check()
            session.announce(instruction.original)
            try execute(instruction.kind)
        }
        guard let id = state.imageID else { return nil }
        return try session.builder.images.image(id.description)
    }

    private func begin() throws {
        var wanted: Platform?
        if let text = node.platform {
            let platform: Platform
            do { platform = try Platform(parsing: text) } catch { throw BuildError(.invalid, "failed to parse platform \(text): \(error)") }
            wanted = platform
        } else if !session.request.platform.isEmpty {
            wanted = session.platform
        }
        if let base = node.baseStage {
            if let image = session.results[base] { state = StageState(image: image, arguments: state.arguments, escape: state.escape) }
        } else if let name = node.image, name != "scratch" {
            let image = try session.image(name, platform: wanted)
            state = StageState(image: image, arguments: state.arguments, escape: state.escape)
        } else if let wanted {
            state = StageState(platform: wanted, arguments: state.arguments, escape: state.escape)
        }
        try runTriggers()
    }

    /// What the base image left to be done in the images built on it.
    private func runTriggers() throws {
        let triggers = state.run.onBuild ?? []
        state.run.onBuild = nil
        guard !triggers.isEmpty else {
            session.emit(" ---> \(state.imageID?.short ?? "")\n")
            return
        }
        session.emit("# Executing \(triggers.count) build trigger\(triggers.count == 1 ? "" : "s")\n")
        for text in triggers {
            try session.cancellation.check()
            let trigger: Instruction
            do { trigger = try Instruction(parsing: text) } catch {
                throw BuildError(.invalid, "build trigger \"\(text)\" of the base image: \(error.message)")
            }
            switch trigger.kind {
            case .onbuild, .from, .maintainer: throw BuildError(.invalid, "\(trigger.name) isn't allowed as an ONBUILD trigger")
            default: try execute(trigger.kind)
            }
        }
    }

    private func execute(_ kind: Instruction.Kind) throws {
        switch kind {
        case .from: throw BuildError(.invalid, "FROM inside a stage")
        case .run(let run): try execute(run)
        case .copy(let copy): try execute(copy)
        case .add(let add): try execute(add)
        case .workdir(let path): try executeWorkdir(path)
        default: try executeConfiguration(kind)
        }
    }

    // MARK: Steps

    /// Takes a step's result from the cache; false when it has to be done.
    func useCache(_ key: String) throws -> Bool {
        guard !session.request.noCache, let image = try session.builder.cache.image(for: key, parent: state.imageID),
            (try? session.hold(image)) != nil
        else { return false }
        session.note(key)
        state.adopt(image)
        session.emit(" ---> Using cache\n")
        session.emit(" ---> \(image.id.short)\n")
        return true
    }

    /// Takes a step's layer from an image of `--cache-from`: one that was made by the same instructions on the same layers
    /// up to here, and then by this one. Nil when there is none.
    func importedLayer(createdBy: String) -> ImportedLayer? {
        if session.request.noCache { return nil }
        let done = state.config.history ?? []
        for name in session.request.cacheFrom {
            // An image that isn't here can't help.
            guard let image = try? session.builder.images.image(name), let history = image.config.history, history.count > done.count,
                history[done.count].createdBy == createdBy, image.layers.count >= state.layers.count,
                zip(image.layers, state.layers).allSatisfy({ $0.chainID == $1.chainID }),
                zip(history, done).allSatisfy({ $0.createdBy == $1.createdBy && ($0.emptyLayer ?? false) == ($1.emptyLayer ?? false) })
            else { continue }
            if history[done.count].emptyLayer == true { return ImportedLayer(layer: nil) }
            if image.layers.count > state.layers.count { return ImportedLayer(layer: image.layers[state.layers.count]) }
        }
        return nil
    }

    /// Ends a step that found its layer in another image.
    func commit(_ found: ImportedLayer, createdBy: String, key: String) throws {
        if let layer = found.layer { try session.hold([layer]) }
        session.emit(" ---> Using cache\n")
        try commit(createdBy: createdBy, layer: found.layer, key: key)
    }

    /// Ends a step: its layer and its line of history go on the image, the result into the cache.
    func commit(createdBy: String, layer: Layer?, key: String) throws {
        let now = Timestamp.now().description
        let parent = state.imageID
        if let layer { state.layers.append(layer) }
        var history = state.config.history ?? []
        history.append(.init(created: now, author: state.config.author, createdBy: createdBy, emptyLayer: layer == nil ? true : nil))
        state.config.history = history
        state.config.created = now
        state.run.image = parent?.description ?? ""
        state.config.config = state.run
        // What these say of the base image isn't true of this one.
        state.config.container = nil
        state.config.containerConfig = nil
        state.config.comment = nil
        let image = try session.builder.images.createImage(config: state.config, layers: state.layers, parent: parent, tags: [])
        try session.hold(image)
        state.imageID = image.id
        state.config = image.config
        try session.builder.cache.put(key, image: image.id, parent: parent)
        session.note(key)
        session.emit(" ---> \(image.id.short)\n")
    }

    /// A step that changes the configuration only. The cache is asked first; `change` is made when it has nothing.
    func commitChange(_ comment: String, change: (inout StageState) throws -> Void) throws {
        let createdBy = state.comment(comment)
        let key = try BuildCache.key(parent: state.imageID, createdBy: createdBy)
        if try useCache(key) { return }
        try change(&state)
        try commit(createdBy: createdBy, layer: nil, key: key)
    }

    /// Does a step's work on the merged file system; the layer it made, nil when nothing changed.
    ///
    /// `layers` are what it works on, top first: the stage's own unless told otherwise.
    func fileStep(layers: [String]? = nil, _ body: (borrowing OwnedFD) throws -> Void) throws -> Layer? {
        let scratch = try StepScratch.make(images: session.builder.images, below: layers ?? state.layerDirectories)
        let directories = layers ?? state.layerDirectories
        if directories.isEmpty {
            try body(try OwnedFD.open(scratch.upper, O_RDONLY | O_DIRECTORY))
        } else {
            try session.builder.executor.withRootfs(layers: directories, upper: scratch.upper, work: scratch.work, body)
        }
        return try adopt(scratch)
    }

    /// Makes a step's upper directory a layer; nil when it holds nothing.
    func adopt(_ scratch: borrowing StepScratch) throws -> Layer? {
        if try Files.list(scratch.upper).isEmpty { return nil }
        let layer = try session.builder.images.adoptLayer(directory: scratch.upper, parent: state.layers.last?.chainID)
        try session.hold([layer])
        return layer
    }

    /// The stage's files, for reading.
    func withFiles<Result>(of layers: [String], _ body: (borrowing OwnedFD) throws -> Result) throws -> Result {
        // One layer is its own view; none is an empty one.
        if layers.count == 1 { return try body(try OwnedFD.open(layers[0], O_RDONLY | O_DIRECTORY)) }
        let scratch = try StepScratch.make(images: session.builder.images, below: layers)
        if layers.isEmpty { return try body(try OwnedFD.open(scratch.upper, O_RDONLY | O_DIRECTORY)) }
        return try session.builder.executor.withRootfs(layers: layers, upper: scratch.upper, work: scratch.work, body)
    }
}

/// What another image has for a step.
struct ImportedLayer {
    /// Nil when the step changed no files there.
    let layer: Layer?
}
