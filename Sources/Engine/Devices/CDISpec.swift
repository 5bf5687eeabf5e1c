internal import JSON

/// One file of the Container Device Interface (CNCF CDI specification 0.8): what a container needs to use a vendor's devices.
struct CDISpec: Decodable, Equatable {
    var cdiVersion: String
    /// `vendor.com/class`
    var kind: String
    var devices: [Device]
    var containerEdits: Edits?

    struct Device: Decodable, Equatable {
        var name: String
        var containerEdits: Edits
    }

    /// What is changed in the container's configuration.
    struct Edits: Decodable, Equatable {
        var env: [String]?
        var deviceNodes: [Node]?
        var hooks: [Hook]?
        var mounts: [Mount]?
        var additionalGids: [UInt32]?
        var intelRdt: JSONValue?
        var netDevices: [JSONValue]?
    }

    struct Node: Decodable, Equatable {
        var path: String
        var hostPath: String?
        /// `c`, `u`, `b` or `p`; as the host's node is when absent.
        var type: String?
        var major: Int64?
        var minor: Int64?
        var fileMode: UInt32?
        var permissions: String?
        var uid: UInt32?
        var gid: UInt32?
    }

    struct Mount: Decodable, Equatable {
        var hostPath: String
        var containerPath: String
        var options: [String]?
        var type: String?
    }

    struct Hook: Decodable, Equatable {
        var hookName: String
        var path: String
        var args: [String]?
        var env: [String]?
        var timeout: Int?
    }

    /// What is wrong with it; nil when it can be used.
    var problem: String? {
        let parts = kind.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ CDIDeviceName.isName($0) }) else { return "invalid kind \"\(kind)\"" }
        if devices.isEmpty { return "no devices" }
        var seen: Set<String> = []
        for device in devices {
            guard CDIDeviceName.isDevice(device.name) else { return "invalid device name \"\(device.name)\"" }
            guard seen.insert(device.name).inserted else { return "device \"\(device.name)\" is there twice" }
        }
        return nil
    }
}

/// A device's whole name, `vendor.com/class=device`.
struct CDIDeviceName: Hashable, CustomStringConvertible {
    let kind: String
    let device: String

    var description: String { "\(kind)=\(device)" }

    init(kind: String, device: String) {
        self.kind = kind
        self.device = device
    }

    init?(_ text: String) {
        let halves = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        let parts = halves[0].split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ Self.isName($0) }), Self.isDevice(halves[1]) else { return nil }
        self.init(kind: String(halves[0]), device: String(halves[1]))
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }

    /// A vendor or class: a letter, then letters, digits, `_`, `-` and `.`, not ending in one of these.
    static func isName(_ text: some StringProtocol) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, isAlphanumeric(first), !(48...57).contains(first) else { return false }
        return isAlphanumeric(last) && bytes.allSatisfy { isAlphanumeric($0) || "_-.".utf8.contains($0) }
    }

    /// A device: as a class, with `:` besides, and it may begin with a digit.
    static func isDevice(_ text: some StringProtocol) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, isAlphanumeric(first), isAlphanumeric(last) else { return false }
        return bytes.allSatisfy { isAlphanumeric($0) || "_-.:".utf8.contains($0) }
    }
}
