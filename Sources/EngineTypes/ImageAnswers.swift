public import JSON

/// One row of `GET /images/json` (API: ImageSummary). Sizes in bytes.
public struct ImageSummary: Codable, Sendable {
    public var Id: String
    public var ParentId: String
    public var RepoTags: [String]
    public var RepoDigests: [String]
    public var Created: Int64
    public var Size: Int64
    public var SharedSize: Int64
    public var Labels: [String: String]?
    public var Containers: Int
    /// Of the image's manifest (OCIDescriptor).
    public var Descriptor: JSONValue?
    /// Only when they were asked for.
    public var Manifests: [ImageManifestSummary]?

    public init(
        Id: String, ParentId: String, RepoTags: [String], RepoDigests: [String], Created: Int64, Size: Int64, SharedSize: Int64 = -1,
        Labels: [String: String]?, Containers: Int = -1
    ) {
        self.Id = Id
        self.ParentId = ParentId
        self.RepoTags = RepoTags
        self.RepoDigests = RepoDigests
        self.Created = Created
        self.Size = Size
        self.SharedSize = SharedSize
        self.Labels = Labels
        self.Containers = Containers
    }
}

/// One manifest of an image (API: ImageManifestSummary). Sizes in bytes.
public struct ImageManifestSummary: Codable, Sendable {
    public var ID: String
    public var Descriptor: JSONValue
    public var Available: Bool
    public var Size: Sizes
    public var Kind: String
    public var ImageData: Data

    public struct Sizes: Codable, Sendable {
        /// With what is unpacked.
        public var Total: Int64
        /// Manifest, config and packed layers.
        public var Content: Int64

        public init(Total: Int64, Content: Int64) {
            self.Total = Total
            self.Content = Content
        }
    }

    public struct Data: Codable, Sendable {
        public var Platform: JSONValue
        public var Containers: [String]
        public var Size: Unpacked

        public struct Unpacked: Codable, Sendable {
            public var Unpacked: Int64
            public init(Unpacked: Int64) { self.Unpacked = Unpacked }
        }

        public init(Platform: JSONValue, Containers: [String], Size: Unpacked) {
            self.Platform = Platform
            self.Containers = Containers
            self.Size = Size
        }
    }

    /// An image's manifest whose content is here.
    public init(ID: String, Descriptor: JSONValue, Size: Sizes, ImageData: Data) {
        self.ID = ID
        self.Descriptor = Descriptor
        self.Available = true
        self.Size = Size
        self.Kind = "image"
        self.ImageData = ImageData
    }
}

/// The answer to `GET /images/{name}/json`.
public struct ImageInspect: Codable, Sendable {
    public var Id: String
    public var RepoTags: [String]
    public var RepoDigests: [String]
    public var Parent: String
    public var Comment: String
    public var Created: String
    public var DockerVersion: String
    public var Author: String
    public var Config: JSONValue
    public var Architecture: String
    public var Variant: String?
    public var Os: String
    public var Size: Int64
    public var VirtualSize: Int64?
    public var GraphDriver: DriverData
    public var RootFS: RootFS
    public var Metadata: Metadata
    /// Of the image's manifest (OCIDescriptor).
    public var Descriptor: JSONValue?
    /// Only when they were asked for.
    public var Manifests: [ImageManifestSummary]?

    public struct RootFS: Codable, Sendable {
        public var `Type`: String
        public var Layers: [String]

        public init(Type: String, Layers: [String]) {
            self.Type = Type
            self.Layers = Layers
        }
    }

    public struct Metadata: Codable, Sendable {
        public var LastTagTime: String?
        public init(LastTagTime: String?) { self.LastTagTime = LastTagTime }
    }

    public init(
        Id: String, RepoTags: [String], RepoDigests: [String], Parent: String, Comment: String, Created: String, Author: String,
        Config: JSONValue, Architecture: String, Variant: String?, Os: String, Size: Int64, GraphDriver: DriverData, RootFS: RootFS,
        Metadata: Metadata
    ) {
        self.Id = Id
        self.RepoTags = RepoTags
        self.RepoDigests = RepoDigests
        self.Parent = Parent
        self.Comment = Comment
        self.Created = Created
        self.DockerVersion = ""
        self.Author = Author
        self.Config = Config
        self.Architecture = Architecture
        self.Variant = Variant
        self.Os = Os
        self.Size = Size
        self.GraphDriver = GraphDriver
        self.RootFS = RootFS
        self.Metadata = Metadata
    }
}

/// One row of `GET /images/{name}/history`. `Created` in Unix seconds, `Size` in bytes.
public struct ImageHistoryEntry: Codable, Sendable {
    public var Id: String
    public var Created: Int64
    public var CreatedBy: String
    public var Tags: [String]?
    public var Size: Int64
    public var Comment: String

    public init(Id: String, Created: Int64, CreatedBy: String, Tags: [String]?, Size: Int64, Comment: String) {
        self.Id = Id
        self.Created = Created
        self.CreatedBy = CreatedBy
        self.Tags = Tags
        self.Size = Size
        self.Comment = Comment
    }
}

/// One step of a deletion: exactly one of the two is set (API: ImageDeleteResponseItem).
public struct ImageDeletion: Codable, Sendable, Equatable {
    public var Untagged: String?
    public var Deleted: String?

    public init(Untagged: String? = nil, Deleted: String? = nil) {
        self.Untagged = Untagged
        self.Deleted = Deleted
    }
}
