internal import CLinux
internal import Glibc

extension CgroupDirectory {
    /// The processes directly in this cgroup.
    func processIDs() throws(SystemError) -> [Int32] {
        let text: String
        do { text = try read("cgroup.procs") } catch {
            // Removed meanwhile: nobody is in it.
            if error.code == ENOENT || error.code == ENODEV { return [] }
            throw error
        }
        return text.split(separator: "\n").compactMap { Int32($0) }
    }

    /// The child cgroups; none when this one is gone.
    var children: [CgroupDirectory] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            guard entry.pointee.d_type == UInt8(DT_DIR) || entry.pointee.d_type == UInt8(DT_UNKNOWN) else { continue }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            if entry.pointee.d_type == UInt8(DT_UNKNOWN) && !Files.isDirectory("\(path)/\(name)") { continue }
            names.append(name)
        }
        return names.map {
            CgroupDirectory(mountPoint: mountPoint, relative: "\(relative)/\($0)", controllers: controllers, isUnified: isUnified)
        }
    }

    /// The processes in this cgroup and below it.
    func processIDsOfTree() throws(SystemError) -> [Int32] {
        var result = try processIDs()
        for child in children { result += try child.processIDsOfTree() }
        return result
    }
}

extension CgroupManager {
    /// The hierarchy that answers who is in the cgroup: cgroup2 when it stands alone, else a v1 one (a process may
    /// have been put in by something that knows nothing of the cgroup2 beside them).
    var primary: CgroupDirectory? {
        if layout.version == .v2 { return unified }
        return directory(of: "pids") ?? directory(of: "devices") ?? directory(of: "memory") ?? directories.first { !$0.isUnified }
            ?? unified
    }

    /// All processes in the cgroup and in those that the container has made below it. Empty when it is gone.
    public func processes() throws -> [Int32] { try primary?.processIDsOfTree() ?? [] }

    /// Sends a signal to every process. SIGKILL goes by cgroup.kill (Linux 5.14) at once to the whole tree where there
    /// is a cgroup2; all else, and the rest, by freezing, signalling each, and thawing, so that nothing forks past it.
    public func kill(_ signal: Int32 = 9) throws {
        if signal == SIGKILL, let unified, unified.has("cgroup.kill") { try? unified.write("cgroup.kill", "1") }
        // A frozen v1 cgroup takes in the signal but dies only when thawed; rounds catch children of a fork in flight.
        for _ in 0..<(signal == SIGKILL ? 20 : 1) {
            let processes = try processes()
            if processes.isEmpty { return }
            let wasFrozen = isFrozen
            if !wasFrozen && processes.count > 1 { try? freeze() }
            for process in try self.processes() { _ = Glibc.kill(process, signal) }
            if signal == SIGKILL || !wasFrozen { try thaw() }
            if signal == SIGKILL { waitUntilEmpty(milliseconds: 50) }
        }
    }

    /// Takes the cgroup and those below it away in all hierarchies. What is gone already is no error. A cgroup whose
    /// last process is just being buried is busy for a moment: bounded waiting, then EBUSY.
    public func remove() throws {
        var failure: SystemError?
        for directory in directories {
            do { try directory.remove() } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    /// Removes the parent cgroup if nothing is below it; silent when it is in use.
    public func removeEmptyParent() {
        for directory in directories where !directory.parent.relative.isEmpty { _ = rmdir(directory.parent.path) }
    }
}

extension CgroupDirectory {
    /// rmdir, children first. The kernel has no word for "empty now" on v1, so a busy one is asked again after
    /// 1, 2, 4 … ms, a second in all; on v2 cgroup.events tells (`waitUntilEmpty`).
    func remove() throws(SystemError) {
        var pause: UInt32 = 500
        while true {
            if rmdir(path) == 0 || errno == ENOENT { return }
            guard errno == EBUSY || errno == ENOTEMPTY else { throw SystemError("remove cgroup", path) }
            for child in children { try child.remove() }
            if rmdir(path) == 0 || errno == ENOENT { return }
            if pause > 512_000 { throw SystemError("remove cgroup", path, code: EBUSY) }
            if isUnified { _ = waitForEvent("populated", equals: 0, milliseconds: Int32(pause / 1000) + 1) } else { usleep(pause) }
            pause *= 2
        }
    }
}

extension CgroupManager {
    /// Waits until no process is left, at most this long.
    func waitUntilEmpty(milliseconds: Int32) {
        if let unified, unified.waitForEvent("populated", equals: 0, milliseconds: milliseconds) {
            if layout.version == .v2 { return }
        }
        var waited: Int32 = 0
        while waited < milliseconds, let processes = try? self.processes(), !processes.isEmpty {
            usleep(1000)
            waited += 1
        }
    }
}
