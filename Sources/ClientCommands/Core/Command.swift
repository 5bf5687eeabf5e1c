internal import ClientUI

/// One command: what it is called, what it takes, and what it does.
struct Command: Sendable {
    /// The name first shown, then every other one; each with its noun: `container ls`, `ps`.
    let names: [String]
    let summary: String
    /// What stands behind the name in the usage line.
    let usage: String
    let arity: Arity
    /// False where the first word ends the flags (`run`, `exec`).
    let interspersed: Bool
    /// Exit code when the command can't be carried out at all: 125 for `run`.
    let failureCode: Int32
    /// Works on files of this machine alone: the engine's address need not be known.
    let isLocal: Bool
    let flags: @Sendable () -> [Flag]
    let run: @Sendable (Context) throws -> Int32

    init(
        _ names: String..., summary: String, usage: String = "", arity: Arity = .none, interspersed: Bool = true, failureCode: Int32 = 1,
        isLocal: Bool = false, flags: @autoclosure @escaping @Sendable () -> [Flag] = [], run: @escaping @Sendable (Context) throws -> Int32
    ) {
        self.names = names
        self.summary = summary
        self.usage = usage
        self.arity = arity
        self.interspersed = interspersed
        self.failureCode = failureCode
        self.isLocal = isLocal
        self.flags = flags
        self.run = run
    }
}

/// How many arguments a command takes.
enum Arity: Sendable {
    case none, any
    case exactly(Int), atLeast(Int), atMost(Int)
    case between(Int, Int)

    /// Docker's words for a wrong count; nil when it is right.
    func objection(to count: Int) -> String? {
        switch self {
        case .none: count == 0 ? nil : "accepts no arguments"
        case .any: nil
        case .exactly(let wanted): count == wanted ? nil : "requires \(wanted) \(Self.noun(wanted))"
        case .atLeast(let least): count >= least ? nil : "requires at least \(least) \(Self.noun(least))"
        case .atMost(let most): count <= most ? nil : "requires at most \(most) \(Self.noun(most))"
        case .between(let least, let most):
            (least...most).contains(count) ? nil : "requires at least \(least) and at most \(most) \(Self.noun(most))"
        }
    }

    private static func noun(_ count: Int) -> String { count == 1 ? "argument" : "arguments" }
}

/// A command that failed: what to print and the exit code.
struct Failure: Error {
    let message: String
    let code: Int32
    /// The command line itself is wrong: the usage line follows the message.
    let isUsage: Bool

    init(_ message: String, code: Int32 = 1, isUsage: Bool = false) {
        self.message = message
        self.code = code
        self.isUsage = isUsage
    }

    /// A flag whose value its own grammar refuses, in pflag's words.
    static func flag(_ label: String, _ value: String, _ reason: String) -> Failure {
        Failure("invalid argument \(quoted(value)) for \"\(label)\" flag: \(reason)", code: 125, isUsage: true)
    }

    static func notImplemented(_ what: String) -> Failure { Failure("not implemented: \(what)") }
}

/// One line for any error that a command may throw.
func message(of error: any Error) -> String {
    switch error {
    case let failure as Failure: failure.message
    case let error as TemplateError: "template parsing error: \(error)"
    default: "\(error)"
    }
}
