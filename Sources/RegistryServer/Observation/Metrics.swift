internal import Glibc
internal import Linux
internal import Synchronization

/// Counters in the text format of Prometheus (version 0.0.4).
final class Metrics: Sendable {
    private struct Key: Hashable {
        let endpoint: String
        let method: String
        let status: Int
    }

    private struct Histogram {
        var buckets = [Int](repeating: 0, count: Metrics.bounds.count)
        var sum = 0.0
        var count = 0
    }

    private struct State {
        var requests: [Key: Int] = [:]
        var durations: [String: Histogram] = [:]
        var sent = 0
        var received = 0
        var inFlight = 0
        var events = (sent: 0, lost: 0)
        var collected = (runs: 0, bytes: 0, items: 0)
    }

    /// Seconds.
    private static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    private let state = Mutex(State())

    func began() { state.withLock { $0.inFlight += 1 } }

    /// - Parameter seconds: until the answer's head was ready.
    func ended(_ endpoint: String, _ method: String, _ status: Int, seconds: Double, sent: Int, received: Int) {
        state.withLock { state in
            state.inFlight -= 1
            state.requests[Key(endpoint: endpoint, method: method, status: status), default: 0] += 1
            state.sent += sent
            state.received += received
            var histogram = state.durations[endpoint] ?? Histogram()
            histogram.sum += seconds
            histogram.count += 1
            if let index = Self.bounds.firstIndex(where: { seconds <= $0 }) { histogram.buckets[index] += 1 }
            state.durations[endpoint] = histogram
        }
    }

    func eventSent() { state.withLock { $0.events.sent += 1 } }
    func eventLost() { state.withLock { $0.events.lost += 1 } }
    func collected(bytes: Int, items: Int) {
        state.withLock {
            $0.collected.runs += 1
            $0.collected.bytes += bytes
            $0.collected.items += items
        }
    }

    func text() -> String {
        let state = state.withLock { $0 }
        var lines: [String] = []
        func family(_ name: String, _ type: String, _ help: String) {
            lines += ["# HELP clipper_registry_\(name) \(help)", "# TYPE clipper_registry_\(name) \(type)"]
        }
        func sample(_ name: String, _ labels: String = "", _ value: some CustomStringConvertible) {
            lines.append("clipper_registry_\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(value)")
        }
        family("requests_total", "counter", "Requests answered.")
        for (key, count) in state.requests.sorted(by: { "\($0.key)" < "\($1.key)" }) {
            sample("requests_total", "endpoint=\"\(key.endpoint)\",method=\"\(key.method)\",status=\"\(key.status)\"", count)
        }
        family("request_duration_seconds", "histogram", "Time until the head of the answer was ready.")
        for (endpoint, histogram) in state.durations.sorted(by: { $0.key < $1.key }) {
            var total = 0
            for (bound, count) in zip(Self.bounds, histogram.buckets) {
                total += count
                sample("request_duration_seconds_bucket", "endpoint=\"\(endpoint)\",le=\"\(bound)\"", total)
            }
            sample("request_duration_seconds_bucket", "endpoint=\"\(endpoint)\",le=\"+Inf\"", histogram.count)
            sample("request_duration_seconds_sum", "endpoint=\"\(endpoint)\"", histogram.sum)
            sample("request_duration_seconds_count", "endpoint=\"\(endpoint)\"", histogram.count)
        }
        let single: [(String, String, String, Int)] = [
            ("requests_in_flight", "gauge", "Requests being worked on.", state.inFlight),
            ("response_bytes_total", "counter", "Bytes of bodies of answers.", state.sent),
            ("request_bytes_total", "counter", "Bytes of bodies of requests, as announced.", state.received),
            ("events_sent_total", "counter", "Notifications delivered.", state.events.sent),
            ("events_lost_total", "counter", "Notifications given up.", state.events.lost),
            ("collections_total", "counter", "Runs of the garbage collector.", state.collected.runs),
            ("collected_items_total", "counter", "Manifests, blobs and uploads collected.", state.collected.items),
            ("collected_bytes_total", "counter", "Bytes given free by the garbage collector.", state.collected.bytes),
        ]
        for (name, type, help, value) in single {
            family(name, type, help)
            sample(name, "", value)
        }
        if let pages = Self.residentBytes() {
            lines += ["# HELP process_resident_memory_bytes Resident memory.", "# TYPE process_resident_memory_bytes gauge"]
            lines.append("process_resident_memory_bytes \(pages)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func residentBytes() -> Int? {
        guard let text = try? Files.readText("/proc/self/statm") else { return nil }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? Int(fields[1]).map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) } : nil
    }
}
