internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// The program to be executed: found as a shell would find it, with the words of Docker for what can go wrong.
struct Program {
    let path: String
    let arguments: [String]
    let environment: [String]

    /// Finds the program with the container's own PATH. Runs as the container's user, inside its root.
    static func find(_ process: Spec.Process, environment: [String]) throws(RuntimeError) -> Program {
        let name = process.args[0]
        if name.utf8.contains(UInt8(ascii: "/")) {
            try checkExecutable(name)
            return Program(path: name, arguments: process.args, environment: environment)
        }
        let search = environment.last { $0.hasPrefix("PATH=") }.map { $0.dropFirst(5) } ?? ""
        for directory in search.split(separator: ":") where !name.isEmpty {
            let candidate = directory.hasSuffix("/") ? "\(directory)\(name)" : "\(directory)/\(name)"
            if isExecutableFile(candidate) { return Program(path: candidate, arguments: process.args, environment: environment) }
        }
        throw RuntimeError(kind: .commandNotFound, message: "exec: \"\(name)\": executable file not found in $PATH")
    }

    private static func isExecutableFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR && clp_faccess(path, X_OK) == 0
    }

    private static func checkExecutable(_ path: String) throws(RuntimeError) {
        var status = stat()
        if stat(path, &status) != 0 {
            let code = errno
            let kind: RuntimeError.Kind = code == ENOENT || code == ENOTDIR ? .commandNotFound : .commandNotExecutable
            throw RuntimeError(kind: kind, message: "exec: \"\(path)\": stat \(path): \(SystemError.text(of: code))")
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            throw RuntimeError(kind: .commandNotExecutable, message: "exec: \"\(path)\": is a directory: permission denied")
        }
        if clp_faccess(path, X_OK) != 0 {
            throw RuntimeError(kind: .commandNotExecutable, message: "exec: \"\(path)\": \(SystemError.text(of: errno))")
        }
    }

    /// Becomes the program; comes back only to tell why not.
    func execute() -> RuntimeError {
        let failure = Program.withCStrings(arguments) { argv in
            Program.withCStrings(environment) { envp -> Int32 in
                execve(path, argv, envp)
                return errno
            }
        }
        let kind: RuntimeError.Kind = failure == ENOENT ? .commandNotFound : .commandNotExecutable
        let detail = failure == ENOEXEC ? wrongFormat : ""
        return RuntimeError(kind: kind, message: "exec \(path): \(SystemError.text(of: failure))\(detail)")
    }

    /// What the kernel could not make a program of: e_machine of an ELF file's head (elf(5)) tells its processor.
    private var wrongFormat: String {
        guard let file = try? OwnedFD.open(path, O_RDONLY | O_NONBLOCK) else { return "" }
        var head = [UInt8](repeating: 0, count: 20)
        guard read(file.raw, &head, head.count) == head.count, head.starts(with: [0x7F, 0x45, 0x4C, 0x46]) else {
            return ": it is neither a program nor a script that begins with #!"
        }
        let machine = head[5] == 2 ? Int(head[18]) << 8 | Int(head[19]) : Int(head[19]) << 8 | Int(head[18])
        let names = [
            3: "x86", 8: "MIPS", 21: "POWER", 22: "s390", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V", 258: "LoongArch",
        ]
        return ": it is a program for \(names[machine] ?? "processors of type \(machine)")"
    }

    /// Calls `body` with a zero-terminated array of C strings.
    static func withCStrings<T>(_ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> T) -> T {
        var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        pointers.append(nil)
        var copy = pointers
        return copy.withUnsafeMutableBufferPointer { buffer in
            // The array is never empty: the terminator is in it.
            guard let base = buffer.baseAddress else { preconditionFailure("an array with an element has an address") }
            return body(base)
        }
    }
}
