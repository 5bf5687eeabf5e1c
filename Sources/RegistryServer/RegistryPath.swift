internal import HTTPServer
internal import JSON
internal import NIOHTTP1
internal import OCIImageSpec

/// What a path of the protocol names. Throws the specification's error for names, digests and tags of a wrong form,
/// so that nothing a client sends reaches the file system unchecked.
enum RegistryPath {
    case base, catalog
    case tags(String)
    case referrers(String, Digest)
    case manifest(String, Reference)
    case blob(String, Digest)
    case uploads(String)
    case upload(String, id: String)

    /// A manifest's tag or digest.
    enum Reference: CustomStringConvertible {
        case tag(String)
        case digest(Digest)

        var description: String {
            switch self {
            case .tag(let tag): tag
            case .digest(let digest): digest.description
            }
        }
    }

    init(_ path: Substring) throws {
        let parts = path.split(separator: "/").map { Percent.decode($0) }
        guard parts.first == "v2" else { throw RegistryError(.notFound, "UNSUPPORTED", "page not found") }
        if parts.count == 1 { self = .base; return }
        if parts == ["v2", "_catalog"] { self = .catalog; return }
        func name(_ behind: Int) throws -> String { try Self.checked(name: parts[1..<parts.count - behind].joined(separator: "/")) }
        let count = parts.count
        if count >= 5, parts[count - 3] == "blobs", parts[count - 2] == "uploads" {
            self = .upload(try name(3), id: parts[count - 1])
        } else if count >= 4, parts[count - 2] == "blobs", parts[count - 1] == "uploads" {
            self = .uploads(try name(2))
        } else if count >= 4, parts[count - 2] == "blobs" {
            self = .blob(try name(2), try Self.digest(parts[count - 1]))
        } else if count >= 4, parts[count - 2] == "manifests" {
            let text = parts[count - 1]
            self = .manifest(try name(2), text.contains(":") ? .digest(try Self.digest(text)) : .tag(try Self.checked(tag: text)))
        } else if count >= 4, parts[count - 2] == "referrers" {
            self = .referrers(try name(2), try Self.digest(parts[count - 1]))
        } else if count >= 4, parts[count - 2] == "tags", parts[count - 1] == "list" {
            self = .tags(try name(2))
        } else {
            throw RegistryError(.notFound, "UNSUPPORTED", "page not found")
        }
    }

    /// The repository that it lies in; nil for the registry's own.
    var repository: String? {
        switch self {
        case .base, .catalog: nil
        case .tags(let name), .referrers(let name, _), .manifest(let name, _), .blob(let name, _), .uploads(let name), .upload(let name, _):
            name
        }
    }

    /// For the log and the metrics: which endpoint it is.
    var endpoint: String {
        switch self {
        case .base: "base"
        case .catalog: "catalog"
        case .tags: "tags"
        case .referrers: "referrers"
        case .manifest: "manifest"
        case .blob: "blob"
        case .uploads, .upload: "upload"
        }
    }

    static func digest(_ text: String) throws -> Digest {
        do { return try Digest(text) } catch { throw RegistryError.badDigest("invalid digest: \(text)") }
    }

    /// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` between slashes, at most 255 bytes.
    static func checked(name: String) throws -> String {
        func isAlphanumeric(_ byte: UInt8) -> Bool { (97...122).contains(byte) || (48...57).contains(byte) }
        let valid =
            !name.isEmpty && name.utf8.count <= 255
            && name.utf8.split(separator: 47, omittingEmptySubsequences: false).allSatisfy { part in
                guard let first = part.first, let last = part.last, isAlphanumeric(first), isAlphanumeric(last) else { return false }
                return part.split(whereSeparator: isAlphanumeric).allSatisfy {
                    let separator = String(decoding: Array($0), as: UTF8.self)
                    return [".", "_", "__"].contains(separator) || separator.allSatisfy { $0 == "-" }
                }
            }
        guard valid else {
            throw RegistryError(.badRequest, "NAME_INVALID", "invalid repository name: \(name)", detail: ["name": .string(name)])
        }
        return name
    }

    /// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
    static func checked(tag: String) throws -> String {
        let valid =
            !tag.isEmpty && tag.utf8.count <= 128
            && tag.utf8.enumerated().allSatisfy { index, byte in
                switch byte {
                case 48...57, 65...90, 97...122, 95: true
                case 45, 46: index > 0
                default: false
                }
            }
        guard valid else { throw RegistryError(.badRequest, "TAG_INVALID", "invalid tag: \(tag)", detail: ["tag": .string(tag)]) }
        return tag
    }
}
