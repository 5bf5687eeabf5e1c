internal import Dispatch
internal import Glibc
internal import Linux
internal import Logging

/// Removes containers' directories off the path of whoever waits: they are renamed away at once, and deleted afterwards on
/// a thread of their own. What a crash leaves half deleted goes at the next start.
final class ContainerDirectories: Sendable {
    private let configuration: EngineConfiguration
    private let logger: Logger
    private let worker = DispatchQueue(label: "clipper.directories", qos: .utility)

    init(configuration: EngineConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    private var trashes: [String] { ["\(configuration.containersDirectory)/.trash", "\(configuration.execRoot)/containers/.trash"] }

    /// Blocks for two renames. Afterwards nothing is left under the container's paths.
    func discard(_ id: String) throws(SystemError) {
        let paths = configuration.paths(of: id)
        for (path, trash) in zip([paths.data, paths.run], trashes) {
            let target = "\(trash)/\(id)"
            if rename(path, target) == 0 { continue }
            if errno == ENOENT && !Files.exists(path) { continue }
            try Files.makeDirectories(trash, mode: 0o700)
            // Something of the name lies there when an earlier removal was cut short.
            try Files.removeTree(target)
            try retrying("rename", path) { rename(path, target) }
        }
        empty(only: id)
    }

    /// Deletes what has been discarded, of one container or of all.
    func empty(only id: String? = nil) {
        worker.async { [self] in
            for trash in trashes {
                let names = id.map { [$0] } ?? ((try? Files.list(trash)) ?? [])
                for name in names {
                    do throws(SystemError) {
                        let path = "\(trash)/\(name)"
                        try ProjectQuotas.removeTree(path, limitedAt: "\(path)/upper", root: configuration.containersDirectory)
                    } catch {
                        logger.warning("cannot delete a removed container's files", metadata: ["error": "\(error)"])
                    }
                }
            }
        }
    }
}
