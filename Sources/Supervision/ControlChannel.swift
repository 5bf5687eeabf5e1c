internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol
internal import Synchronization

/// A control connection: requests are matched with their answers by number, notices go to a handler in order.
final class ControlChannel: Sendable {
    /// What comes without being asked; nil when the other side is gone, after which nothing comes.
    typealias NoticeHandler = @Sendable (ShimNotice?) -> Void

    private struct State {
        /// -1 when closed.
        var socket: Int32
        var token: UInt64?
        var reader = FrameReader()
        /// Frames that the socket did not take yet, or not wholly.
        var unsent: [OutgoingFrame] = []
        var lastID: UInt64 = 0
        var pending: [UInt64: CheckedContinuation<Reply, Never>] = [:]
        /// Notices that came before anybody wanted them.
        var early: [ShimNotice?] = []
        var handler: NoticeHandler?
    }

    private enum Reply {
        case answer(ControlAnswer)
        /// The connection has ended.
        case gone
        /// Nothing has come in time.
        case silence
    }

    private let state: Mutex<State>

    /// Takes a connected socket.
    init(_ socket: consuming OwnedFD) throws(ShimFailure) {
        let number = socket.take()
        state = Mutex(State(socket: number))
        do throws(SystemError) {
            let flags = try retrying("read flags of socket") { clp_fcntl(number, F_GETFL, 0) }
            try retrying("set flags of socket") { clp_fcntl(number, F_SETFL, Int(flags | O_NONBLOCK)) }
            let token = try ControlLoop.shared.watch(number) { [weak self] events in self?.ready(events) }
            state.withLock { $0.token = token }
        } catch { throw ShimFailure(.lost, "\(error)") }
    }

    deinit {
        let (token, socket) = state.withLock { ($0.token, $0.socket) }
        if let token { ControlLoop.shared.unwatch(token) }
        if socket >= 0 { close(socket) }
    }

    /// Delivers notices from now on, those that have come already first.
    func setHandler(_ handler: @escaping NoticeHandler) {
        // Held while the early ones are delivered, so that none overtakes them.
        state.withLock { state in
            for notice in state.early { handler(notice) }
            state.early = []
            state.handler = handler
        }
    }

    /// Sends a request and waits for its answer. Throws what the shim answers, `lost`, or `silent` when it answers nothing: it
    /// then does what was asked when it goes on.
    /// - Parameters:
    ///   - lending: go with the request, at most `CLP_MOST_FDS`; stay the caller's.
    ///   - patience: how many seconds to wait; nil waits for ever.
    func request(_ request: ControlRequest, lending descriptors: [Int32] = [], patience: UInt32?) async throws(ShimFailure)
        -> ControlAnswer
    {
        let copies: LentDescriptors?
        do throws(SystemError) { copies = descriptors.isEmpty ? nil : try LentDescriptors(descriptors) } catch {
            throw ShimFailure(.other, "\(error)")
        }
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        let alarm = Alarm(seconds: patience) { [weak self] in
            self?.state.withLock { $0.pending.removeValue(forKey: id) }?.resume(returning: .silence)
        }
        let reply: Reply = await withCheckedContinuation { continuation in
            let isSent = state.withLock { state in
                if state.socket < 0 { return false }
                state.pending[id] = continuation
                state.unsent.append(OutgoingFrame(bytes: ShimWire.frame(request.json(id: id))[...], descriptors: copies))
                ControlChannel.flush(&state)
                return true
            }
            if !isSent { continuation.resume(returning: .gone) }
        }
        await alarm.putOff()
        switch reply {
        case .answer(.failure(let failure)): throw failure
        case .answer(let answer): return answer
        case .gone: throw ShimFailure(.lost, "the container's supervisor is gone")
        case .silence: throw ShimSocket.silent
        }
    }

    private static func flush(_ state: inout State) {
        while !state.unsent.isEmpty {
            let count = state.unsent[0].send(to: state.socket)
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN, let token = state.token { ControlLoop.shared.change(token, clp_epoll_input() | clp_epoll_output()) }
                // Any other failure shows as the end of the connection when it is read.
                return
            }
            if state.unsent[0].bytes.isEmpty { state.unsent.removeFirst() }
        }
        if let token = state.token { ControlLoop.shared.change(token, clp_epoll_input()) }
    }

    // On the loop's thread.
    private func ready(_ events: UInt32) {
        var resumptions: [(CheckedContinuation<Reply, Never>, Reply)] = []
        var notices: [ShimNotice?] = []
        let handler = state.withLock { state -> NoticeHandler? in
            if state.socket < 0 { return nil }
            if events & clp_epoll_output() != 0 { ControlChannel.flush(&state) }
            if events & (clp_epoll_input() | clp_epoll_gone()) != 0 { ControlChannel.read(&state, &resumptions, &notices) }
            if state.handler == nil { state.early += notices }
            return state.handler
        }
        for (continuation, reply) in resumptions { continuation.resume(returning: reply) }
        if let handler { for notice in notices { handler(notice) } }
    }

    private static func read(
        _ state: inout State, _ resumptions: inout [(CheckedContinuation<Reply, Never>, Reply)],
        _ notices: inout [ShimNotice?]
    ) {
        var buffer = [UInt8](repeating: 0, count: 16384)
        let count = recv(state.socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        var isOver = count <= 0
        if count > 0 {
            state.reader.append(buffer[..<count])
            do throws(ShimFailure) {
                while let frame = try state.reader.next() {
                    switch try ShimMessage(frame) {
                    case .answer(let id, let answer):
                        if let continuation = state.pending.removeValue(forKey: id) { resumptions.append((continuation, .answer(answer))) }
                    case .notice(let notice): notices.append(notice)
                    case .unknown: break
                    }
                }
            } catch { isOver = true }
        }
        if !isOver { return }
        if let token = state.token { ControlLoop.shared.unwatch(token) }
        state.token = nil
        close(state.socket)
        state.socket = -1
        for continuation in state.pending.values { resumptions.append((continuation, .gone)) }
        state.pending = [:]
        notices.append(nil)
    }
}
