internal import ClientUI
internal import EngineTypes
internal import JSON
internal import Linux

/// The smaller value grammars of `run`: ulimits, devices, rates, restart policies, security options, GPUs, files of variables.
enum ValueSpecs {
    private static func fail(_ what: String) -> Failure { Failure(what, code: 125) }

    private static let ulimitNames: Set<String> = [
        "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending",
        "stack",
    ]

    /// `nofile=1024:2048`, `core=-1`.
    static func ulimit(_ text: String) throws -> Ulimit {
        let pair = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard pair.count == 2, !pair[1].isEmpty else { throw fail("invalid ulimit argument: \(text)") }
        guard ulimitNames.contains(pair[0]) else { throw fail("invalid ulimit type: \(pair[0])") }
        let limits = pair[1].split(separator: ":", omittingEmptySubsequences: false)
        guard limits.count <= 2 else { throw fail("too many limit value arguments - \(pair[1]), can only have up to two, `soft[:hard]`") }
        guard let soft = Int64(limits[0]), let hard = limits.count == 2 ? Int64(limits[1]) : soft else {
            throw fail("invalid ulimit argument: \(text)")
        }
        if hard != -1, soft == -1 || soft > hard {
            throw fail("ulimit soft limit must be less than or equal to hard limit: \(soft) > \(hard)")
        }
        return Ulimit(Name: pair[0], Soft: soft, Hard: hard)
    }

    /// `container[:alias]`
    static func link(_ text: String) throws -> String {
        if text.isEmpty { throw Failure.flag("--link", text, "empty string specified for links") }
        let count = text.split(separator: ":", omittingEmptySubsequences: false).count
        guard count <= 2 else { throw Failure.flag("--link", text, "bad format for links: \(text)") }
        return text
    }

    /// `vendor.com/class=name`: a device by its CDI name, not by a path.
    static func isDeviceName(_ text: String) -> Bool {
        let halves = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let kind = halves[0].split(separator: "/", omittingEmptySubsequences: false)
        return halves.count == 2 && !halves[1].isEmpty && kind.count == 2 && !kind.contains("")
    }

    /// `/dev/sda:/dev/xvda:rwm`.
    static func device(_ text: String) throws -> DeviceMapping {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts[0].hasPrefix("/") || parts[0].contains("=") else { throw fail("\(parts[0]) is not an absolute path") }
        func isMode(_ text: String) -> Bool { !text.isEmpty && Set(text).count == text.count && text.allSatisfy { "rwm".contains($0) } }
        switch parts.count {
        case 1: return DeviceMapping(PathOnHost: parts[0], PathInContainer: parts[0], CgroupPermissions: "rwm")
        case 2 where isMode(parts[1]): return DeviceMapping(PathOnHost: parts[0], PathInContainer: parts[0], CgroupPermissions: parts[1])
        case 2: return DeviceMapping(PathOnHost: parts[0], PathInContainer: parts[1], CgroupPermissions: "rwm")
        case 3 where isMode(parts[2]): return DeviceMapping(PathOnHost: parts[0], PathInContainer: parts[1], CgroupPermissions: parts[2])
        case 3: throw fail("bad mode specified: \(parts[2])")
        default: throw fail("invalid device specification: \(text)")
        }
    }

    /// A rule of the devices controller: `c 1:3 rwm`, with `*` for any number.
    static func isDeviceRule(_ text: String) -> Bool {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, ["a", "b", "c"].contains(words[0]), (1...3).contains(words[2].count),
            words[2].allSatisfy({ "rwm".contains($0) })
        else { return false }
        let numbers = words[1].split(separator: ":", omittingEmptySubsequences: false)
        return numbers.count == 2 && numbers.allSatisfy { $0 == "*" || !$0.isEmpty && $0.allSatisfy { ("0"..."9").contains($0) } }
    }

    /// Whether a sysctl (`net.core.somaxconn=1`) belongs to a namespace, so that a container can have it.
    static func isNamespacedSysctl(_ text: String) -> Bool {
        let pair = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let inIPC: Set<Substring> = [
            "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
            "kernel.shm_rmid_forced",
        ]
        return pair.count == 2 && (inIPC.contains(pair[0]) || pair[0].hasPrefix("net.") || pair[0].hasPrefix("fs.mqueue."))
    }

    /// Six, eight or twenty bytes in hexadecimal, divided by colons or hyphens.
    static func isMACAddress(_ text: String) -> Bool {
        let separator: Character = text.contains("-") ? "-" : ":"
        let parts = text.split(separator: separator, omittingEmptySubsequences: false)
        return [6, 8, 20].contains(parts.count) && parts.allSatisfy { $0.utf8.count == 2 && $0.allSatisfy(\.isHexDigit) }
    }

    private static func devicePair(_ text: String) throws -> (path: String, value: String) {
        guard let colon = text.firstIndex(of: ":"), text.hasPrefix("/dev/") else { throw fail("bad format: \(text)") }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }

    /// `/dev/sda:1mb` for bytes, `/dev/sda:1000` for operations.
    static func throttle(_ text: String, isBytes: Bool) throws -> ThrottleDevice {
        let (path, value) = try devicePair(text)
        let rate = isBytes ? ByteSize.bytes(value).flatMap { UInt64(exactly: $0) } : UInt64(value)
        guard let rate else {
            throw fail(
                "invalid rate for device: \(text). The correct format is <device-path>:<number>\(isBytes ? "[<unit>]" : ""). Number must be a positive integer"
            )
        }
        return ThrottleDevice(Path: path, Rate: rate)
    }

    /// `/dev/sda:500`.
    static func weight(_ text: String) throws -> WeightDevice {
        let (path, value) = try devicePair(text)
        guard let weight = Int64(value), weight == 0 || (10...1000).contains(weight) else {
            throw fail("invalid weight for device: \(text)")
        }
        return WeightDevice(Path: path, Weight: weight)
    }

    /// `no`, `always`, `unless-stopped`, `on-failure[:n]`. An unknown name is the daemon's to refuse.
    static func restart(_ text: String) throws -> RestartPolicy {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if parts.isEmpty || text.isEmpty { return RestartPolicy() }
        guard !parts[0].isEmpty else { throw fail("invalid restart policy format: no policy provided before colon") }
        guard parts.count <= 2 else { throw fail("invalid restart policy format: restart policy can only have one \":\"") }
        guard parts.count == 2 else { return RestartPolicy(Name: parts[0], MaximumRetryCount: 0) }
        guard let count = Int(parts[1]) else { throw fail("invalid restart policy format: maximum retry count must be an integer") }
        return RestartPolicy(Name: parts[0], MaximumRetryCount: count)
    }

    /// `seccomp=FILE` becomes the file's document on one line; the rest goes as it is.
    static func securityOption(_ text: String) throws -> String {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        if parts.count < 2 && text != "no-new-privileges" && !text.contains(":") { throw fail("Invalid --security-opt: \(quoted(text))") }
        guard parts.count == 2, parts[0] == "seccomp", parts[1] != "unconfined", parts[1] != "builtin" else { return text }
        let bytes: [UInt8]
        do { bytes = try Files.read(parts[1], limit: 16 << 20) } catch {
            throw fail("opening seccomp profile (\(parts[1])) failed: \(error)")
        }
        do { return "seccomp=\(try JSONValue(parsing: bytes).text())" } catch {
            throw fail("compacting json for seccomp profile (\(parts[1])) failed: \(error)")
        }
    }

    /// `all`, `2`, `device=0`, `"device=0,1",capabilities=utility`.
    static func gpus(_ text: String) throws -> DeviceRequest {
        var request = DeviceRequest()
        var capabilities = ["gpu"]
        for field in try CommaSeparated.fields(text) {
            let pair = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if pair.count == 1 {
                guard let count = pair[0] == "all" ? -1 : Int(pair[0]) else {
                    throw fail(
                        "invalid argument \(quoted(text)) for \"--gpus\" flag: invalid count (\(pair[0])): value must be either \"all\" or an integer"
                    )
                }
                request.Count = count
                continue
            }
            switch pair[0] {
            case "count":
                guard let count = pair[1] == "all" ? -1 : Int(pair[1]) else {
                    throw fail("invalid count (\(pair[1])): value must be either \"all\" or an integer")
                }
                request.Count = count
            case "driver": request.Driver = pair[1]
            case "device": request.DeviceIDs = pair[1].split(separator: ",").map(String.init)
            case "capabilities": capabilities += pair[1].split(separator: ",").map(String.init)
            case "options":
                var options: [String: String] = [:]
                for option in pair[1].split(separator: ",") {
                    let parts = option.split(separator: "=", maxSplits: 1).map(String.init)
                    options[parts[0]] = parts.count == 2 ? parts[1] : ""
                }
                request.Options = options
            default: throw fail("unexpected key '\(pair[0])' in '\(field)'")
            }
        }
        if request.Count == nil && request.DeviceIDs == nil { request.Count = 1 }
        request.Capabilities = [capabilities]
        return request
    }

    /// Lines `KEY=value`; `#` begins a comment line; a bare KEY takes its value from the environment (variables) or is left out.
    static func file(_ path: String, takesEnvironment: Bool) throws -> [String] {
        let text: String
        do { text = try Files.readText(path) } catch { throw fail("open \(path): \(error.reason)") }
        var result: [String] = []
        for (index, raw) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let line = String(index == 0 && raw.unicodeScalars.first == "\u{FEFF}" ? Substring(raw.unicodeScalars.dropFirst()) : raw)
            let trimmed = String(line.drop { $0 == " " || $0 == "\t" })
            if trimmed.isEmpty || trimmed.hasPrefix("#") { continue }
            let key = trimmed.prefix { $0 != "=" }
            guard !key.isEmpty else { throw fail("invalid env file (\(path)): no variable name on line '\(trimmed)'") }
            guard !key.contains(where: { $0 == " " || $0 == "\t" }) else {
                throw fail("invalid env file (\(path)): variable '\(key)' contains whitespaces")
            }
            if trimmed.contains("=") {
                result.append(trimmed)
            } else if takesEnvironment, let value = Context.environment(trimmed) {
                result.append("\(trimmed)=\(value)")
            } else if !takesEnvironment {
                result.append(trimmed)
            }
        }
        return result
    }

    /// `-e KEY=value`, or `-e KEY` with the client's own value; a KEY without value anywhere goes bare, which removes it.
    static func variable(_ text: String) throws -> String {
        guard !text.isEmpty, !text.hasPrefix("=") else { throw fail("invalid environment variable: \(text)") }
        if text.contains("=") { return text }
        return Context.environment(text).map { "\(text)=\($0)" } ?? text
    }

    /// `host:ip`, `host=ip`, `host:[v6]`; the daemon understands `host-gateway`.
    static func extraHost(_ text: String) throws -> String {
        guard let split = text.firstIndex(where: { $0 == "=" || $0 == ":" }), split != text.startIndex else {
            throw fail("bad format for add-host: \(quoted(text))")
        }
        let name = text[..<split]
        var address = String(text[text.index(after: split)...])
        if address.hasPrefix("[") && address.hasSuffix("]") { address = String(address.dropFirst().dropLast()) }
        guard address == "host-gateway" || IPText.isAddress(address) else {
            throw fail("invalid IP address in add-host: \(quoted(address))")
        }
        return "\(name):\(address)"
    }
}
