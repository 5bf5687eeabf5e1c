internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec
internal import Systemd

/// A container's cgroup as a scope unit of systemd (`--systemd-cgroup`).
///
/// systemd makes no scope without a process in it, and the container's first process is to be born in its cgroup. So a
/// process that does nothing holds the scope until the container is in there; it dies with its parent.
struct SystemdScope: ~Copyable {
    private let holder: ClonedProcess

    /// Runs `body` with the scope made, and the number of the process that holds it; without one, and nil, where systemd does
    /// not make the container's cgroup. After a failure there is no scope.
    static func around<T: ~Copyable>(_ plan: ContainerPlan, _ body: (Int32?) throws -> T) throws -> T {
        guard let unit = plan.systemdUnit else { return try body(nil) }
        let scope = try start(plan, unit)
        defer { withExtendedLifetime(scope) {} }
        do { return try body(scope.pid) } catch {
            try? stop(unit.name)
            throw error
        }
    }

    /// Makes the scope. The cgroups are there afterwards.
    private static func start(_ plan: ContainerPlan, _ unit: SystemdUnit) throws -> SystemdScope {
        let holder = try ClonedProcess.clone(namespaces: 0) {
            clp_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0, 0)
            while true { _ = Glibc.pause() }
        }
        do {
            let manager = try SystemdManager.connect()
            let isUnified = plan.cgroupLayout.version == .v2
            let limits = try ScopeProperties.creation(plan.cgroupResources, isUnified: isUnified, version: manager.version)
            let properties = limits + (try UnitAnnotations.properties(plan.spec.annotations))
            try manager.startScope(unit, process: holder.pid, properties: properties)
        } catch {
            holder.killAndReap()
            throw error
        }
        return SystemdScope(holder: holder)
    }

    /// The process that holds the scope.
    private var pid: Int32 { holder.pid }

    /// Lets go: the scope stays for as long as the container is in it.
    deinit { holder.killAndReap() }

    /// Ends the scope and makes systemd forget it.
    static func stop(_ unit: String) throws { try SystemdManager.connect().stop(unit) }

    /// Tells systemd the new limits before they are written: it would write its old ones back some day.
    static func update(_ unit: String, _ resources: CgroupResources, isUnified: Bool) throws {
        let manager = try SystemdManager.connect()
        var properties = try ScopeProperties.properties(resources, isUnified: isUnified, version: manager.version)
        properties += ScopeProperties.devices(resources.devices)
        try manager.set(properties, of: unit)
    }
}
