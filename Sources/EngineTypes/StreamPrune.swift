/// The answer to `POST /system/streams/prune`, which Docker does not have. Sizes in bytes.
public struct StreamPrune: Codable, Sendable {
    /// Chain IDs of the layers whose packed streams were dropped.
    public var Layers: [String]
    /// Of the streams, less what their skeletons take.
    public var SpaceReclaimed: Int64
    /// Layers that keep their streams.
    public var Kept: [KeptStream]

    public struct KeptStream: Codable, Sendable {
        /// A chain ID.
        public var Layer: String
        /// Why, in a few words.
        public var Reason: String

        public init(Layer: String, Reason: String) {
            self.Layer = Layer
            self.Reason = Reason
        }
    }

    public init(Layers: [String], SpaceReclaimed: Int64, Kept: [KeptStream]) {
        self.Layers = Layers
        self.SpaceReclaimed = SpaceReclaimed
        self.Kept = Kept
    }
}
