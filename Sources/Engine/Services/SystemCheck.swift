public import EngineTypes
internal import Images
internal import Linux
internal import OCIImageSpec

extension SystemService {
    /// Looks at images, their layers and contents, and at what containers stand on. See `ImageStore.check`.
    public func check(deep: Bool, repair: Bool) async throws -> SystemCheck {
        let report = try await offloading { [images] in try images.check(isDeep: deep, repairs: repair) }
        var answer = SystemCheck()
        (answer.Layers, answer.Contents, answer.Images) = (report.layers, report.contents, report.images)
        (answer.BytesRead, answer.Deep) = (report.bytes, deep)
        answer.Findings = report.findings.map {
            .init(Kind: $0.kind.rawValue, Subject: $0.subject, Message: $0.message, Repair: $0.repair)
        }
        let all = containers.store.all
        answer.Containers = all.count
        for container in all.sorted(by: { $0.id < $1.id }) { answer.Findings += await check(container.record) }
        return answer
    }

    public func pruneStreams() async throws -> StreamPrune {
        let dropped = try await offloading { [images] in try images.dropStreams() }
        return StreamPrune(
            Layers: dropped.layers.map(\.description), SpaceReclaimed: dropped.reclaimed,
            Kept: dropped.kept.sorted { $0.key < $1.key }.map { .init(Layer: $0.key.description, Reason: $0.value) })
    }

    private func check(_ record: ContainerRecord) async -> [SystemCheck.Finding] {
        let name = "container \(record.id.prefix(12)) (\(record.name))"
        func finding(_ message: String) -> SystemCheck.Finding {
            .init(Kind: "container", Subject: record.id, Message: "\(name) \(message)")
        }
        let upper = containers.configuration.paths(of: record.id).upper
        let (hasImage, hasUpper) =
            (try? await offloading { [images] in ((try? images.image(record.imageID)) != nil, Files.isDirectory(upper)) }) ?? (false, false)
        var findings: [SystemCheck.Finding] = []
        // Removed since the list was taken: nothing is missing.
        guard (try? containers.store.find(record.id)) != nil else { return [] }
        if !hasImage { findings.append(finding("stands on image \(record.imageID.dropFirst(7).prefix(12)), which is missing or damaged")) }
        if !hasUpper { findings.append(finding("has lost its writable layer \(upper)")) }
        return findings
    }
}
