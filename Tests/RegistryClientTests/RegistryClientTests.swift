import Testing

@testable import RegistryClient

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
    (
        404, #"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
        "manifest for x:1 not found: manifest unknown: manifest unknown"
    ),
    (404, #"{"errors":[{"code":"NAME_UNKNOWN"}]}"#, "repository x not found: name unknown: repository name not known to registry"),
    (404, "<html>", "manifest for x:1 not found: manifest unknown: manifest unknown"),
    (401, #"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#, "unauthorized: authentication required"),
    (401, #"{"details":"incorrect username or password"}"#, "unauthorized: incorrect username or password"),
    (
        403, #"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#,
        "pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"
    ),
    (
        429, #"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#,
        "toomanyrequests: You have reached your pull rate limit."
    ),
    (429, "", "toomanyrequests: too many requests"), (500, "oops", "received unexpected HTTP status: 500 Reason"),
    (400, "no json", "error parsing HTTP 400 response body: \"no json\""),
]) func refusalsInDockersWords(status: Int, body: String, expected: String) {
    let failure = RegistryFailure(status: status, reason: "Reason", body: Array(body.utf8))
    #expect(failure.reading("x", "manifest for x:1").message == expected)
}

@Test func aChallengeTellsMoreThanTheBody() {
    let challenge = AuthenticationChallenge(scheme: "bearer", parameters: ["error": "insufficient_scope"])
    let failure = RegistryFailure(
        status: 401, reason: "", body: Array(#"{"errors":[{"code":"UNAUTHORIZED"}]}"#.utf8), challenges: [challenge])
    #expect(failure.error == RegistryError(.denied, "denied: requested access to the resource is denied"))
}

@Test(arguments: [
    ("busybox", "docker.io", "busybox"), ("library/busybox", "docker.io", "busybox"), ("me/x y", "docker.io", "me/x y"),
    ("localhost/x", "localhost", "x"), ("reg:5000/a/b", "reg:5000", "a/b"), ("docker.io/x", "docker.io", "x"),
]) func searchTerms(term: String, domain: String, words: String) {
    #expect(RegistryClient.split(term) == (domain, words))
}

@Test(arguments: [
    (["repository:a:pull"], ["repository:a:pull"], ["repository:a:pull"]),
    (["repository:a:pull,push"], ["repository:a:pull"], ["repository:a:pull,push"]),
    (["repository:a:pull"], ["repository:a:pull,push"], ["repository:a:pull", "repository:a:pull,push"]),
    ([], ["registry:catalog:*"], ["registry:catalog:*"]),
]) func scopesTogether(wanted: [String], challenged: [String], expected: [String]) {
    #expect(Authorizer.union(wanted, challenged) == expected)
}
