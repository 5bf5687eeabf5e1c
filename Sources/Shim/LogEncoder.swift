internal import Glibc
internal import Linux
internal import ShimProtocol

/// One line of output, or a piece of one.
struct LogMessage {
    let text: UnsafeBufferPointer<UInt8>
    let isError: Bool
    /// The line goes on in the next message, or the container ended in the middle of it.
    let isPartial: Bool
    let time: Timestamp
}

/// A server's language.
protocol LogEncoder {
    /// What is to be sent for one line: datagrams, or bytes of a stream.
    func encode(_ message: LogMessage) -> [[UInt8]]
}

extension LaunchRequest.Log.Remote {
    var encoder: any LogEncoder {
        switch kind {
        case .syslog: SyslogEncoder(self)
        case .journald: JournaldEncoder(self)
        case .gelf: GELFEncoder(self)
        case .fluentd: FluentdEncoder(self)
        }
    }
}

/// Syslog as Docker sends it: the traditional form with (RFC 3164) and without the host's name, and RFC 5424.
struct SyslogEncoder: LogEncoder {
    private let tag: String
    private let host: String
    private let format: String
    private let facility: Int
    private let pid = getpid()

    init(_ configuration: LaunchRequest.Log.Remote) {
        tag = configuration.tag
        host = configuration.host
        format = configuration.settings["format"] ?? ""
        facility = Int(configuration.settings["priority"] ?? "") ?? 24
    }

    func encode(_ message: LogMessage) -> [[UInt8]] {
        // Severity 3 is an error, 6 information.
        let priority = facility + (message.isError ? 3 : 6)
        let head =
            switch format {
            case "rfc5424", "rfc5424micro":
                "<\(priority)>1 \(stamp(message.time)) \(host) \(tag) \(pid) \(tag) - "
            case "rfc3164": "<\(priority)>\(localStamp(message.time)) \(host) \(tag)[\(pid)]: "
            default: "<\(priority)>\(localStamp(message.time)) \(tag)[\(pid)]: "
            }
        return [Array(head.utf8) + message.text + [10]]
    }

    /// RFC 3339 in UTC, in seconds or microseconds.
    private func stamp(_ time: Timestamp) -> String {
        let fixed = time.fixedWidth
        return format == "rfc5424micro" ? "\(fixed.dropLast(4))Z" : "\(fixed.prefix(19))Z"
    }

    /// RFC 3164, 4.1.2: `Mmm dd hh:mm:ss` of the local clock.
    private func localStamp(_ time: Timestamp) -> String {
        var seconds = time_t(time.seconds)
        var fields = tm()
        localtime_r(&seconds, &fields)
        var buffer = [CChar](repeating: 0, count: 32)
        let count = strftime(&buffer, buffer.count, "%b %e %H:%M:%S", &fields)
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The journal's own protocol (systemd.io, "Native Journal Protocol"): `NAME=text` lines; a text with newlines, or that is
/// no UTF-8, by its length.
struct JournaldEncoder: LogEncoder {
    private let fields: [UInt8]

    init(_ configuration: LaunchRequest.Log.Remote) {
        var bytes: [UInt8] = []
        for (name, text) in configuration.fields.sorted(by: { $0.key < $1.key }) { Self.put(name, Array(text.utf8), &bytes) }
        fields = bytes
    }

    func encode(_ message: LogMessage) -> [[UInt8]] {
        var bytes = Array("PRIORITY=\(message.isError ? 3 : 6)\n".utf8)
        Self.put("MESSAGE", message.text, &bytes)
        if message.isPartial { bytes += Array("CONTAINER_PARTIAL_MESSAGE=true\n".utf8) }
        return [bytes + fields]
    }

    private static func put(_ name: String, _ text: some Collection<UInt8>, _ bytes: inout [UInt8]) {
        bytes += Array(name.utf8)
        bytes.append(10)
        withUnsafeBytes(of: UInt64(text.count).littleEndian) { bytes += $0 }
        bytes += text
        bytes.append(10)
    }
}
