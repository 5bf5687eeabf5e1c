internal import EngineTypes
internal import Images
internal import Linux
internal import OCIRuntimeSpec

/// Makes the OCI process of a command that runs in a container beside its first process.
struct ExecProcesses: Sendable {
    let images: ImageStore
    let configuration: EngineConfiguration

    /// The OCI process of an exec: the container's own, with what the request changes.
    func process(
        _ container: Container, request wanted: ExecCreateRequest, arguments: [String], consoleSize: [Int]?
    ) async throws -> Spec.Process {
        let record = container.record
        let paths = configuration.paths(of: container.id)
        return try await offloading { [images] in
            var spec = try Spec(parsing: try Files.read(paths.config))
            guard var process = spec.process.take() else { throw EngineError(.system, "config.json of \(record.id) has no process") }
            process.args = arguments
            process.terminal = wanted.Tty == true
            process.consoleSize = nil
            if let size = consoleSize, size.count == 2, size[0] > 0, size[1] > 0 {
                process.consoleSize = Spec.ConsoleSize(height: UInt16(clamping: size[0]), width: UInt16(clamping: size[1]))
            }
            if let directory = wanted.WorkingDir, !directory.isEmpty { process.cwd = directory }
            let given = wanted.Env ?? []
            let names = Set(given.map { $0.prefix { $0 != "=" } })
            process.env = process.env.filter { !names.contains($0.prefix { $0 != "=" }) } + given.filter { $0.contains("=") }
            if wanted.Tty == true && !process.env.contains(where: { $0.hasPrefix("TERM=") }) { process.env.append("TERM=xterm") }
            if let user = wanted.User, !user.isEmpty {
                let layers = images.layerDirectories(of: try images.image(record.imageID))
                let account = try UserLookup(files: LayeredFiles(layers: [paths.upper] + layers)).resolve(
                    user, extraGroups: record.hostConfig.GroupAdd ?? [])
                process.user = Spec.User(uid: account.uid, gid: account.gid, additionalGids: account.additionalGroups)
                // One that the container or the request was given goes before the user's own.
                if !((record.config.Env ?? []) + given).contains(where: { $0.hasPrefix("HOME=") }) {
                    process.env = process.env.filter { !$0.hasPrefix("HOME=") } + ["HOME=\(account.home)"]
                }
                let bounding = process.capabilities?.bounding ?? []
                process.capabilities = SpecBuilder.capabilities(bounding, uid: account.uid)
            }
            if wanted.Privileged == true {
                process.capabilities = SpecBuilder.capabilities(CapabilitySet.available, uid: process.user.uid)
            }
            // The container's profile also for a privileged command, as in Docker.
            try configuration.appArmor?.prepare(process.apparmorProfile)
            return process
        }
    }
}
