internal import CLinux
internal import EngineTypes
internal import Glibc
internal import Linux

extension SystemService {
    /// The media type of `metrics`.
    public static var metricsType: String { MetricsText.contentType }

    /// The daemon's figures for Prometheus, by dockerd's names where dockerd has the same.
    public func metrics() -> String {
        var text = MetricsText()
        let counts = containers.metrics.current
        writeContainers(&text, counts)
        text.single("engine_daemon_health_checks_total", .counter, "Health checks that were run", counts.healthChecks)
        text.single("engine_daemon_health_checks_failed_total", .counter, "Health checks that failed", counts.failedHealthChecks)
        text.single("engine_daemon_events_total", .counter, "Events that were told", bus.publishedCount)
        text.single("engine_daemon_events_subscribers_total", .gauge, "Clients that listen to events", bus.listenerCount)
        text.single("builder_builds_triggered_total", .counter, "Image builds that were begun", counts.builds)
        text.single("builder_builds_failed_total", .counter, "Image builds that failed", counts.failedBuilds)
        writeEngine(&text)
        writeProcess(&text)
        return text.text
    }

    private func writeContainers(_ text: inout MetricsText, _ counts: EngineMetrics.Counts) {
        let states = containers.store.all.map { $0.apiState }
        let paused = states.count { $0.Paused }
        let running = states.count { $0.Running && !$0.Paused }
        let name = "engine_daemon_container_states_containers"
        text.family(name, .gauge, "Containers by their state")
        for (state, count) in [("paused", paused), ("running", running), ("stopped", states.count - paused - running)] {
            text.sample(name, labels: [("state", state)], Double(count))
        }
        let actions = "engine_daemon_container_actions_seconds"
        text.family(actions, .histogram, "Seconds that each action on a container took")
        for action in EngineMetrics.ContainerAction.allCases {
            text.histogram(actions, [("action", action.rawValue)], counts.actions[action] ?? Histogram())
        }
    }

    private func writeEngine(_ text: inout MetricsText) {
        text.family("engine_daemon_engine_info", .gauge, "The engine and the system that it runs on")
        text.sample(
            "engine_daemon_engine_info",
            labels: [
                ("architecture", HostFacts.machine), ("commit", ""), ("daemon_id", identity), ("graphdriver", "overlay2"),
                ("kernel", HostFacts.kernelRelease), ("os", HostFacts.operatingSystem), ("os_type", "linux"),
                ("version", EngineVersion.version),
            ], 1)
        text.single("engine_daemon_engine_cpus_cpus", .gauge, "Processors of the host", HostFacts.processorCount)
        text.single("engine_daemon_engine_memory_bytes", .gauge, "Memory of the host", Int(clamping: HostFacts.totalMemory))
    }

    /// The daemon's own process, by the names that every Prometheus client library has for it.
    private func writeProcess(_ text: inout MetricsText) {
        var usage = rusage()
        _ = getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        text.family("process_cpu_seconds_total", .counter, "Processor time of the daemon")
        text.sample("process_cpu_seconds_total", seconds(usage.ru_utime) + seconds(usage.ru_stime))
        text.single("process_open_fds", .gauge, "Open descriptors of the daemon", (try? Files.list("/proc/self/fd").count) ?? 0)
        // Pages: the whole, and what is resident (proc(5)).
        let pages = ((try? Files.readText("/proc/self/statm")) ?? "").split(separator: " ").prefix(2).compactMap { Int($0) }
        guard pages.count == 2 else { return }
        let size = Int(sysconf(Int32(_SC_PAGESIZE)))
        text.single("process_virtual_memory_bytes", .gauge, "Address space of the daemon", pages[0] * size)
        text.single("process_resident_memory_bytes", .gauge, "Memory of the daemon", pages[1] * size)
    }
}
