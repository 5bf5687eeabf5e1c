internal import CLinux
internal import Glibc
internal import Linux
internal import Netlink
internal import Synchronization

/// Questions over TCP (RFC 1035, section 4.2.2: each message after its length): a thread for each connection, and few of them.
final class DNSStream {
    private static let running = Atomic<Int>(0)
    private static let limit = 64

    private let connection: OwnedFD
    private let client: NameServer.Client

    private init(_ connection: consuming OwnedFD, _ client: NameServer.Client) {
        self.connection = connection
        self.client = client
    }

    static func accept(_ client: NameServer.Client) {
        let number = clp_process_accept(client.listener.raw)
        guard number >= 0 else { return }
        let connection = OwnedFD(owning: number)
        guard running.add(1, ordering: .relaxed).newValue <= limit else {
            running.subtract(1, ordering: .relaxed)
            return
        }
        setTimeouts(connection.raw, seconds: 10)
        let argument = Unmanaged.passRetained(DNSStream(connection, client))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<DNSStream>.fromOpaque(argument).takeRetainedValue().run() }
                DNSStream.running.subtract(1, ordering: .relaxed)
                return nil
            }, argument.toOpaque())
        if code != 0 {
            argument.release()
            running.subtract(1, ordering: .relaxed)
            return
        }
        pthread_detach(thread)
    }

    private func run() {
        while let packet = Self.readMessage(connection.raw) {
            let answer: [UInt8]
            if let question = DNSQuestion(packet) {
                if case .answer(let code, let records) = client.decide(client.containerID, question) {
                    answer = question.answer(code, records)
                } else {
                    answer = Self.ask(client.upstream, packet) ?? question.answer(.serverFailure)
                }
            } else if let reply = Self.ask(client.upstream, packet) {
                answer = reply
            } else {
                return
            }
            guard Self.writeMessage(connection.raw, answer) else { return }
        }
    }

    private static func ask(_ servers: [IPAddress], _ packet: [UInt8]) -> [UInt8]? {
        for server in servers {
            let number = socket(server.family == .v4 ? AF_INET : AF_INET6, clp_sock_stream_cloexec(), 0)
            guard number >= 0 else { continue }
            let connection = OwnedFD(owning: number)
            setTimeouts(connection.raw, seconds: 3)
            guard HeldSocket.socketAddress(server, 53, { connect(number, $0, $1) }) == 0, writeMessage(number, packet),
                let answer = readMessage(number)
            else { continue }
            _ = consume connection
            return answer
        }
        return nil
    }

    private static func setTimeouts(_ socket: Int32, seconds: Int) {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            _ = setsockopt(socket, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    private static func readMessage(_ socket: Int32) -> [UInt8]? {
        guard let length = readExactly(socket, 2) else { return nil }
        return readExactly(socket, Int(length[0]) << 8 | Int(length[1]))
    }

    private static func readExactly(_ socket: Int32, _ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var position = 0
        while position < count {
            let got = bytes.withUnsafeMutableBytes { recv(socket, $0.baseAddress?.advanced(by: position), count - position, 0) }
            if got < 0 && errno == EINTR { continue }
            if got <= 0 { return nil }
            position += got
        }
        return bytes
    }

    private static func writeMessage(_ socket: Int32, _ packet: [UInt8]) -> Bool {
        let bytes = [UInt8(packet.count >> 8), UInt8(packet.count & 0xff)] + packet
        return bytes.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) == $0.count }
    }
}
