internal import Archive
internal import CLinux
internal import Dockerfile
internal import Images
internal import Linux

/// COPY and ADD.
extension StageBuilder {
    func execute(_ copy: CopyInstruction) throws {
        guard let from = copy.from else {
            return try transfer(
                copy.transfer, from: try session.context.sources(), as: "COPY", keepsParents: copy.keepsParents, unpacks: false)
        }
        let image = try session.source(from, from: node.stage.index)
        try withFiles(of: image.map { session.builder.images.layerDirectories(of: $0) } ?? []) { root in
            let sources = SourceTree(root: try root.duplicate(), keepsOwners: true, isContext: false)
            try transfer(copy.transfer, from: sources, as: "COPY", keepsParents: copy.keepsParents, unpacks: false)
        }
    }

    func execute(_ add: AddInstruction) throws {
        if add.keepsGitDirectory { throw BuildError(.notImplemented, "not implemented: ADD --keep-git-dir") }
        if add.checksum != nil { throw BuildError(.notImplemented, "not implemented: ADD --checksum") }
        let expander = state.expander
        for text in add.transfer.sources {
            let source = try expander.building(text)
            if ["http://", "https://", "ftp://", "git@", "git://", "ssh://"].contains(where: source.hasPrefix) {
                throw BuildError(.notImplemented, "not implemented: ADD of a URL")
            }
        }
        try transfer(add.transfer, from: try session.context.sources(), as: "ADD", keepsParents: false, unpacks: add.unpacks ?? true)
    }

    private func transfer(
        _ instruction: TransferInstruction, from sources: borrowing SourceTree, as name: String, keepsParents: Bool, unpacks: Bool
    ) throws {
        let expander = state.expander
        var plan = TransferPlan(
            name: name, destination: try expander.building(instruction.destination), excludes: IgnorePatterns(instruction.excludes))
        plan.keepsParents = keepsParents
        plan.unpacks = unpacks
        plan.permissions = try instruction.chmod.map { try Self.permissions(try expander.building($0)) }
        let chown = try instruction.chown.map { try expander.building($0) }
        var hashes: [String] = []
        for text in instruction.sources {
            let expanded = try expander.building(text)
            for source in try sources.resolve(expanded, keepsParents: keepsParents, instruction: name) {
                plan.sources.append(source)
                let hash = try sources.hash(source, excludes: plan.excludes, cancellation: session.cancellation)
                hashes.append((source.isDirectory ? "dir:" : "file:") + hash)
                if keepsParents { hashes.append(source.keptDirectory + "/" + source.name) }
            }
        }
        for heredoc in instruction.heredocs {
            let content = heredoc.expands ? try expand(heredoc.content) : heredoc.content
            plan.inline.append((heredoc.name, content))
            hashes.append("file:" + (try ContentHasher.hash(["inline", heredoc.name, content])))
        }
        guard let first = hashes.first else { throw BuildError(.failed, "\(name) failed: no source files were specified") }
        if plan.sources.count + plan.inline.count > 1 && !plan.destination.hasSuffix("/") {
            throw BuildError(
                .failed, "When using \(name) with more than one source file, the destination must be a directory and end with a /")
        }
        let hash = hashes.count == 1 ? first : "multi:" + (try ContentHasher.hash(hashes))
        let options = (chown.map { "--chown=\($0) " } ?? "") + (plan.permissions.map { "--chmod=\(String($0, radix: 8)) " } ?? "")
        let createdBy = state.comment("\(name) \(options)\(hash) in \(plan.target(in: state)) ")
        let key = try BuildCache.key(
            parent: state.imageID, createdBy: createdBy, dependencies: instruction.isLink ? ["link"] : unpacks ? [] : ["plain"])
        if try useCache(key) { return }
        if !instruction.isLink, let found = importedLayer(createdBy: createdBy) { return try commit(found, createdBy: createdBy, key: key) }
        // --link: the layer doesn't depend on what is below it, so nothing below is looked at.
        let layer = try fileStep(layers: instruction.isLink ? [] : nil) { root in
            plan.owner = try chown.map { try owner($0, root: root, isLink: instruction.isLink) }
            try plan.carryOut(from: sources, into: root, state: state, cancellation: session.cancellation)
        }
        try commit(createdBy: createdBy, layer: layer, key: key)
    }

    private func owner(_ text: String, root: borrowing OwnedFD, isLink: Bool) throws -> Owner {
        isLink ? try withFiles(of: state.layerDirectories) { try Accounts(root: $0).owner(text) } : try Accounts(root: root).owner(text)
    }

    private func expand(_ body: String) throws -> String {
        var options = WordExpander.Options()
        options.ignoresQuotes = true
        return try state.expander(options).building(body)
    }

    static func permissions(_ text: String) throws(BuildError) -> mode_t {
        guard let mode = mode_t(text, radix: 8), mode <= 0o7777 else {
            if text.contains(where: { "+-=".contains($0) }) {
                throw BuildError(.notImplemented, "not implemented: --chmod by letters (\(text))")
            }
            throw BuildError(.failed, "invalid chmod parameter: '\(text)'. it should be octal string and between 0 and 07777")
        }
        return mode
    }
}
