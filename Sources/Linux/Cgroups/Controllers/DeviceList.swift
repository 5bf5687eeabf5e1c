/// The device rules of a container, checked and brought to the form that both cgroup versions can carry out.
///
/// Reading of the OCI list, the same on v1 and v2: it starts from "nothing is allowed"; each rule overrides the earlier
/// ones where they overlap; a rule of kind `a` starts anew.
struct DeviceList: Hashable {
    /// What holds where no exception does.
    private(set) var allowsByDefault = false
    /// The rules behind the last `a`, in order.
    private(set) var rules: [DeviceRule] = []

    init(_ list: [DeviceRule]) throws {
        for rule in list {
            for number in [rule.major, rule.minor] {
                if let number, number > Int32.max { throw CgroupError.invalid(setting: "devices", reason: "\(number) is no device number") }
            }
            if rule.kind != .all {
                rules.append(rule)
            } else if rule.major != nil || rule.minor != nil || rule.access != .all {
                // The kernel would read such a rule as "everything".
                throw CgroupError.invalid(setting: "devices", reason: "a rule of type a is for all devices and all access")
            } else {
                allowsByDefault = rule.allow
                rules = []
            }
        }
    }

    /// One entry of v1's list: which devices, by kind and numbers.
    struct Key: Hashable {
        let kind: DeviceRule.Kind
        let major: UInt32?
        let minor: UInt32?

        /// As devices.allow takes it: `c 1:*`.
        var text: String { "\(kind.rawValue) \(major.map { "\($0)" } ?? "*"):\(minor.map { "\($0)" } ?? "*")" }

        /// Whether some device is named by both.
        func overlaps(_ other: Key) -> Bool {
            kind == other.kind && (major == nil || other.major == nil || major == other.major)
                && (minor == nil || other.minor == nil || minor == other.minor)
        }
    }

    /// v1's form: exceptions to the default. Throws `unsupported` for a list that takes back a part of an earlier
    /// rule (`allow c *:*`, then `deny c 1:3`): v1 has no holes, and would silently leave it open.
    func exceptions() throws -> [Key: DeviceRule.Access] {
        var result: [Key: DeviceRule.Access] = [:]
        for rule in rules {
            let key = Key(kind: rule.kind, major: rule.major, minor: rule.minor)
            if rule.allow != allowsByDefault {
                result[key, default: []].formUnion(rule.access)
                continue
            }
            let cut = result.first { $0.key != key && $0.key.overlaps(key) && !$0.value.isDisjoint(with: rule.access) }
            if let cut {
                throw CgroupError.unsupported(
                    setting: "devices", reason: "cgroup v1 cannot take \(key.text) out of \(cut.key.text)")
            }
            result[key]?.subtract(rule.access)
            if result[key]?.isEmpty == true { result[key] = nil }
        }
        return result
    }

    /// Brings a v1 cgroup to this list. Access that stays is never taken away in between, so that `update` does not
    /// disturb a running container.
    func apply(toV1 directory: CgroupDirectory) throws {
        let wanted = try exceptions()
        let present = Self.parse((try? directory.read("devices.list")) ?? "")
        if present.allowsAll {
            if allowsByDefault && wanted.isEmpty { return }
            try directory.set(allowsByDefault ? "devices.allow" : "devices.deny", "a", for: "devices")
        } else if allowsByDefault {
            try directory.set("devices.allow", "a", for: "devices")
        }
        // With default "deny" the list names what is allowed; with default "allow" the kernel does not list its exceptions.
        let held = present.allowsAll || allowsByDefault ? [:] : present.entries
        let (add, take) = allowsByDefault ? ("devices.deny", "devices.allow") : ("devices.allow", "devices.deny")
        let missing = Self.lines(wanted.map { ($0.key, $0.value.subtracting(held[$0.key] ?? [])) })
        let surplus = Self.lines(held.map { ($0.key, $0.value.subtracting(wanted[$0.key] ?? [])) })
        do {
            try directory.write(add, lines: missing)
            try directory.write(take, lines: surplus)
        } catch { throw SystemError("set devices: \(error.operation)", error.subject, code: error.code) }
    }

    private static func lines(_ entries: [(key: Key, access: DeviceRule.Access)]) -> [String] {
        entries.filter { !$0.access.isEmpty }.map { "\($0.key.text) \($0.access.letters)" }.sorted()
    }

    /// devices.list: `a *:* rwm` for everything, or one line per allowed entry.
    private static func parse(_ text: String) -> (allowsAll: Bool, entries: [Key: DeviceRule.Access]) {
        var entries: [Key: DeviceRule.Access] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split { $0 == " " || $0 == ":" }
            guard fields.count == 4, let kind = DeviceRule.Kind(rawValue: String(fields[0])),
                let access = DeviceRule.Access(String(fields[3]))
            else { continue }
            if kind == .all { return (true, [:]) }
            entries[Key(kind: kind, major: UInt32(fields[1]), minor: UInt32(fields[2])), default: []].formUnion(access)
        }
        return (false, entries)
    }
}
