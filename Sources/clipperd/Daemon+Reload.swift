internal import ClientUI
internal import Engine
internal import Images
internal import JSON
internal import Logging
internal import RegistryClient

// SIGHUP: daemon.json is read again, and what can change in a running daemon does, all at once. A file that cannot be used
// changes nothing.
extension Daemon {
    /// The options that hold from now on: the new ones, or `old` when they cannot be used.
    func reload(_ old: DaemonOptions, _ flags: FlagValues) -> DaemonOptions {
        logger.info("reloading the configuration", metadata: ["file": "\(old.configurationFile)"])
        let new: DaemonOptions
        do throws(OptionError) { new = try DaemonOptions(flags) } catch {
            logger.error("the configuration stays as it was", metadata: ["error": "\(error)"])
            return old
        }
        let later = DaemonOption.all.filter { !$0.isReloadable && old.file[$0.key] != new.file[$0.key] }.map(\.key)
        if !later.isEmpty {
            logger.warning("these keys take effect at the next start", metadata: ["keys": "\(later.joined(separator: ", "))"])
        }
        DaemonLog.set(new)
        live.replace(with: new.live)
        registries.settings = new.registries
        transfers.limits = new.transferLimits
        system.announceReload(new.reloaded)
        logger.info("reloaded the configuration", metadata: new.reloaded.mapValues { "\($0)" })
        return new
    }
}

extension DaemonOptions {
    /// What the engine takes anew while it runs.
    var live: LiveSettings.Values {
        var values = LiveSettings.Values()
        values.runtimes = runtimes
        values.defaultRuntime = defaultRuntime
        values.defaultShmSize = shmSize
        values.labels = labels
        values.isDebug = isDebug
        values.containerDefaults = containerDefaults
        values.registries = registries
        return values
    }

    /// The attributes of the `daemon reload` event: reloadable settings, as dockerd writes them.
    fileprivate var reloaded: [String: String] {
        [
            "debug": "\(isDebug)", "log-level": logLevel, "labels": JSONValue.array(labels.map { .string($0) }).text(),
            "default-ipc-mode": containerDefaults.ipcMode, "features": JSONValue.object(features).goText,
            "shutdown-timeout": "\(shutdownTimeout ?? 5)", "live-restore": "true", "default-runtime": defaultRuntime,
            "default-shm-size": "\(shmSize)", "max-concurrent-downloads": "\(transferLimits.downloads)",
            "max-concurrent-uploads": "\(transferLimits.uploads)", "max-download-attempts": "\(transferLimits.attempts)",
            "insecure-registries": JSONValue.array(registries.insecure.map { .string($0) }).text(),
            "registry-mirrors": JSONValue.array((registries.mirrors["docker.io"] ?? []).map { .string($0) }).text(),
            "runtimes": runtimes.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value.path)" }.joined(separator: " "),
        ]
    }
}
