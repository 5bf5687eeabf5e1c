public import Glibc

/// A system call that failed: what was tried, on what, and the kernel's answer.
///
/// Its description is one line for a user: `mount overlay on /x: too many levels of symbolic links`.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was tried, in the words of the caller: `open`, `mount overlay on`.
    public let operation: String
    /// The object of the operation, usually a path; empty when there is none.
    public let subject: String
    /// The kernel's error number (errno(3)).
    public let code: Int32

    public init(_ operation: String, _ subject: String = "", code: Int32 = errno) {
        self.operation = operation
        self.subject = subject
        self.code = code
    }

    /// The C library's text for `code`, in lower case.
    public var reason: String { Self.text(of: code) }

    public var description: String {
        subject.isEmpty ? "\(operation): \(reason)" : "\(operation) \(subject): \(reason)"
    }

    /// The C library's text for an error number, in lower case as Go prints it.
    public static func text(of code: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        guard strerror_r(code, &buffer, buffer.count) == 0 else { return "errno \(code)" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).lowercased()
    }
}

/// Calls `body` until it answers something other than EINTR; -1 becomes a `SystemError`.
@discardableResult
@inline(__always)
public func retrying<Result: SignedInteger>(
    _ operation: @autoclosure () -> String, _ subject: @autoclosure () -> String = "", _ body: () -> Result
) throws(SystemError) -> Result {
    while true {
        let result = body()
        if result != -1 { return result }
        let code = errno
        if code != EINTR { throw SystemError(operation(), subject(), code: code) }
    }
}
