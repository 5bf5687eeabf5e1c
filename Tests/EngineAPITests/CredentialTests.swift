import HTTPServer
import Logging
import NIOHTTP1
import RegistryClient
import Testing

@testable import EngineAPI

@Suite struct CredentialsOfCalls {
    private func call(_ headers: HTTPHeaders) -> Call {
        let request = Request(method: .POST, target: "/x", headers: headers)
        return Call(
            request: request, version: .newest, parameters: [:], query: request.query, backends: FakeEngine.backends,
            listings: ContainerListings(),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    @Test(arguments: [
        // {"username":"u?>","password":"p~~","serveraddress":"r"}, in the URL's alphabet and in the other one, without padding too.
        ("eyJ1c2VybmFtZSI6InU_PiIsInBhc3N3b3JkIjoicH5-Iiwic2VydmVyYWRkcmVzcyI6InIifQ==", "u?>", "p~~"),
        ("eyJ1c2VybmFtZSI6InU/PiIsInBhc3N3b3JkIjoicH5+Iiwic2VydmVyYWRkcmVzcyI6InIifQ", "u?>", "p~~"),
        // {"auth":"dTpwOnE="}: the older form.
        ("eyJhdXRoIjoiZFRwd09uRT0ifQ==", "u", "p:q"),
        // {"Username":"U"}: Go reads members whatever their case.
        ("eyJVc2VybmFtZSI6IlUifQ==", "U", ""),
        // Nobody: {}, null, no JSON, no base 64.
        ("e30=", "", ""), ("bnVsbA==", "", ""), ("bm9uc2Vuc2U=", "", ""), ("***", "", ""), ("", "", ""),
    ])
    func ofAHeader(_ text: String, _ username: String, _ password: String) {
        let credentials = call(["X-Registry-Auth": text]).registryCredentials()
        #expect(credentials.username == username && credentials.password == password)
    }

    @Test func ofABuild() {
        // {"https://index.docker.io/v1/":{"username":"a"},"r:5000":{"identitytoken":"i"}}
        let text = "eyJodHRwczovL2luZGV4LmRvY2tlci5pby92MS8iOnsidXNlcm5hbWUiOiJhIn0sInI6NTAwMCI6eyJpZGVudGl0eXRva2VuIjoiaSJ9fQ=="
        let all = call(["X-Registry-Config": text]).registryConfig()
        #expect(all["https://index.docker.io/v1/"]?.username == "a" && all["r:5000"]?.identityToken == "i" && all.count == 2)
        #expect(call([:]).registryConfig().isEmpty)
        #expect(call([:]).registryCredentials() == .anonymous)
    }

    @Test func pushingWantsOneOfTheTwo() async {
        await #expect(throws: APIError.self) { try await call([:]).registryCredentialsOrBody() }
    }
}
