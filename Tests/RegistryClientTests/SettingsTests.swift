import AsyncHTTPClient
import OCIImageSpec
import Testing

@testable import RegistryClient

@Suite struct Settings {
    @Test(arguments: [
        ("docker.io", ["https://registry-1.docker.io/v2/"]), ("ghcr.io", ["https://ghcr.io/v2/"]),
        ("localhost:5000", ["https://localhost:5000/v2/", "http://localhost:5000/v2/"]),
        ("127.1.2.3", ["https://127.1.2.3/v2/", "http://127.1.2.3/v2/"]),
        ("[::1]:5000", ["https://[::1]:5000/v2/", "http://[::1]:5000/v2/"]),
        ("10.1.2.3:5", ["https://10.1.2.3:5/v2/", "http://10.1.2.3:5/v2/"]), ("a.lan", ["https://a.lan/v2/", "http://a.lan/v2/"]),
        ("reg.corp:80", ["https://reg.corp:80/v2/", "http://reg.corp:80/v2/"]), ("11.1.2.3", ["https://11.1.2.3/v2/"]),
        ("[fd00::7]:5", ["https://[fd00::7]:5/v2/", "http://[fd00::7]:5/v2/"]),
    ]) func endpoints(domain: String, expected: [String]) async {
        var settings = RegistrySettings()
        settings.insecure = ["10.0.0.0/8", "*.lan", "reg.corp:80", "fd00::/8"]
        let found = await settings.endpoints(of: domain)
        #expect(found.map(\.description) == expected)
        #expect(found.last?.verifiesCertificate == (expected.count == 1))
    }

    @Test func mirrorsComeFirstAndTakeNothing() async {
        var settings = RegistrySettings()
        settings.mirrors = ["docker.io": ["https://m.example/", "http://n.example:5/sub/"], "ghcr.io": ["https://g.example"]]
        let hub = ["https://m.example/v2/", "http://n.example:5/sub/v2/", "https://registry-1.docker.io/v2/"]
        #expect(await settings.endpoints(of: "docker.io").map(\.description) == hub)
        #expect(await settings.endpoints(of: "ghcr.io").map(\.description) == ["https://g.example/v2/", "https://ghcr.io/v2/"])
        #expect(await settings.endpoints(of: "docker.io", withMirrors: false).map(\.description) == [hub[2]])
    }

    @Test(
        arguments: [
            ("https://m.example", nil), ("http://m.example:5000/x/", nil), ("m.example", "no scheme"), ("ftp://m", "unsupported scheme"),
            ("https://m/?a=1", "query or fragment"), ("https://u:p@m/", "username/password not allowed"), ("https://", "not a valid URI"),
        ] as [(String, String?)])
    func mirrorsThatCannotBe(_ text: String, _ expected: String?) {
        let objection = RegistrySettings.objection(toMirror: text)
        #expect(expected.map { objection?.contains($0) == true } ?? (objection == nil))
        #expect(objection?.contains("u:p") != true)
    }

    @Test(arguments: [
        ("reg:5000", true), ("10.0.0.0/8", true), ("*.lan", true), ("reg.example", true), ("http://reg", false), ("reg:x", false),
        ("", false), ("a b", false), ("reg/path", false),
    ])
    func insecureRegistries(_ text: String, _ isGood: Bool) {
        #expect((RegistrySettings.objection(toInsecure: text) == nil) == isGood)
    }

    @Test(
        arguments: [
            ("https://a/b/c?x=1", "/d", "https://a/d"), ("https://a/b/c", "d?e", "https://a/b/d?e"),
            ("https://a/b/c", "?e", "https://a/b/c?e"),
            ("https://a/b", "http://c:5/d#f", "http://c:5/d"), ("http://a:5/b", "//c/d", "http://c/d"), ("https://a/b", "mailto:x", nil),
            ("https://a/b", "", nil), ("https://a/b", "https://u:p@c/", nil),
        ] as [(String, String, String?)])
    func references(_ base: String, _ reference: String, _ expected: String?) {
        #expect(WebAddress(base)?.resolving(reference)?.description == expected)
    }

    @Test func origins() throws {
        let address = try #require(WebAddress("https://A.example/x"))
        #expect(try address.hasSameOrigin(as: #require(WebAddress("https://a.example:443/y"))))
        for other in ["http://a.example/", "https://a.example:444/", "https://b.example/"] {
            #expect(try !address.hasSameOrigin(as: #require(WebAddress(other))))
        }
        #expect(address.adding("a", "b/c").adding("d", "e").description == "https://a.example/x?a=b%2Fc&d=e")
    }
}

@Suite struct Proxies {
    @Test(
        arguments: [
            ("https://reg.example/v2/", "", "s.proxy:3129"), ("http://reg.example/v2/", "", "h.proxy:80"),
            ("http://localhost:5/", "", nil), ("https://127.0.0.9/", "", nil), ("https://[::1]:5/", "", nil),
            ("https://reg.example/", "*", nil), ("https://reg.example/", "other, example", nil), ("https://reg.example/", ".example", nil),
            ("https://example/", ".example", "s.proxy:3129"), ("https://reg.example/", "reg.example:443", nil),
            ("https://reg.example/", "reg.example:5000", "s.proxy:3129"), ("https://10.1.2.3/", "10.0.0.0/8", nil),
            ("https://10.1.2.3/", "10.1.2.3", nil), ("https://10.1.2.3/", "10.1.2.4", "s.proxy:3129"),
            ("https://xexample/", "example", "s.proxy:3129"), ("https://a.b.example/", "*.example", nil),
        ] as [(String, String, String?)])
    func rules(_ text: String, _ none: String, _ expected: String?) throws {
        let settings = ProxySettings(http: "http://h.proxy", https: "u%40x:p:q@s.proxy:3129", none: none)
        let proxy = try settings.proxy(for: try #require(WebAddress(text)))
        #expect(proxy.map { "\($0.host):\($0.port)" } == expected)
        if expected?.hasPrefix("s") == true { #expect(proxy?.authorization == .basic(username: "u@x", password: "p:q")) }
    }

    @Test func environment() {
        let values = ["http_proxy": "a", "HTTPS_PROXY": "b", "https_proxy": "c", "NO_PROXY": "d"]
        #expect(ProxySettings { values[$0] } == ProxySettings(http: "a", https: "b", none: "d"))
    }

    @Test(
        arguments: [("http://p:1", nil), ("socks5://p", nil), ("https://p", "proxy of scheme https"), ("http://", "invalid proxy address")]
            as [(String, String?)])
    func thatCannotBe(_ text: String, _ expected: String?) {
        let objection = ProxySettings.objection(to: text)
        #expect(expected.map { objection?.contains($0) == true } ?? (objection == nil))
        #expect(ProxySettings.masked("http://u:p@h:1") == "http://xxxxx:xxxxx@h:1" && ProxySettings.masked("h:1") == "h:1")
    }
}
