internal import JSON

/// The user namespace of a container whose ids are not the host's, and who its root is outside.
public struct MappedRoot: Sendable, Equatable {
    /// Path of the user namespace as the shim or helper sees it.
    public var userNamespace: String
    /// The host's numbers of its user and group 0.
    public var uid: UInt32
    public var gid: UInt32

    public init(userNamespace: String, uid: UInt32, gid: UInt32) {
        self.userNamespace = userNamespace
        self.uid = uid
        self.gid = gid
    }
}

extension MappedRoot {
    var json: JSONValue {
        var writer = FieldsWriter()
        writer.put("userNamespace", userNamespace)
        writer.put("uid", uid)
        writer.put("gid", gid)
        return writer.value
    }

    init(_ fields: Fields) throws(ShimFailure) {
        userNamespace = try fields.string("userNamespace")
        uid = try fields.number("uid")
        gid = try fields.number("gid")
    }

    /// The member `mappedRoot`, which may be missing.
    init?(memberOf fields: Fields) throws(ShimFailure) {
        if fields.isAbsent("mappedRoot") { return nil }
        try self.init(try fields.object("mappedRoot"))
    }
}
