internal import Glibc
internal import Linux

/// systemd's manager, of the system or of a user, over D-Bus (org.freedesktop.systemd1(5)).
public final class SystemdManager {
    /// Whose units it manages.
    public enum Owner: String, Sendable, CaseIterable {
        case system, user

        /// The manager that the calling process may ask: a user's own, unless it is root.
        public static var current: Owner { geteuid() == 0 ? .system : .user }
    }

    private let bus: BusConnection
    /// The number in `Version`: properties came with versions.
    public let version: Int
    /// The cgroup that all of the manager's units are below; empty for the root.
    public let root: String

    private static let service = "org.freedesktop.systemd1"
    private static let object = "/org/freedesktop/systemd1"
    private static let interface = "org.freedesktop.systemd1.Manager"
    private static let properties = "org.freedesktop.DBus.Properties"

    /// Connects to the system's manager or, for another user than root, to that user's. Throws `BusError.unavailable`
    /// when no systemd runs.
    public static func connect(environment: (String) -> String? = environmentValue) throws -> SystemdManager {
        var failures: [String] = []
        for address in addresses(of: .current, environment: environment) {
            do { return try SystemdManager(try BusConnection(path: address.path), isBroker: address.isBroker) } catch let error as BusError
            {
                guard case .unavailable(let reason) = error else { throw error }
                failures.append(reason)
            }
        }
        throw BusError.unavailable("\(failures.joined(separator: "; ")); is systemd running?")
    }

    public static func environmentValue(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    struct Address: Hashable {
        var path: String
        /// A message broker stands between; it wants a greeting, and to be told what to pass on.
        var isBroker: Bool
    }

    /// Where the manager may be: the bus that the environment names; else its private socket, then the usual bus.
    static func addresses(of owner: Owner, environment: (String) -> String?) -> [Address] {
        let named = environment(owner == .user ? "DBUS_SESSION_BUS_ADDRESS" : "DBUS_SYSTEM_BUS_ADDRESS") ?? ""
        let paths = named.split(separator: ";").compactMap { entry -> Address? in
            guard entry.hasPrefix("unix:") else { return nil }
            let path = entry.dropFirst(5).split(separator: ",").first { $0.hasPrefix("path=") }
            return path.map { Address(path: String($0.dropFirst(5)), isBroker: true) }
        }
        if owner == .system {
            if !paths.isEmpty { return paths }
            return [Address(path: "/run/systemd/private", isBroker: false), Address(path: "/run/dbus/system_bus_socket", isBroker: true)]
        }
        let directory = environment("XDG_RUNTIME_DIR") ?? "/run/user/\(geteuid())"
        return paths + [Address(path: "\(directory)/systemd/private", isBroker: false), Address(path: "\(directory)/bus", isBroker: true)]
    }

    init(_ bus: BusConnection, isBroker: Bool) throws {
        self.bus = bus
        if isBroker {
            let broker = "org.freedesktop.DBus"
            _ = try bus.call(broker, "/org/freedesktop/DBus", broker, "Hello", operation: "greet the message bus")
            let rule = "type='signal',interface='\(Self.interface)',member='JobRemoved'"
            _ = try bus.call(broker, "/org/freedesktop/DBus", broker, "AddMatch", [.string(rule)], operation: "listen to the message bus")
        }
        func property(_ name: String) throws -> String {
            let arguments: [BusValue] = [.string(Self.interface), .string(name)]
            let answer = try bus.call(Self.service, Self.object, Self.properties, "Get", arguments, operation: "read systemd's \(name)")
            return answer.first?.text ?? ""
        }
        version = Int(try property("Version").prefix { $0.isASCII && $0.isNumber }) ?? 0
        // The manager itself is in a unit of its own below that.
        let group = try property("ControlGroup")
        let above = group.hasSuffix("/init.scope") ? String(group.dropLast("/init.scope".count)) : group
        root = above == "/" ? "" : above
    }

    /// The control group that a scope of this manager's is, below each hierarchy's root.
    public func cgroupPath(of unit: SystemdUnit) -> String { root + unit.path }

    /// Makes a scope of the process and waits until it is there (systemd.scope(5)). A failed unit of the same name is
    /// forgotten first.
    public func startScope(_ unit: SystemdUnit, process: Int32, properties: [SystemdProperty]) throws {
        let operation = "start systemd unit \(unit.name)"
        _ = try? bus.call(Self.service, Self.object, Self.interface, "Subscribe", operation: "listen to systemd")
        var all: [SystemdProperty] = [
            .init("Description", .string("container \(unit.name.dropLast(".scope".count))")), .init("Slice", .string(unit.slice)),
            .init("PIDs", .array(of: "u", [.uint32(UInt32(bitPattern: process))])), .init("Delegate", .bool(true)),
            .init("DefaultDependencies", .bool(false)),
        ]
        // What an annotation asks for comes last and wins.
        let names = Set(properties.map(\.name))
        all = all.filter { !names.contains($0.name) } + properties
        let arguments: [BusValue] = [.string(unit.name), .string("replace"), Self.list(all), .array(of: "(sa(sv))", [])]
        func start() throws -> [BusValue] {
            try bus.call(Self.service, Self.object, Self.interface, "StartTransientUnit", arguments, operation: operation)
        }
        let answer: [BusValue]
        do { answer = try start() } catch BusError.refused(_, let name, _) where name == "org.freedesktop.systemd1.UnitExists" {
            try? resetFailed(unit.name)
            answer = try start()
        }
        let result = try jobResult(answer, operation)
        if result != "done" {
            try? resetFailed(unit.name)
            throw BusError.refused(operation: operation, name: "", message: "its job ended as \"\(result)\"")
        }
    }

    /// Ends what is left of a scope and makes systemd forget it. One that is gone is no error.
    public func stop(_ name: String) throws {
        let operation = "stop systemd unit \(name)"
        _ = try? bus.call(Self.service, Self.object, Self.interface, "Subscribe", operation: "listen to systemd")
        do {
            let answer = try bus.call(
                Self.service, Self.object, Self.interface, "StopUnit", [.string(name), .string("replace")], operation: operation)
            _ = try jobResult(answer, operation)
        } catch BusError.refused(_, let name, _) where name == "org.freedesktop.systemd1.NoSuchUnit" {}
        try? resetFailed(name)
    }

    /// Tells a running scope's new limits.
    public func set(_ properties: [SystemdProperty], of name: String) throws {
        if properties.isEmpty { return }
        _ = try bus.call(
            Self.service, Self.object, Self.interface, "SetUnitProperties", [.string(name), .bool(true), Self.list(properties)],
            operation: "set properties of systemd unit \(name)")
    }

    private func resetFailed(_ name: String) throws {
        _ = try bus.call(
            Self.service, Self.object, Self.interface, "ResetFailedUnit", [.string(name)], operation: "reset systemd unit \(name)")
    }

    private func jobResult(_ answer: [BusValue], _ operation: String) throws -> String {
        guard case .objectPath(let job)? = answer.first else { throw BusError.malformed("no job is named") }
        let signal = try bus.signal(operation) { $0.member == "JobRemoved" && $0.body.count >= 4 && $0.body[1].text == job }
        return signal.body[3].text ?? ""
    }

    private static func list(_ properties: [SystemdProperty]) -> BusValue {
        .array(of: "(sv)", properties.map { .structure([.string($0.name), .variant($0.value)]) })
    }
}

/// A property of a unit (org.freedesktop.systemd1(5), systemd.resource-control(5)).
public struct SystemdProperty: Sendable, Hashable {
    public let name: String
    public let value: BusValue

    public init(_ name: String, _ value: BusValue) {
        self.name = name
        self.value = value
    }
}
