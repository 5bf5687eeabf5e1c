import AsyncHTTPClient
import NIOHTTP1
import Testing

@testable import RegistryServer

@Suite struct S3Tests {
    /// The examples of "Authenticating Requests: Using the Authorization Header" in the Amazon S3 API reference.
    @Test(
        arguments: [
            (
                "GET", "/test.txt", [], [("Range", "bytes=0-9")], S3Client.emptyDigest,
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
            ),
            (
                "PUT", "/test%24file.text", [], [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
                "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
            ),
            (
                "GET", "/", [("lifecycle", "")], [], S3Client.emptyDigest,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
            ),
            (
                "GET", "/", [("max-keys", "2"), ("prefix", "J")], [], S3Client.emptyDigest,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
            ),
        ] as [(String, String, [(String, String)], [(String, String)], String, String)])
    func signature(
        _ method: String, _ path: String, _ query: [(String, String)], _ given: [(String, String)], _ payload: String, _ expected: String
    ) {
        let signature = S3Signature(
            accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", sessionToken: nil, region: "us-east-1"
        )
        var headers = HTTPHeaders([("Host", "examplebucket.s3.amazonaws.com")] + given)
        signature.sign(
            HTTPMethod(rawValue: method), path: path, query: query.map { (name: $0.0, value: $0.1) }, headers: &headers, payload: payload,
            time: "20130524T000000Z")
        let value = headers.first(name: "Authorization") ?? ""
        #expect(value.hasSuffix("Signature=\(expected)"), "\(value)")
        #expect(value.hasPrefix("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="))
    }

    @Test func aSessionTokenIsSent() {
        let signature = S3Signature(accessKey: "a", secretKey: "b", sessionToken: "token", region: "eu-west-1")
        var headers: HTTPHeaders = ["Host": "h"]
        signature.sign(.GET, path: "/", query: [], headers: &headers, payload: S3Client.emptyDigest, time: "20130524T000000Z")
        #expect(headers.first(name: "x-amz-security-token") == "token")
        #expect(headers.first(name: "Authorization")?.contains("x-amz-security-token") == true)
    }

    @Test func xml() throws {
        let text = """
            <?xml version="1.0" encoding="UTF-8"?>
            <List xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated><Prefix/>
              <Contents><Key>a&amp;b&#x3c;&#62;&quot;</Key><Size>5</Size></Contents><Contents><Key>c</Key></Contents></List>
            """
        let list = try #require(XMLElement(parsing: Array(text.utf8)))
        #expect(list.name == "List" && list["IsTruncated"] == "true" && list["Prefix"] == "" && list["None"] == nil)
        #expect(list.all("Contents").map { $0["Key"] } == ["a&b<>\"", "c"])
        #expect(list.all("Contents").map { $0["Size"] } == ["5", nil])
        #expect(XMLElement.escaped("a&b<>\"") == "a&amp;b&lt;&gt;&quot;")
    }

    @Test(arguments: ["", "no xml", "<a>", "<a></b>", "<a/><b/>", "</a>", "<!DOCTYPE a><a/>", String(repeating: "<a>", count: 100)])
    func noXML(_ text: String) { #expect(XMLElement(parsing: Array(text.utf8)) == nil) }

    @Test(arguments: [
        ("https://s3.eu-west-1.amazonaws.com", true, "", "s3.eu-west-1.amazonaws.com", "/my.bucket", "/my.bucket/a%20b/c"),
        ("https://s3.eu-west-1.amazonaws.com:443/", false, "", "my.bucket.s3.eu-west-1.amazonaws.com", "/", "/a%20b/c"),
        ("http://localhost:80", true, "x/y+", "localhost", "/my.bucket", "/my.bucket/x/y%2B/a%20b/c"),
        ("http://localhost:9000", false, "x", "my.bucket.localhost:9000", "/", "/x/a%20b/c"),
    ])
    func addresses(_ endpoint: String, _ usesPathStyle: Bool, _ prefix: String, _ host: String, _ bucket: String, _ object: String) {
        var configuration = RegistryConfiguration.S3(endpoint: endpoint, bucket: "my.bucket", accessKey: "a", secretKey: "b")
        configuration.usesPathStyle = usesPathStyle
        configuration.prefix = prefix
        let client = S3Client(configuration, http: .shared)
        #expect(client.host == host && client.path(of: nil) == bucket && client.path(of: "a b/c") == object)
    }

    @Test func keysOfOthersAreLeftAlone() {
        var configuration = RegistryConfiguration.S3(endpoint: "http://h", bucket: "b", accessKey: "a", secretKey: "b")
        configuration.prefix = "ü/x"
        let client = S3Client(configuration, http: .shared)
        #expect(client.own("ü/x/blobs/a") == "blobs/a" && client.own("ü/xy/blobs/a") == nil && client.own("blobs/a") == nil)
    }

    @Test func httpDates() {
        #expect(S3Client.seconds(httpDate: "Sun, 06 Nov 1994 08:49:37 GMT") == 784_111_777)
        #expect(S3Client.seconds(httpDate: "nonsense") == 0)
    }
}
