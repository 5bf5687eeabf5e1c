internal import Linux
internal import Logging

/// How many descriptors the daemon and the supervisors that it starts may have: as many as the host allows.
enum DescriptorLimit {
    /// Raises the soft RLIMIT_NOFILE to the hard one. What it was, which containers are still to have; nil when nothing was raised.
    static func raise(_ logger: Logger) -> ResourceLimit? {
        do {
            let given = try ResourceLimit.current(.nofile)
            if given.soft >= given.hard { return nil }
            try ResourceLimit(.nofile, soft: given.hard, hard: given.hard).apply()
            return given
        } catch {
            logger.warning("the limit of open files stays low", metadata: ["error": "\(error)"])
            return nil
        }
    }
}
