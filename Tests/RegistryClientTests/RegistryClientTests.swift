import OCIImageSpec
import RegistryClient
import Testing

@Test func challengesOfRegistries() {
    let hub = AuthenticationChallenge.parse(
        #"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull repository:y:push""#)
    #expect(hub.count == 1 && hub.first?.scheme == "bearer" && hub.first?.realm == "https://auth.docker.io/token")
    #expect(hub.first?.scopes == ["repository:library/x:pull", "repository:y:push"])
    let two = AuthenticationChallenge.parse(#"Basic realm="a \"quoted\", realm" , Bearer Realm=x,service = "s""#)
    #expect(two.map(\.scheme) == ["basic", "bearer"])
    #expect(two.first?.realm == #"a "quoted", realm"# && two.last?.realm == "x" && two.last?.service == "s")
}

@Test(arguments: ["", ",,", "Bearer realm=\"open", "= x", "Bearer realm=", "\"\""]) func malformedChallengesEndTheList(text: String) {
    #expect(AuthenticationChallenge.parse(text).allSatisfy { $0.realm == nil })
}

@Test(arguments: [
    ("x", ["https://registry-1.docker.io/v2/"]), ("ghcr.io/x", ["https://ghcr.io/v2/"]),
    ("localhost:5000/x", ["https://localhost:5000/v2/", "http://localhost:5000/v2/"]),
    ("127.1.2.3/x", ["https://127.1.2.3/v2/", "http://127.1.2.3/v2/"]),
    ("[::1]:5000/x", ["https://[::1]:5000/v2/", "http://[::1]:5000/v2/"]),
    ("10.1.2.3:5/x", ["https://10.1.2.3:5/v2/", "http://10.1.2.3:5/v2/"]), ("a.lan/x", ["https://a.lan/v2/", "http://a.lan/v2/"]),
    ("reg.corp:80/x", ["https://reg.corp:80/v2/", "http://reg.corp:80/v2/"]), ("11.1.2.3/x", ["https://11.1.2.3/v2/"]),
]) func endpoints(name: String, expected: [String]) throws {
    let found = RegistryEndpoint.endpoints(for: try ImageReference(name), insecure: ["10.0.0.0/8", "*.lan", "reg.corp:80"])
    #expect(found.map(\.description) == expected)
    #expect(found.last?.verifiesCertificate == (expected.count == 1))
}

@Test func transfersSayThatTheyAreNotBuilt() throws {
    let error = #expect(throws: RegistryError.self) { try RegistryClient().repository(try ImageReference("x"), credentials: .anonymous) }
    #expect(error?.message == "not implemented: transfers from and to registries")
}
