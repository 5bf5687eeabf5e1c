/// The answer to `POST /system/check`, a call of this engine's own: what was looked at, and what is not as it should be.
public struct SystemCheck: Codable, Sendable {
    public var Layers = 0
    public var Contents = 0
    public var Images = 0
    public var Containers = 0
    /// Bytes that were read and hashed.
    public var BytesRead: Int64 = 0
    /// Whether trees of layers were compared with their streams.
    public var Deep = false
    public var Findings: [Finding] = []

    public struct Finding: Codable, Sendable {
        /// `layer`, `content`, `image`, `name` or `container`; `aside` for what an earlier repair has set aside, which is no damage.
        public var Kind: String
        /// A digest, a name, an id or a path.
        public var Subject: String
        /// One sentence.
        public var Message: String
        /// What was done about it; absent when nothing was.
        public var Repair: String?

        public init(Kind: String, Subject: String, Message: String, Repair: String? = nil) {
            self.Kind = Kind
            self.Subject = Subject
            self.Message = Message
            self.Repair = Repair
        }
    }

    public init() {}
}

/// One line of the answer to `GET /system/usage`, a call of this engine's own: what one kind of thing takes on disk.
public struct SystemUsage: Codable, Sendable {
    /// `layers`, `content`, `containers`, `logs`…
    public var Place: String
    /// Where it lies: a path with the container's id as `*`.
    public var Path: String
    /// Files and directories.
    public var Files: Int
    /// Bytes on disk (st_blocks), each hard-linked file counted once.
    public var Size: Int64

    public init(Place: String, Path: String, Files: Int, Size: Int64) {
        self.Place = Place
        self.Path = Path
        self.Files = Files
        self.Size = Size
    }
}
