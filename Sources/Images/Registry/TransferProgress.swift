public import OCIImageSpec
internal import Synchronization

/// What a pull or a push tells on its way.
public enum TransferProgress: Sendable, Hashable {
    /// A sentence of its own; `id` is a tag or digest that it is about.
    case message(id: String?, String)
    /// Where a layer stands. A pull names it by its blob, a push by its diff ID, as Docker does.
    case layer(Digest, LayerStatus)
    /// So many bytes of a root filesystem have come; the whole is nil when its server does not tell.
    case importing(Int64, of: Int64?)
    /// A tag is in the registry. `size` is the manifest's, in bytes.
    case tagPushed(tag: String, digest: Digest, size: Int)
}

/// Where a layer's transfer stands. Sizes are bytes of the blob.
public enum LayerStatus: Sendable, Hashable {
    case pulling
    /// For a place among the transfers.
    case waiting
    case downloading(Int64, of: Int64)
    /// The transfer broke; it is taken up again in so many seconds.
    case retrying(seconds: Int)
    case verifying
    case downloaded
    /// Unpacked so far.
    case extracting(Int64, of: Int64)
    case pulled
    case exists
    case preparing
    case pushing(Int64, of: Int64)
    case pushed
    case existsInRegistry
    case mounted(from: String)

    /// One of many of its kind: it may be left out when there are too many.
    public var isStep: Bool {
        switch self {
        case .downloading, .extracting, .pushing: true
        default: false
        }
    }
}

/// Takes what a transfer tells; called from any thread, must not block.
public typealias TransferReport = @Sendable (TransferProgress) -> Void

/// Tells how far something has come, at most ten times a second.
final class StepMeter: Sendable {
    private let last = Mutex<ContinuousClock.Instant?>(nil)
    private let tell: @Sendable (Int64) -> Void

    init(_ tell: @escaping @Sendable (Int64) -> Void) { self.tell = tell }

    func reached(_ count: Int64) {
        let isDue = last.withLock { last in
            let now = ContinuousClock.now
            if let last, now - last < .milliseconds(100) { return false }
            last = now
            return true
        }
        if isDue { tell(count) }
    }
}
