internal import Dockerfile
internal import Images
internal import Linux
internal import OCIImageSpec

/// What a stage has come to: the image as it would be if the stage ended here.
struct StageState {
    /// Docker's default, for images that don't have one.
    static let defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    static let defaultShell = ["/bin/sh", "-c"]

    /// Nil on scratch before the first instruction.
    var imageID: Digest?
    /// History and metadata; `config` inside is `run` after each commit.
    var config: ImageConfig
    var run: RunConfig
    /// Bottom first.
    var layers: [Layer]
    /// Whether this stage had a CMD of its own: ENTRYPOINT takes an inherited one away.
    var hasOwnCommand = false
    var arguments: BuildArguments
    let escape: Unicode.Scalar

    init(platform: Platform, arguments: BuildArguments, escape: Unicode.Scalar) {
        config = ImageConfig(platform: platform)
        run = RunConfig()
        layers = []
        self.arguments = arguments
        self.escape = escape
        self.arguments.beginStage()
        addDefaultPath()
    }

    init(image: Image, arguments: BuildArguments, escape: Unicode.Scalar) {
        self.init(platform: image.config.platform, arguments: arguments, escape: escape)
        adopt(image)
        addDefaultPath()
    }

    /// Goes on from an image.
    mutating func adopt(_ image: Image) {
        imageID = image.id
        config = image.config
        run = image.config.config ?? RunConfig()
        layers = image.layers
    }

    private mutating func addDefaultPath() {
        if environmentValue("PATH") == nil { run.env = (run.env ?? []) + [Self.defaultPath] }
    }

    /// Top first, as overlayfs wants them.
    var layerDirectories: [String] { layers.reversed().map(\.directory) }

    var shell: [String] { if let shell = run.shell, !shell.isEmpty { shell } else { Self.defaultShell } }

    func environmentValue(_ name: String) -> String? {
        run.env?.last { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
    }

    var environmentNames: Set<String> {
        Set((run.env ?? []).map { String($0.prefix { $0 != "=" }) })
    }

    /// Replaces a variable where it stands, or appends it.
    mutating func setEnvironment(_ name: String, _ value: String) { run.setEnvironment(name, value) }

    /// Substitutes ENV and, where ENV has no such name, ARG.
    var expander: WordExpander { expander(.init()) }

    func expander(_ options: WordExpander.Options) -> WordExpander {
        WordExpander(escape: escape, options: options) { [self] name in environmentValue(name) ?? arguments.value(name) }
    }

    func absolutePath(_ path: String) -> String { RelativePath.absolute(path, from: run.workingDir ?? "/") }

    /// argv of a command in either form.
    func argumentVector(_ command: CommandLine) -> [String] {
        switch command {
        case .shell(let text): shell + [text]
        case .exec(let words): words
        }
    }

    /// The history's line for a change of configuration: `/bin/sh -c #(nop)  CMD ["x"]`.
    func comment(_ text: String) -> String { (shell + ["#(nop) " + text]).joined(separator: " ") }
}
