internal import JSON
internal import Linux
internal import YAML

/// The devices that CDI files on this host describe, read when they are asked for: vendors' tools write them at any time.
struct CDIRegistry {
    private var devices: [CDIDeviceName: (spec: CDISpec, device: CDISpec.Device)] = [:]
    /// Files that were left out, each with its reason.
    private(set) var problems: [String] = []

    /// - Parameter directories: a device of a later one wins; within one directory a device that two files have is none's.
    init(directories: [String]) {
        for directory in directories {
            var found: [CDIDeviceName: (spec: CDISpec, device: CDISpec.Device)] = [:]
            var claimed: Set<CDIDeviceName> = []
            for name in ((try? Files.list(directory)) ?? []).sorted() where name.hasSuffix(".json") || Self.isYAML(name) {
                guard let spec = read("\(directory)/\(name)") else { continue }
                for device in spec.devices {
                    let key = CDIDeviceName(kind: spec.kind, device: device.name)
                    if claimed.insert(key).inserted {
                        found[key] = (spec, device)
                    } else {
                        found[key] = nil
                        problems.append("\(directory)/\(name): conflicting device \"\(key)\"")
                    }
                }
            }
            devices.merge(found) { $1 }
            for key in claimed where found[key] == nil { devices[key] = nil }
        }
    }

    private static func isYAML(_ name: String) -> Bool { name.hasSuffix(".yaml") || name.hasSuffix(".yml") }

    private mutating func read(_ path: String) -> CDISpec? {
        do {
            let bytes = try Files.read(path, limit: 16 << 20)
            let document = Self.isYAML(path) ? try YAML.parse(bytes, path: path)?.json ?? .null : try JSONValue(parsing: bytes)
            let spec = try JSON.decode(CDISpec.self, from: document)
            if let problem = spec.problem { throw SpecProblem(problem) }
            return spec
        } catch {
            problems.append("\(path): \(error)")
            return nil
        }
    }

    private struct SpecProblem: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    /// The edits for devices in their order; those of a whole file once, before its first device's. The names of devices that are
    /// not there otherwise.
    func edits(for names: [String]) -> Result<[CDISpec.Edits], Unresolvable> {
        var edits: [CDISpec.Edits] = []
        var missing: [String] = []
        var used: [CDISpec] = []
        for text in names {
            guard let name = CDIDeviceName(text), let (spec, device) = devices[name] else {
                missing.append(text)
                continue
            }
            if let common = spec.containerEdits, !used.contains(spec) { edits.append(common) }
            used.append(spec)
            edits.append(device.containerEdits)
        }
        return missing.isEmpty ? .success(edits) : .failure(Unresolvable(names: missing))
    }

    struct Unresolvable: Error { let names: [String] }

    /// All devices' whole names, sorted.
    var names: [String] { devices.keys.map(\.description).sorted() }
}
