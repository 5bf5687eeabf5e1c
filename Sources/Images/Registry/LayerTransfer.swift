internal import OCIImageSpec
internal import Synchronization

/// One layer on its way into the store, for all pulls that want it: it goes on as long as one of them is left, and each is told
/// where it stands.
final class LayerTransfer: Sendable {
    private struct State {
        var outcome: Result<Layer, any Error>?
        var status: LayerStatus?
        var next = 0
        /// Those who hold it, with what they want to be told.
        var holders: [Int: @Sendable (LayerStatus) -> Void] = [:]
        var waiting: [Int: CheckedContinuation<Layer, any Error>] = [:]
        /// When the last step was told; there are many.
        var told: ContinuousClock.Instant?
        var task: Task<Void, Never>?
    }

    /// A step of a layer is told at most ten times a second.
    private static let interval = Duration.milliseconds(100)

    let diffID: Digest
    private let state = Mutex(State())

    init(diffID: Digest) { self.diffID = diffID }

    /// Begins; once, before anyone holds it.
    func start(_ work: @escaping @Sendable (LayerTransfer) async throws -> Layer, onEnd: @escaping @Sendable (LayerTransfer) -> Void) {
        let task = Task {
            let outcome: Result<Layer, any Error>
            do { outcome = .success(try await work(self)) } catch { outcome = .failure(error) }
            onEnd(self)
            finish(outcome)
        }
        state.withLock { $0.task = task }
    }

    private func finish(_ outcome: Result<Layer, any Error>) {
        let waiting = state.withLock { state in
            state.outcome = outcome
            state.task = nil
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.resume(with: outcome) }
    }

    /// Tells all holders; steps only now and then.
    func report(_ status: LayerStatus) {
        let listeners = state.withLock { state -> [@Sendable (LayerStatus) -> Void] in
            if status.isStep {
                let now = ContinuousClock.now
                let isFirst = state.status.map { !$0.isStep } ?? true
                if !isFirst, let told = state.told, now - told < Self.interval { return [] }
                state.told = now
            }
            state.status = status
            return Array(state.holders.values)
        }
        for listener in listeners { listener(status) }
    }

    // MARK: Holding

    /// One more who wants the layer.
    fileprivate func hold(_ listener: @escaping @Sendable (LayerStatus) -> Void) -> Int {
        let (number, status) = state.withLock { state in
            state.next += 1
            state.holders[state.next] = listener
            return (state.next, state.status)
        }
        if let status { listener(status) }
        return number
    }

    /// Whether nobody is left.
    fileprivate func letGo(_ number: Int) -> Bool {
        state.withLock { state in state.holders.removeValue(forKey: number) != nil && state.holders.isEmpty }
    }

    fileprivate func cancel() { state.withLock { $0.task }?.cancel() }

    fileprivate func value(for number: Int) async throws -> Layer {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome = state.withLock { state -> Result<Layer, any Error>? in
                    if let outcome = state.outcome { return outcome }
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiting[number] = continuation
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let continuation = state.withLock { $0.waiting.removeValue(forKey: number) }
            continuation?.resume(throwing: CancellationError())
        }
    }
}

/// A hold on a layer's transfer; the last one that goes away ends it.
final class LayerHold: Sendable {
    private let transfer: LayerTransfer
    private let number: Int
    private let transfers: LayerTransfers
    private let chainID: Digest

    fileprivate init(_ transfer: LayerTransfer, _ number: Int, _ transfers: LayerTransfers, _ chainID: Digest) {
        self.transfer = transfer
        self.number = number
        self.transfers = transfers
        self.chainID = chainID
    }

    /// The layer in the store. Throws what its transfer threw, or `CancellationError` when the caller's task is cancelled.
    func layer() async throws -> Layer { try await transfer.value(for: number) }

    deinit { transfers.letGo(transfer, number, chainID) }
}

/// The transfers that run now, by chain ID.
final class LayerTransfers: Sendable {
    private let running = Mutex<[Digest: LayerTransfer]>([:])

    /// Joins the chain's transfer, or begins one. `work` must first look whether the store has the layer meanwhile.
    /// Also answers a transfer of the same layer on another parent that began before; its work gets a hold on that.
    func join(
        chainID: Digest, diffID: Digest, listener: @escaping @Sendable (LayerStatus) -> Void,
        work: @escaping @Sendable (LayerTransfer, _ twin: LayerHold?) async throws -> Layer
    ) -> LayerHold {
        running.withLock { running in
            if let transfer = running[chainID] { return LayerHold(transfer, transfer.hold(listener), self, chainID) }
            let twin = running.first { $0.value.diffID == diffID }.map { LayerHold($0.value, $0.value.hold { _ in }, self, $0.key) }
            let transfer = LayerTransfer(diffID: diffID)
            running[chainID] = transfer
            let hold = LayerHold(transfer, transfer.hold(listener), self, chainID)
            transfer.start({ try await work($0, twin) }) { [self] in end($0, chainID) }
            return hold
        }
    }

    /// A hold on the transfer of a chain, when it runs.
    func holdRunning(_ chainID: Digest) -> LayerHold? {
        running.withLock { running in running[chainID].map { LayerHold($0, $0.hold { _ in }, self, chainID) } }
    }

    private func end(_ transfer: LayerTransfer, _ chainID: Digest) {
        running.withLock { running in if running[chainID] === transfer { running[chainID] = nil } }
    }

    fileprivate func letGo(_ transfer: LayerTransfer, _ number: Int, _ chainID: Digest) {
        // Under the table's lock: nobody joins what is being given up.
        let isLast = running.withLock { running in
            guard transfer.letGo(number) else { return false }
            if running[chainID] === transfer { running[chainID] = nil }
            return true
        }
        if isLast { transfer.cancel() }
    }

    /// How many run now.
    var count: Int { running.withLock { $0.count } }
}
