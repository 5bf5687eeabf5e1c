internal import NIOHTTP1
internal import Synchronization

/// Signature version 4 as S3 takes it ("Authenticating Requests: Using the Authorization Header").
struct S3Signature: Sendable {
    let accessKey: String
    let secretKey: String
    /// Of credentials that last for a while only.
    let sessionToken: String?
    let region: String

    /// Adds what signs a request to its headers.
    /// - Parameters:
    ///   - path: already escaped.
    ///   - query: names and values, not escaped.
    ///   - headers: all that are to be signed, `Host` among them.
    ///   - payload: SHA-256 of the body, in hexadecimal digits.
    ///   - time: `20130524T000000Z`.
    func sign(
        _ method: HTTPMethod, path: String, query: [(name: String, value: String)], headers: inout HTTPHeaders, payload: String,
        time: String
    ) {
        headers.replaceOrAdd(name: "x-amz-content-sha256", value: payload)
        headers.replaceOrAdd(name: "x-amz-date", value: time)
        if let sessionToken { headers.replaceOrAdd(name: "x-amz-security-token", value: sessionToken) }
        let signed = headers.map { (name: $0.name.lowercased(), value: Self.trimmed($0.value)) }.sorted { $0.name < $1.name }
        let names = signed.map(\.name).joined(separator: ";")
        let canonical =
            "\(method.rawValue)\n\(path)\n\(Self.text(of: query))\n"
            + signed.map { "\($0.name):\($0.value)\n" }.joined() + "\n\(names)\n\(payload)"
        let day = String(time.prefix(8))
        let scope = "\(day)/\(region)/s3/aws4_request"
        let text = "AWS4-HMAC-SHA256\n\(time)\n\(scope)\n\(Signing.hex(Signing.sha256(Array(canonical.utf8))))"
        var key = Array("AWS4\(secretKey)".utf8)
        for part in [day, region, "s3", "aws4_request"] { key = Signing.hmac(key, Array(part.utf8)) }
        let signature = Signing.hex(Signing.hmac(key, Array(text.utf8)))
        headers.replaceOrAdd(
            name: "Authorization",
            value: "AWS4-HMAC-SHA256 Credential=\(accessKey)/\(scope),SignedHeaders=\(names),Signature=\(signature)")
    }

    /// A query in the one form that is signed: sorted, and escaped as much as may be.
    static func text(of query: [(name: String, value: String)]) -> String {
        query.map { (RegistryServer.escaped($0.name), RegistryServer.escaped($0.value)) }.sorted { $0 < $1 }
            .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }

    private static func trimmed(_ text: String) -> String {
        text.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
    }
}
