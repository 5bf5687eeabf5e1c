internal import ClientUI
internal import EngineTypes
internal import Glibc

/// `--mount type=bind,src=/a,dst=/b,readonly`.
enum MountSpec {
    static func parse(_ text: String) throws -> MountRequest {
        var mount = MountRequest()
        mount.Type = "volume"
        for field in try CommaSeparated.fields(text) {
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let key = parts[0].lowercased()
            guard parts.count == 2 else {
                guard try setSwitch(key, &mount, "true", field) else {
                    throw invalid("invalid field '\(field)' must be a key=value pair", text)
                }
                continue
            }
            if try setSwitch(key, &mount, parts[1], field) { continue }
            try set(key, parts[1], &mount, text)
        }
        return try checked(mount, text)
    }

    private static func invalid(_ what: String, _ text: String) -> Failure {
        Failure(what, code: 125)
    }

    /// Fields that may stand without a value.
    private static func setSwitch(_ key: String, _ mount: inout MountRequest, _ value: String, _ field: String) throws -> Bool {
        func flag() throws -> Bool {
            switch value {
            case "true", "1": true
            case "false", "0": false
            default: throw Failure("invalid value for \(key): \(value)", code: 125)
            }
        }
        switch key {
        case "readonly", "ro": mount.ReadOnly = try flag()
        case "volume-nocopy":
            var options = mount.VolumeOptions ?? MountRequest.VolumeOptions()
            options.NoCopy = try flag()
            mount.VolumeOptions = options
        case "bind-nonrecursive":
            var options = mount.BindOptions ?? MountRequest.BindOptions()
            options.NonRecursive = try flag()
            mount.BindOptions = options
        default: return false
        }
        return true
    }

    private static func set(_ key: String, _ value: String, _ mount: inout MountRequest, _ text: String) throws {
        switch key {
        case "type": mount.Type = value.lowercased()
        case "source", "src": mount.Source = value.hasPrefix(".") ? try VolumeSpec.absolute(value) : value
        case "target", "dst", "destination": mount.Target = value
        case "consistency": mount.Consistency = value.lowercased()
        case "bind-propagation", "bind-recursive": try setBind(key, value, &mount, text)
        case "volume-subpath", "volume-driver", "volume-label", "volume-opt": try setVolume(key, value, &mount)
        case "image-subpath":
            var options = mount.ImageOptions ?? MountRequest.ImageOptions()
            options.Subpath = value
            mount.ImageOptions = options
        case "tmpfs-size", "tmpfs-mode": try setTmpfs(key, value, &mount, text)
        default: throw invalid("unexpected key '\(key)' in '\(key)=\(value)'", text)
        }
    }

    private static func setBind(_ key: String, _ value: String, _ mount: inout MountRequest, _ text: String) throws {
        var options = mount.BindOptions ?? MountRequest.BindOptions()
        if key == "bind-propagation" {
            options.Propagation = value.lowercased()
        } else {
            switch value {
            case "enabled": break
            case "disabled": options.NonRecursive = true
            case "writable": options.ReadOnlyNonRecursive = true
            case "readonly": options.ReadOnlyForceRecursive = true
            default:
                throw invalid(
                    "invalid value for bind-recursive: \(value) (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")", text)
            }
        }
        mount.BindOptions = options
    }

    private static func setVolume(_ key: String, _ value: String, _ mount: inout MountRequest) throws {
        var options = mount.VolumeOptions ?? MountRequest.VolumeOptions()
        let pair = value.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        switch key {
        case "volume-subpath": options.Subpath = value
        case "volume-label": options.Labels = (options.Labels ?? [:]).merging([pair[0]: pair.count == 2 ? pair[1] : ""]) { $1 }
        default:
            var driver = options.DriverConfig ?? MountRequest.DriverConfig()
            if key == "volume-driver" {
                driver.Name = value
            } else {
                driver.Options = (driver.Options ?? [:]).merging([pair[0]: pair.count == 2 ? pair[1] : ""]) { $1 }
            }
            options.DriverConfig = driver
        }
        mount.VolumeOptions = options
    }

    private static func setTmpfs(_ key: String, _ value: String, _ mount: inout MountRequest, _ text: String) throws {
        var options = mount.TmpfsOptions ?? MountRequest.TmpfsOptions()
        if key == "tmpfs-size" {
            guard let size = ByteSize.bytes(value) else { throw invalid("invalid value for \(key): \(value)", text) }
            options.SizeBytes = size
        } else {
            guard let mode = Int(value, radix: 8) else { throw invalid("invalid value for \(key): \(value)", text) }
            options.Mode = mode
        }
        mount.TmpfsOptions = options
    }

    private static func checked(_ mount: MountRequest, _ text: String) throws -> MountRequest {
        let type = mount.Type ?? ""
        if type.isEmpty { throw invalid("type is required", text) }
        if mount.Target?.isEmpty ?? true { throw invalid("target is required", text) }
        if type != "volume" && mount.VolumeOptions != nil { throw invalid("cannot mix 'volume-*' options with mount type '\(type)'", text) }
        if type != "bind" && mount.BindOptions != nil { throw invalid("cannot mix 'bind-*' options with mount type '\(type)'", text) }
        if type != "tmpfs" && mount.TmpfsOptions != nil { throw invalid("cannot mix 'tmpfs-*' options with mount type '\(type)'", text) }
        if type != "image" && mount.ImageOptions != nil { throw invalid("cannot mix 'image-*' options with mount type '\(type)'", text) }
        if mount.BindOptions?.ReadOnlyNonRecursive == true || mount.BindOptions?.ReadOnlyForceRecursive == true, mount.ReadOnly != true {
            throw invalid("option 'bind-recursive' requires 'readonly' to be specified in conjunction", text)
        }
        return mount
    }
}

/// `-v [name|/host:]/container[:options]`.
enum VolumeSpec: Equatable {
    /// An anonymous volume: goes into Config.Volumes.
    case anonymous(String)
    /// Goes into HostConfig.Binds, the host path made absolute.
    case bind(String)

    static func parse(_ text: String) throws -> VolumeSpec {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if text.isEmpty { throw Failure("invalid empty volume spec", code: 125) }
        // As Docker's client: the daemon says what it thinks of that.
        if parts.count > 3 { return .bind(text) }
        if parts.contains("") { throw Failure("invalid spec: \(text): empty section between colons", code: 125) }
        if parts.count == 1 {
            if text == "/" {
                throw Failure("invalid volume specification: '/': invalid specification: destination can't be '/'", code: 125)
            }
            return .anonymous(text)
        }
        let source = parts[0].hasPrefix(".") || parts[0].hasPrefix("~") ? try absolute(parts[0]) : parts[0]
        return .bind(([source] + parts.dropFirst()).joined(separator: ":"))
    }

    /// A path relative to the working directory, or to HOME behind `~/`, made absolute and clean.
    static func absolute(_ path: String) throws -> String {
        var whole = path
        if path == "~" || path.hasPrefix("~/") {
            guard let home = Context.environment("HOME") else { throw Failure("cannot expand \(path): HOME is not set", code: 125) }
            whole = home + path.dropFirst()
        } else if !path.hasPrefix("/") {
            guard let directory = getcwd(nil, 0) else { throw Failure("cannot find the working directory", code: 125) }
            defer { free(directory) }
            whole = String(cString: directory) + "/" + path
        }
        var parts: [Substring] = []
        for part in whole.split(separator: "/") {
            if part == ".." { _ = parts.popLast() } else if part != "." { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }
}
