internal import Dockerfile

/// Which stages a target needs, and what each stage needs: the order of work, and what could be done side by side.
struct StageGraph {
    struct Node {
        let stage: ParsedDockerfile.Stage
        /// The base image's name, expanded; nil when the base is an earlier stage.
        let image: String?
        /// The stage it is built on.
        let baseStage: Int?
        /// All stages whose results it uses, its base among them.
        let needs: Set<Int>
        /// `--platform` of FROM, expanded.
        let platform: String?
    }

    /// In the order of the file; only those that the target needs.
    let nodes: [Node]
    let target: Int

    init(_ file: ParsedDockerfile, target: String, arguments: BuildArguments) throws {
        var last = file.stages.count - 1
        if !target.isEmpty {
            guard let stage = file.stage(target) else {
                throw BuildError(.invalid, "failed to reach build target \(target) in Dockerfile")
            }
            last = stage.index
        }
        let expander = WordExpander(escape: file.directives.escape) { arguments.globalValue($0) }
        var all: [Int: Node] = [:]
        var wanted = [last]
        while let index = wanted.popLast() {
            if all[index] != nil { continue }
            let node = try Self.node(file.stages[index], in: file, expander)
            all[index] = node
            wanted += node.needs
        }
        nodes = all.values.sorted { $0.stage.index < $1.stage.index }
        self.target = last
    }

    private static func node(_ stage: ParsedDockerfile.Stage, in file: ParsedDockerfile, _ expander: WordExpander) throws -> Node {
        let name = try expander.building(stage.from.image)
        if name.isEmpty {
            throw BuildError(.invalid, "base name (\(stage.from.image)) should not be blank")
        }
        // A base is an earlier stage by its name only, never by number.
        let base = Int(name) == nil ? file.stage(name, before: stage.index) : nil
        var needs: Set<Int> = []
        if let base { needs.insert(base.index) }
        for instruction in stage.instructions {
            for reference in instruction.sourceReferences {
                if let other = file.stage(reference, before: stage.index) { needs.insert(other.index) }
            }
        }
        return Node(
            stage: stage, image: base == nil ? name : nil, baseStage: base?.index, needs: needs,
            platform: try stage.from.platform.map { try expander.building($0) })
    }
}

extension Instruction {
    /// Stages or images that the instruction takes files from.
    var sourceReferences: [String] {
        switch kind {
        case .copy(let copy): copy.from.map { [$0] } ?? []
        case .run(let run): run.mounts.compactMap(\.from)
        default: []
        }
    }
}

extension WordExpander {
    /// One word, with failures as a build's.
    func building(_ text: String) throws(BuildError) -> String {
        do { return try word(text) } catch { throw BuildError(.failed, error.description) }
    }
}
