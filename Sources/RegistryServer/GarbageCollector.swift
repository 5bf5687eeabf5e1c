internal import CLinux
internal import Glibc
internal import Linux
internal import Logging
internal import OCIImageSpec

/// Removes what nothing names: blobs that no manifest of their repository needs, and on request manifests without tag that
/// nothing else names. Works while the registry serves.
///
/// What a push has under way is safe by two rules. Content younger than the grace time stays; pushing a blob, mounting it, and
/// asking for it with HEAD make it young. And the moment that counts, "look once more, then remove", has the gate for itself:
/// no manifest is stored and no blob found for a push meanwhile.
struct GarbageCollector: Sendable {
    let storage: any RegistryStorage
    let uploads: Uploads
    let gate: RegistryGate
    let configuration: RegistryConfiguration.GarbageCollection
    let logger: Logger

    /// What one run has done.
    struct Report: Sendable, Equatable {
        var manifests = 0
        var blobs = 0
        var uploads = 0
        /// Bytes given free.
        var bytes = 0
    }

    /// One run over everything.
    func collect(isDryRun: Bool = false) async throws -> Report {
        let now = Int64(time(nil))
        let deadline = now - Int64(configuration.grace)
        var report = Report()
        for name in try await storage.allRepositories() { try await collect(name, deadline, isDryRun, &report) }
        if !isDryRun {
            report.uploads = try await uploads.expire(olderThan: now - Int64(configuration.uploads))
            report.bytes += try await gate.alone { try await storage.sweep(olderThan: deadline) }
        }
        return report
    }

    private func collect(_ name: String, _ deadline: Int64, _ isDryRun: Bool, _ report: inout Report) async throws {
        // Without the gate first: reading manifests takes its time.
        var known = Marks()
        try await mark(name, &known)
        let old = try await storage.contents(of: name).filter { $0.modified < deadline }
        let doomed = configuration.untagged ? known.untagged.filter { digest in old.contains { $0.digest == digest } } : []
        guard !doomed.isEmpty || old.contains(where: { !known.used.contains($0.digest) }) else { return }
        if isDryRun {
            var left = known
            left.forget(Set(doomed))
            report.manifests += doomed.count
            for content in old where !left.used.contains(content.digest) && !doomed.contains(content.digest) {
                report.blobs += 1
                report.bytes += try await storage.blob(content.digest, in: name)?.size ?? 0
            }
            return
        }
        let before = known
        let done = try await gate.alone { () -> Report in
            var known = before
            var report = Report()
            try await mark(name, &known)
            if configuration.untagged {
                // Looked at anew: one may have been tagged or referred to since.
                let still = Set(doomed).intersection(known.untagged)
                for digest in still where try await storage.removeManifest(digest, from: name) {
                    report.manifests += 1
                    logger.info("manifest collected", metadata: ["repository": "\(name)", "digest": "\(digest)"])
                }
                known.forget(still)
            }
            for content in old where !known.used.contains(content.digest) {
                let freed = try await storage.discard(content.digest, from: name, olderThan: deadline)
                report.bytes += freed
                report.blobs += 1
                logger.info("content collected", metadata: ["repository": "\(name)", "digest": "\(content.digest)", "bytes": "\(freed)"])
            }
            return report
        }
        report.manifests += done.manifests
        report.blobs += done.blobs
        report.bytes += done.bytes
    }

    /// What the manifests of a repository need.
    private struct Marks {
        var entries: [Digest: ManifestEntry] = [:]
        /// What each needs, by what it names.
        var needs: [Digest: [Digest]] = [:]

        var used: Set<Digest> {
            var all = Set(entries.keys)
            for digest in entries.keys { all.formUnion(needs[digest] ?? []) }
            return all
        }

        /// Manifests that no tag reaches: not by name, not inside a tagged index, not as referrer to one of those.
        var untagged: [Digest] {
            var reached: Set<Digest> = []
            var waiting = entries.values.filter { !$0.tags.isEmpty }.map(\.digest)
            let referrers = Dictionary(grouping: entries.values.filter { $0.subject != nil }) { $0.subject }
            while let digest = waiting.popLast() {
                guard reached.insert(digest).inserted else { continue }
                waiting += (needs[digest] ?? []).filter { entries[$0] != nil }
                waiting += (referrers[digest] ?? []).map(\.digest)
            }
            return entries.keys.filter { !reached.contains($0) }
        }

        mutating func forget(_ digests: Set<Digest>) {
            for digest in digests {
                entries[digest] = nil
                needs[digest] = nil
            }
        }
    }

    /// Reads the manifests that aren't known yet. One that can't be read ends the run: what it needs isn't known.
    private func mark(_ name: String, _ marks: inout Marks) async throws {
        let entries = try await storage.manifests(in: name)
        marks.entries = Dictionary(entries.map { ($0.digest, $0) }) { first, _ in first }
        for entry in entries where marks.needs[entry.digest] == nil {
            guard let bytes = try await storage.manifestBytes(entry.digest, in: name) else {
                logger.warning("manifest has no content", metadata: ["repository": "\(name)", "digest": "\(entry.digest)"])
                continue
            }
            marks.needs[entry.digest] = PushedManifest.references(in: bytes)
        }
    }
}
