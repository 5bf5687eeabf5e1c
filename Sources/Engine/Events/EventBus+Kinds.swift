internal import EngineTypes
internal import Images
internal import OCIImageSpec
public import Volumes

/// What each kind of event tells, as Docker has it.
extension EventBus {
    /// A container's: its labels, name and image, and `more`.
    func publish(_ action: String, of record: ContainerRecord, _ more: [String: String] = [:]) {
        let attributes = (record.config.Labels ?? [:]).merging(["name": record.name, "image": record.imageName]) { $1 }.merging(more) { $1 }
        publish("container", action, id: record.id, attributes: attributes)
    }

    /// An exec's, which is one of its container. Docker leaves a blank behind a command without arguments.
    func publish(_ action: String, ofExec id: String, _ command: [String], in record: ContainerRecord) {
        let words = (command.first ?? "") + " " + command.dropFirst().joined(separator: " ")
        publish("\(action): \(words)", of: record, ["execID": id])
    }

    /// An image's: its labels, and a name, which is its ID where no other is told.
    func publish(_ action: String, of image: Image, name: String? = nil) {
        let id = image.id.description
        publish("image", action, id: id, attributes: (image.config.config?.labels ?? [:]).merging(["name": name ?? id]) { $1 })
    }

    /// A volume's being made or deleted.
    public func publish(_ change: VolumeChange) {
        switch change {
        case .created(let volume): publish("volume", "create", id: volume.name, attributes: ["driver": volume.driver])
        case .removed(let name, let driver): publish("volume", "destroy", id: name, attributes: ["driver": driver])
        }
    }

    /// The volumes that a container begins to use.
    func publishMounts(of record: ContainerRecord) {
        for mount in record.mounts where mount.kind == .volume {
            publish(
                "volume", "mount", id: mount.name,
                attributes: [
                    "driver": "local", "container": record.id, "destination": mount.destination,
                    "read/write": "\(!mount.isReadOnly)", "propagation": "",
                ])
        }
    }

    /// The volumes that a container uses no more.
    func publishUnmounts(of record: ContainerRecord) {
        for mount in record.mounts where mount.kind == .volume {
            publish("volume", "unmount", id: mount.name, attributes: ["driver": "local", "container": record.id])
        }
    }

    /// The end of a prune of one kind, with the bytes that it freed.
    func publishPrune(_ kind: String, reclaimed: Int64?) {
        publish(kind, "prune", id: "", attributes: ["reclaimed": "\(reclaimed ?? 0)"])
    }
}
