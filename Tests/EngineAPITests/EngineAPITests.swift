import EngineTypes
import Glibc
import JSON
import Linux
import NIOHTTP1
import Testing

@testable import EngineAPI

@Suite struct CoverageDocument {
    private static let root = Files.parent(of: Files.parent(of: Files.parent(of: #filePath)))

    /// The rows of docs/api-coverage.md: `| path | GET done, POST 501 |`.
    private func document(own: Bool = false) throws -> Set<String> {
        var rows: Set<String> = []
        var isOwn = false
        for line in try Files.readText("\(Self.root)/docs/api-coverage.md").split(separator: "\n") {
            if line == "## Clipper's own" { isOwn = true }
            guard isOwn == own, line.hasPrefix("| `/") else { continue }
            let cells = line.split(separator: "|").map { String($0).trimmingSpaces }
            for entry in cells[1].split(separator: ",") { rows.insert("\(cells[0].filter { $0 != "`" }) \(String(entry).trimmingSpaces)") }
        }
        return rows
    }

    @Test func agreesWithTheRouteTable() throws {
        let table = EngineAPI.routes.map { "\($0.path) \($0.method) \($0.state)" }
        #expect(Set(table).count == table.count)
        #expect(Set(table) == (try document()))
    }

    @Test func tellsOfOurOwnCallsApart() throws {
        let own = Set(EngineAPI.ownRoutes.map { "\($0.path) \($0.method) \($0.state)" })
        #expect(own == (try document(own: true)))
        #expect(own.isDisjoint(with: EngineAPI.routes.map { "\($0.path) \($0.method) \($0.state)" }))
    }

    @Test(.enabled(if: Files.exists("\(root)/../shared/reference/docker-engine-api-v1.50.yaml"), "the reference is not here"))
    func agreesWithTheReference() throws {
        var reference: Set<String> = []
        var path = ""
        var inPaths = false
        for line in try Files.readText("\(Self.root)/../shared/reference/docker-engine-api-v1.50.yaml").split(separator: "\n") {
            if line == "paths:" { inPaths = true }
            guard inPaths else { continue }
            if line.hasPrefix("  /") { path = String(line.dropFirst(2).prefix { $0 != ":" }) }
            for method in ["get", "post", "put", "delete", "head"] where line == "    \(method):" {
                reference.insert("\(path) \(method.uppercased())")
            }
        }
        #expect(Set(EngineAPI.routes.map { "\($0.path) \($0.method)" }) == reference)
        #expect(Set(EngineAPI.routes.map(\.path)).count == 97)
    }
}

@Suite struct Routing {
    @Test(arguments: [
        ("/images/a/b/c:1/json", "/images/{name*}/json", "a/b/c:1"), ("/images/json", "/images/json", ""),
        ("/images/json/json", "/images/{name*}/json", "json"), ("/images/reg%2Fx/history", "/images/{name*}/history", "reg/x"),
    ])
    func imageNamesMayHaveSlashes(_ path: String, _ pattern: String, _ name: String) {
        let match = Router(routes: EngineAPI.routes).match(.GET, path[...])
        #expect(match?.route.pattern == pattern)
        #expect(match?.parameters["name"] ?? "" == name)
    }

    /// A container's other name, by a link, has one.
    @Test(arguments: [("/containers/web/db/json", "web/db"), ("/containers/web%2Fdb/json", "web/db"), ("/containers/c1/json", "c1")])
    func containerNamesMayHaveSlashes(_ path: String, _ id: String) {
        #expect(Router(routes: EngineAPI.routes).match(.GET, path[...])?.parameters["id"] == id)
    }

    @Test(arguments: ["/containers//json", "/containers/x", "/", "", "/images//json", "/v1.41", "/containers/a/b/nothing"])
    func unknownPathsMatchNothing(_ path: String) { #expect(Router(routes: EngineAPI.routes).match(.GET, path[...]) == nil) }

    @Test func versionsCompareAsNumbers() {
        #expect(APIVersion("1.9") < APIVersion("1.24"))
        #expect(APIVersion("2") > APIVersion("1.50"))
        #expect(APIVersion("1.50.0") == APIVersion("1.50"))
        #expect(APIVersion.split("/v1.41/info")?.rest == "/info")
        #expect(APIVersion.split("/volumes") == nil)
    }

    @Test func base64() {
        #expect(["", "f", "fo", "foo", "foob"].map { Base64.encode(Array($0.utf8)) } == ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="])
    }
}

@Suite struct OverTheSocket {
    /// method, path, more curl arguments, status, text that the answer must have.
    static let calls: [(String, String, String, String)] = [
        ("-X GET /_ping", "", "200", "OK"), ("-I /v1.30/_ping", "", "200", "Api-Version: 1.50"),
        ("-i /_ping", "", "200", "Builder-Version: 1"),
        ("-X POST /system/check?deep=1", "", "200", #""Deep":true,"Findings":[{"Kind":"layer","Subject":"sha256:1","Message":"#),
        ("-X POST /v1.41/system/check?repair=1", "", "200", #""Repair":"done""#),
        (
            "-X POST /system/streams/prune", "", "200",
            #"{"Layers":["sha256:1"],"SpaceReclaimed":7,"Kept":[{"Layer":"sha256:2","Reason":"it is being used"}]}"#
        ),
        ("/system/usage", "", "200", #"[{"Place":"layers","Path":"/x/layers","Files":2,"Size":4096}]"#),
        ("/v1.99/info", "", "400", "client version 1.99 is too new. Maximum supported API version is 1.50"),
        ("/v1.10/info", "", "400", "client version 1.10 is too old. Minimum supported API version is 1.22, please upgrade"),
        ("/nothing", "", "404", #"{"message":"page not found"}"#), ("-X PATCH /info", "", "404", "page not found"),
        (
            "-X POST /auth", #"-H 'Content-Type: application/json' -d '{"username":"u","serveraddress":"r"}'"#, "200",
            #"{"IdentityToken":"r","Status":"Login Succeeded"}"#
        ),
        ("-X POST /auth", #"-H 'Content-Type: application/json' -d '{"username":"bad"}'"#, "401", "401 Unauthorized"),
        (
            "/distribution/a/known:1/json", "", "200",
            #""size":7},"Platforms":[{"architecture":"arm","os":"linux","variant":"v7"}]}"#
        ),
        ("/distribution/other/json", "", "404", "manifest unknown: manifest unknown"),
        ("-g '/images/search?term=x&limit=3&filters={\"stars\":[\"2\"]}'", "", "200", #""is_automated":false,"description":"3 [\"2\"]""#),
        ("/images/search", "", "400", "term: "),
        (
            "-i /registry/manifests/a/b:1", "", "200",
            "Docker-Content-Digest: sha256:0101010101010101010101010101010101010101010101010101010101010101"
        ),
        ("-X PUT /registry/manifests/a/b:1", "-d '{}'", "400", "unsupported Content-Type header"),
        ("/registry/blobs/a/b?digest=sha256:0101010101010101010101010101010101010101010101010101010101010101", "", "200", "{}"),
        ("/registry/blobs/a/b?digest=x", "", "400", "digest: "),
        ("-X POST /registry/blobs/a/b?digest=sha256:0101010101010101010101010101010101010101010101010101010101010101", "", "400", "from: "),
        ("/v1.40/services", "", "503", "This node is not a swarm manager."), ("/plugins", "", "200", "[]"),
        (
            "-X POST /containers/create?name=x", #"-H 'Content-Type: application/json' -d '{"Image":"i","Cmd":"ls"}'"#, "201",
            #"{"Id":"c1","Warnings":[]}"#
        ),
        ("-X POST /containers/create?name=taken", #"-H 'Content-Type: application/json' -d '{"Image":"i"}'"#, "409", "already in use"),
        ("-X POST /containers/create", #"-H 'Content-Type: application/json' -d '{"image":"missing"}'"#, "404", "No such image"),
        ("-X POST /containers/create", "-H 'Content-Type: application/json' -d '{\"Image\":'", "400", "invalid JSON at line 1"),
        (
            "-X POST /containers/create", #"-H 'Content-Type: application/json' -d '{"HostConfig":{"Memory":"much"}}'"#, "400",
            "HostConfig.Memory"
        ),
        ("-X POST /containers/create", "-H 'Content-Type: text/plain' -d '{}'", "400", "must be 'application/json'"),
        ("-X POST /containers/create", "", "400", "got EOF"),
        ("-X POST /containers/running/start", "", "304", ""), ("-X POST /containers/c1/start", "", "204", ""),
        ("-X POST /containers/zz/stop?t=3", "", "404", "No such container: zz"), ("-X POST /containers/c1/stop?t=x", "", "400", "t: "),
        ("-X POST /containers/c1/wait", "", "200", #"{"StatusCode":3}"#),
        ("-X POST /containers/c1/wait?condition=x", "", "400", "invalid condition"),
        ("/containers/c1/logs", "", "400", "you must choose at least one stream"),
        ("--output - '/containers/c1/logs?stdout=1&tail=2'", "", "200", "line 1"),
        ("--output - '/containers/c1/logs?stdout=1&details=1'", "", "200", "disk is gone"),
        ("-g '/containers/json?filters={\"status\":[\"running\"]}'", "", "200", "[]"),
        ("'/containers/json?filters=nonsense'", "", "400", "filters"),
        ("-X POST /containers/c1/update", "-H 'Content-Type: application/json' -d '{\"Memory\":7}'", "200", #"{"Warnings":["memory 7"]}"#),
        ("'/containers/c1/stats?stream=0'", "", "200", #"{"id":"c1","read":1}"#),
        ("'/containers/c1/stats?stream=1&one-shot=1'", "", "400", "cannot have stream=true and one-shot=true"),
        ("-X POST '/commit?container=c1&changes=CMD%20x%0AUSER%20y&changes=ENV%20A=1'", "", "201", #"{"Id":"sha256:3"}"#),
        ("-X POST /commit", "", "400", "container: "),
        ("/containers/none/stats", "", "404", "No such container"),
        ("/containers/c1/changes", "", "200", #"[{"Path":"/a","Kind":1}]"#),
        ("/system/df", "", "200", #"{"LayersSize":0,"#),
        ("'/system/df?type=house'", "", "400", "unknown object type: house"),
        ("/containers/c1/attach/ws", "", "400", #"{"message":"not a WebSocket request"}"#),
        ("-I '/containers/c1/archive?path=/etc'", "", "200", "X-Docker-Container-Path-Stat: eyJuYW1lIjoiZXRjIiwic2l6ZSI6MX0="),
        // {"username":"u","password":"p"}
        (
            "-X POST '/images/create?fromImage=x&tag=1&platform=linux/arm'",
            "-H 'X-Registry-Auth: eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAifQ=='",
            "200", #"{"status":"x 1 linux/arm u"}"#
        ),
        ("-X POST '/images/create?fromImage=missing'", "", "404", "manifest for missing:latest not found: manifest unknown"),
        ("-X POST '/images/create?fromImage=broken'", "", "200", #""error":"connection reset by peer"}"#),
        ("-X POST /images/a/b/push?tag=2", "-H 'X-Registry-Auth: eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAifQ=='", "200", "a/b 2 p"),
        ("-X POST '/images/x/push?platform=linux/arm'", "-H 'X-Registry-Auth: e30='", "400", "failed to parse platform"),
        ("-gX POST '/images/x/push?\(arm)'", "-H 'X-Registry-Auth: e30='", "200", "x -  linux/arm/v7"),
        ("-gX POST '/v1.45/images/x/push?\(arm)'", "-H 'X-Registry-Auth: e30='", "200", #"x - "}"#),
        ("-g '/images/x/json?\(arm)'", "", "404", "No such image: x linux/arm/v7 false true"),
        ("-g '/v1.48/images/x/json?\(arm)'", "", "404", "No such image: x - false true"),
        ("/images/x/json?manifests=1", "", "404", "No such image: x - true true"),
        ("/v1.47/images/x/json?manifests=1", "", "404", "No such image: x - false false"),
        ("-g '/images/x/json?manifests=1&\(arm)'", "", "400", "manifests and platform options cannot both be set"),
        ("/images/json?manifests=1", "", "409", "manifests"), ("/v1.46/images/json?manifests=1", "", "200", "[]"),
        ("-g '/images/x/history?\(arm)'", "", "200", #""CreatedBy":"linux/arm/v7""#),
        ("-g '/v1.47/images/x/history?\(arm)'", "", "200", #""CreatedBy":"""#),
        ("-g '/images/x/get?\(arm)'", "", "200", "x,linux/arm/v7"), ("-g '/images/get?names=x&\(arm)'", "", "200", "x,linux/arm/v7"),
        ("-gX POST '/images/load?quiet=1&\(arm)'", "-T /etc/passwd", "200", "loading linux/arm/v7"),
        ("-g '/images/x/history?\(arm)&\(arm)'", "", "400", "multiple platform parameters"),
        ("-g '/images/x/history?platform={\"variant\":\"v7\"}'", "", "400", "optional platform fields provided"),
        ("-g '/images/x/history?platform={\"os\":\"linux\"}'", "", "400", "both OS and Architecture must be provided"),
        ("-g '/images/x/history?platform={\"os.features\":[\"x\"]}'", "", "400", "optional platform fields provided"),
        ("-g '/images/x/history?\(arm.dropLast()),\"os.version\":\"1\"}'", "", "501", "os.version in query parameter platform"),
        ("-g '/images/x/history?\(arm.dropLast()),\"os.features\":[\"x\"]}'", "", "501", "os.features in query parameter platform"),
        ("-g '/images/x/history?\(arm.dropLast()),\"os.version\":\"\",\"os.features\":[]}'", "", "200", "linux/arm/v7"),
        ("-X POST '/images/create?fromSrc=example.com/x&repo=y'", "", "200", "example.com/x y"),
        ("/images/a/b:c/history", "", "200", "a/b:c"),
        ("-X POST '/images/create?fromSrc=-&repo=x'", "-T /etc/passwd", "200", "got \(size("/etc/passwd")) bytes"),
        ("-X POST /images/x/push", "", "400", "bad parameters and missing X-Registry-Auth"),
        ("-X POST '/images/load?quiet=1'", "-T /etc/passwd", "200", #"{"errorDetail":{"message":"disk is down"},"error":"disk is down"}"#),
        ("'/images/get?names=a&names=b/c'", "", "200", "a,b/c"), ("-X POST '/build?version=2'", "", "501", "BuildKit"),
        ("-X POST '/build?buildargs=x'", "", "400", "buildargs"), ("-X POST '/build?t=a&t=b'", "-T /etc/passwd", "200", "bytes"),
        ("-X DELETE /volumes/used", "", "409", "volume is in use"), ("-X DELETE /volumes/v", "", "204", ""),
        ("'/events?since=42'", "", "200", #""time":42"#), ("'/events?since=later'", "", "400", "since"),
        ("-X POST /containers/c1/exec", "-H 'Content-Type: application/json' -d '{}'", "400", "No exec command specified"),
        ("-X POST /containers/c1/exec", #"-H 'Content-Type: application/json' -d '{"Cmd":"a b"}'"#, "400", "in field Cmd"),
        ("-X POST /exec/e1/start", #"-H 'Content-Type: application/json' -d '{"Detach":true}'"#, "200", ""),
        ("-X POST '/containers/c1/resize?h=1'", "", "400", "h and w"),
    ]

    private static let arm = #"platform={"os":"linux","architecture":"arm","variant":"v7"}"#

    private static func size(_ path: String) -> Int { (try? Files.read(path).count) ?? -1 }

    @Test func answersAsDockerDoes() async throws {
        try await withAPI { socket in
            for (target, arguments, status, text) in Self.calls {
                let command = target.split(separator: " ").map { word in
                    let quoted = word.hasPrefix("'")
                    let bare = quoted ? word.dropFirst() : word
                    return bare.hasPrefix("/") ? "\(quoted ? "'" : "")http://d\(bare)" : String(word)
                }.joined(separator: " ")
                let answer = try await shell("curl -s --max-time 10 --unix-socket \(socket) \(command) \(arguments) -w '|%{http_code}'")
                #expect(answer.output.hasSuffix("|\(status)") && answer.output.contains(text), "\(target): \(answer.output)")
            }
        }
    }

    @Test(arguments: ["/usr/bin/docker", "/usr/local/bin/docker"].filter { Files.exists($0) })
    func theDockerClientWorks(_ docker: String) async throws {
        try await withAPI { socket in
            let client = "env -u DOCKER_CONTEXT DOCKER_HOST=unix://\(socket) timeout 20 \(docker)"
            #expect(try await shell("\(client) version").output.contains("API version:"))
            #expect(try await shell("\(client) ps -a").status == 0)
            #expect(try await shell("\(client) create --name x image ls").output.contains("c1"))
            #expect(try await shell("\(client) create --name taken image ls").output.contains("already in use"))
            #expect(try await shell("\(client) wait c1").output.contains("3"))
            let exec = try await shell("echo input | \(client) exec -i c1 cat")
            #expect(exec.output == "hello\ninput\n", "\(exec.output)")
            #expect(try await shell("\(client) logs --tail 2 c1").output == "line 0\nline 1\n")
            let import_ = try await shell("echo data | \(client) import - x")
            #expect(import_.status == 0, "\(import_.output)")
            #expect(try await shell("\(client) node ls").output.contains("not a swarm manager"))
            let build = try await shell("echo FROM x | DOCKER_BUILDKIT=0 \(client) build -")
            #expect(build.output.contains("got "), "\(build.output)")
        }
    }

    @Test func thePythonSDKWorks() async throws {
        let probe = try await shell("python3 -c 'import docker'")
        guard probe.status == 0 else { return }
        try await withAPI { socket in
            let script = """
                import docker
                c = docker.DockerClient(base_url='unix://\(socket)')
                print(c.version()['ApiVersion'], c.ping(), c.containers.list(), c.volumes.list())
                e = c.api.exec_create('c1', ['x'])
                print(c.api.exec_start(e['Id'], detach=True))
                print(c.api.logs('c1', tail=1))
                s = c.api.attach_socket('c1', params={'stdin': 1, 'stream': 1, 'stdout': 1})
                s._sock.sendall(b'abc')
                s._sock.shutdown(1)
                got = b''
                while True:
                    part = s.read(100)
                    if not part: break
                    got += part
                print(got)
                print(c.api.wait('c1'))
                """
            let answer = try await shell("timeout 30 python3 - <<'EOF'\n\(script)\nEOF\n")
            #expect(answer.status == 0, "\(answer.output)")
            #expect(answer.output.contains("1.50 True [] []"))
            #expect(answer.output.contains("b'line 0\\n'"))
            // The SDK loses stream bytes that arrive together with the head ("hello").
            #expect(answer.output.contains("\\x03abc'"), "\(answer.output)")
        }
    }
}
