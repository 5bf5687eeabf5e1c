/// One instruction with its arguments, unexpanded.
public struct Instruction: Sendable, Equatable {
    public var kind: Kind
    /// The instruction as one line: continued lines joined, comments gone, heredoc bodies left out. What `Step 1/2 :` shows.
    public var original: String
    /// The lines of the file it came from, heredoc bodies included.
    public var lines: ClosedRange<Int>

    public init(kind: Kind, original: String, lines: ClosedRange<Int>) {
        self.kind = kind
        self.original = original
        self.lines = lines
    }

    /// What the instruction does. *expands* marks arguments in which variables are substituted.
    public enum Kind: Sendable, Equatable {
        /// expands: image and platform, with global ARGs only
        case from(FromInstruction)
        /// expands: names and values
        case arg([ArgumentDeclaration])
        /// expands: names and values
        case env([KeyValue])
        /// expands: names and values
        case label([KeyValue])
        case run(RunInstruction)
        case cmd(CommandLine)
        case entrypoint(CommandLine)
        /// expands, and a value may be several words
        case expose([String])
        /// expands
        case volume([String])
        /// expands
        case user(String)
        /// expands
        case workdir(String)
        /// expands: paths, chown, chmod, heredocs whose name isn't quoted
        case copy(CopyInstruction)
        /// expands: as COPY, and the checksum
        case add(AddInstruction)
        case healthcheck(HealthcheckInstruction)
        case onbuild(String)
        case shell([String])
        /// expands
        case stopsignal(String)
        case maintainer(String)
    }

    /// The instruction's word, upper case.
    public var name: String {
        switch kind {
        case .from: "FROM"
        case .arg: "ARG"
        case .env: "ENV"
        case .label: "LABEL"
        case .run: "RUN"
        case .cmd: "CMD"
        case .entrypoint: "ENTRYPOINT"
        case .expose: "EXPOSE"
        case .volume: "VOLUME"
        case .user: "USER"
        case .workdir: "WORKDIR"
        case .copy: "COPY"
        case .add: "ADD"
        case .healthcheck: "HEALTHCHECK"
        case .onbuild: "ONBUILD"
        case .shell: "SHELL"
        case .stopsignal: "STOPSIGNAL"
        case .maintainer: "MAINTAINER"
        }
    }
}

/// `FROM [--platform=P] image [AS name]`.
public struct FromInstruction: Sendable, Equatable {
    public var image: String
    /// Lower case.
    public var name: String?
    public var platform: String?
}

/// A command in one of its two forms.
public enum CommandLine: Sendable, Equatable {
    /// `CMD echo $x`: for the shell to read.
    case shell(String)
    /// `CMD ["echo", "x"]`: argv.
    case exec([String])
}

/// `NAME=value` with the value as written, quotes and escapes included: expansion takes them away.
public struct KeyValue: Sendable, Equatable {
    public var key: String
    public var value: String

    public init(key: String, value: String) {
        self.key = key
        self.value = value
    }
}

/// One name of an ARG, with its default as written.
public struct ArgumentDeclaration: Sendable, Equatable {
    public var name: String
    public var defaultValue: String?
}

/// `RUN [--mount=…] [--network=…] [--security=…] command`.
public struct RunInstruction: Sendable, Equatable {
    public var command: CommandLine
    public var mounts: [MountFlag]
    /// `default`, `none` or `host`; nil when not given.
    public var network: String?
    /// `sandbox` or `insecure`; nil when not given.
    public var security: String?
    /// `--device`, as written.
    public var devices: [String]
    public var heredocs: [Heredoc]
}

/// What COPY and ADD share.
public struct TransferInstruction: Sendable, Equatable {
    /// Paths; where a heredoc stands instead of a path it is in `heredocs` and not here.
    public var sources: [String]
    public var destination: String
    public var heredocs: [Heredoc]
    public var chown: String?
    public var chmod: String?
    public var isLink: Bool
    public var excludes: [String]
}

public struct CopyInstruction: Sendable, Equatable {
    public var transfer: TransferInstruction
    /// A stage's name or number, or an image.
    public var from: String?
    public var keepsParents: Bool
}

public struct AddInstruction: Sendable, Equatable {
    public var transfer: TransferInstruction
    public var keepsGitDirectory: Bool
    public var checksum: String?
    /// Whether archives are unpacked; nil for the rule (local ones are, downloaded ones are not).
    public var unpacks: Bool?
}

/// HEALTHCHECK: `NONE`, or a command with its timing.
public enum HealthcheckInstruction: Sendable, Equatable {
    case none
    case command(CommandLine, HealthcheckTiming)
}

/// Nanoseconds, and a count; 0 stands for Docker's default.
public struct HealthcheckTiming: Sendable, Equatable {
    public var interval: Int64 = 0
    public var timeout: Int64 = 0
    public var startPeriod: Int64 = 0
    public var startInterval: Int64 = 0
    public var retries = 0

    public init() {}
}

/// A document inside the Dockerfile.
public struct Heredoc: Sendable, Equatable {
    /// The word after `<<`, without quotes.
    public var name: String
    /// The lines between, each with its newline, unexpanded. With `<<-` tabs at the beginning of lines are already taken away.
    public var content: String
    /// The same, tabs kept: what a shell reads.
    public var rawContent: String
    /// False when the name was quoted.
    public var expands: Bool
    /// `<<-`.
    public var stripsTabs: Bool
    /// The descriptor before `<<`: 0 when there is none.
    public var descriptor: Int
}
