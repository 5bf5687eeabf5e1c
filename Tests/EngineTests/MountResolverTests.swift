import EngineTypes
import Linux
import Logging
import RecordStore
import Testing
import Volumes

@testable import Engine

@Suite struct MountResolverTests {
    private let scratch: Scratch
    private let volumes: VolumeStore

    init() throws {
        scratch = try Scratch()
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        volumes = try VolumeStore(root: scratch.path, records: try RecordStore(root: scratch.path), logger: logger)
    }

    private let others = [
        "data": [
            ResolvedMount(kind: .volume, name: "v", source: "/v", destination: "/data", isAnonymous: true),
            ResolvedMount(kind: .bind, source: "/src", destination: "/conf"), ResolvedMount(kind: .tmpfs, destination: "/run"),
        ]
    ]

    private func resolve(_ binds: [String], image: [String] = [], _ fill: (inout HostConfig) -> Void = { _ in }) throws -> [ResolvedMount] {
        var host = HostConfig()
        host.Binds = binds
        fill(&host)
        var config = ContainerConfig()
        config.Volumes = Dictionary(uniqueKeysWithValues: image.map { ($0, EmptyObject()) })
        return try MountResolver(
            volumes: volumes,
            mountsOfContainer: { name in
                guard let mounts = others[name] else { throw EngineError.notFound("No such container: \(name)") }
                return mounts
            },
            imageID: { name in
                guard name == "tools" else { throw EngineError.notFound("No such image: \(name)") }
                return "sha256:1"
            }
        ).resolve(host: host, config: config)
    }

    @Test(arguments: [
        ("/a", "/a"), ("/a/", "/a"), ("//a//b/.", "/a/b"), ("/a/../b", "/b"), ("/../x", "/x"), ("a", nil), ("", nil), ("/", nil),
        ("/a/..", nil),
    ])
    func destinations(_ path: String, _ expected: String?) { #expect((try? MountResolver.destination(path)) == expected) }

    @Test func volumesOfAnotherContainer() throws {
        let mounts = try resolve(["/mine:/conf"]) { $0.VolumesFrom = ["data:ro"] }
        #expect(mounts.map(\.destination) == ["/conf", "/data"])
        #expect(mounts[0].source == "/mine")
        #expect(mounts[1].name == "v" && mounts[1].isReadOnly && !mounts[1].isAnonymous)
        #expect(throws: EngineError.self) { try resolve([]) { $0.VolumesFrom = ["nobody"] } }
        #expect(throws: EngineError.self) { try resolve([]) { $0.VolumesFrom = ["data:mad"] } }
    }

    @Test func binds() throws {
        let plain = try resolve(["/src:/dst"])[0]
        #expect(plain.kind == .bind && plain.source == "/src" && plain.destination == "/dst" && plain.propagation == "rprivate")
        #expect(plain.createsSource && plain.isRecursive && !plain.isReadOnly)
        let shared = try resolve(["/src:/dst/:ro,rslave,z"])[0]
        #expect(shared.isReadOnly && shared.propagation == "rslave" && shared.mode == "ro,rslave,z" && shared.destination == "/dst")
    }

    @Test func namedAndAnonymousVolumes() throws {
        let mounts = try resolve(["data:/b:ro,nocopy", "/a"], image: ["/a", "/c"])
        #expect(mounts.map(\.destination) == ["/a", "/b", "/c"] && mounts.allSatisfy { $0.kind == .volume })
        #expect(mounts[1].name == "data" && mounts[1].isReadOnly && !mounts[1].isAnonymous && !mounts[1].copiesImageContent)
        #expect(mounts[0].isAnonymous && mounts[2].isAnonymous && mounts[2].copiesImageContent && mounts[0].name != mounts[2].name)
        #expect(Files.isDirectory(mounts[1].source) && volumes.list().count == 3)
    }

    @Test(arguments: [
        (
            ["data:/a:rshared"],
            "invalid volume specification: 'data:/a:rshared': invalid mount config for type \"volume\": field BindOptions must not be specified"
        ),
        (
            ["/s:/a:nocopy"],
            "invalid volume specification: '/s:/a:nocopy': invalid mount config for type \"bind\": field VolumeOptions must not be specified"
        ),
        (["/s:/a:ro,rw"], "invalid mode: ro,rw"), (["/s:/a:ro,ro"], "invalid mode: ro,ro"), (["data:/a:z,Z"], "invalid mode: z,Z"),
        (["/s:/a:shared,slave"], "invalid mode: shared,slave"), (["/s:/a:,ro,cached,delegated"], "invalid mode: ,ro,cached,delegated"),
        (["data:/a:what"], "invalid mode: what"), (["/s:/a:what"], "invalid mode: what"),
        (["a:b:c:d"], "invalid volume specification: 'a:b:c:d'"), ([":/a"], "invalid volume specification: ':/a'"),
        (
            ["/s:a"],
            "invalid volume specification: '/s:a': invalid mount config for type \"bind\": invalid mount path: 'a' mount path must be absolute"
        ),
        (["/s:/a", "/t:/a/"], "Duplicate mount point: /a"),
        (
            ["/s:/"],
            "invalid volume specification: '/s:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
        ),
    ])
    func refusedBindsLeaveNothing(_ binds: [String], _ text: String) {
        #expect(message { _ = try resolve(binds) } == text)
        #expect(volumes.list().isEmpty)
    }

    @Test func badVolumeNames() {
        for name in ["../x", ".", "a b"] { #expect(throws: (any Error).self, "\(name)") { try resolve(["\(name):/a"]) } }
    }

    private func request(_ type: String, _ source: String?, _ target: String?, _ fill: (inout MountRequest) -> Void = { _ in })
        -> MountRequest
    {
        var request = MountRequest()
        (request.Type, request.Source, request.Target) = (type, source, target)
        fill(&request)
        return request
    }

    @Test func mountRequests() throws {
        let tmpfs = request("tmpfs", nil, "/t") {
            $0.ReadOnly = true
            $0.TmpfsOptions = .init()
            $0.TmpfsOptions?.SizeBytes = 4096
            $0.TmpfsOptions?.Mode = 0o1770
            $0.TmpfsOptions?.Options = [["uid", "5"], ["exec"]]
        }
        let bind = request("bind", scratch.path, "/b") {
            $0.BindOptions = .init()
            $0.BindOptions?.NonRecursive = true
            $0.BindOptions?.Propagation = "slave"
        }
        let volume = request("volume", "vol", "/v") {
            $0.VolumeOptions = .init()
            $0.VolumeOptions?.Labels = ["a": "b"]
            $0.VolumeOptions?.NoCopy = true
        }
        let mounts = try resolve([]) {
            $0.Mounts = [volume, tmpfs, bind]; $0.Tmpfs = ["/u": "size=1m,exec"]
        }
        #expect(mounts.map(\.destination) == ["/b", "/t", "/u", "/v"])
        #expect(!mounts[0].isRecursive && mounts[0].propagation == "slave" && !mounts[0].createsSource)
        #expect(mounts[1].options == ["ro", "size=4096", "mode=1770", "uid=5", "exec"] && mounts[2].options == ["size=1m", "exec"])
        #expect(!mounts[3].copiesImageContent)
        #expect(try volumes.volume("vol").labels == ["a": "b"])
    }

    private func tmpfs(_ fill: (inout MountRequest.TmpfsOptions) -> Void) -> MountRequest {
        var options = MountRequest.TmpfsOptions()
        fill(&options)
        return request("tmpfs", nil, "/a") { $0.TmpfsOptions = options }
    }

    @Test(arguments: [
        ("size=1m,mode=700,uid=33,exec,ro,nr_inodes=5", nil), ("", nil), ("size", "[\"size\"]"), ("size=1m,foo", "[\"foo\"]"),
        ("foo=bar=x", "[\"foo\" \"bar=x\"]"),
    ])
    func optionsOfTmpfs(_ options: String, _ wrong: String?) {
        #expect(message { _ = try resolve([]) { $0.Tmpfs = ["/t": options] } } == wrong.map { "invalid tmpfs option \($0)" })
    }

    @Test func refusedMountRequests() {
        let cases = [
            (request("bind", "x", "/a"), "invalid mount config for type \"bind\": invalid mount path: 'x' mount path must be absolute"),
            (request("bind", "/no/such", "/a"), "invalid mount config for type \"bind\": bind source path does not exist: /no/such"),
            (request("tmpfs", "x", "/a"), "invalid mount config for type \"tmpfs\": field Source must not be specified"),
            (
                request("tmpfs", nil, "a"),
                "invalid mount config for type \"tmpfs\": invalid mount path: 'a' mount path must be absolute"
            ),
            (tmpfs { $0.SizeBytes = -1 }, "invalid mount config for type \"tmpfs\": invalid size: -1"),
            (tmpfs { $0.Mode = 0o10000 }, "invalid mount config for type \"tmpfs\": invalid mode: 4096"),
            (
                tmpfs { $0.Options = [["exec"], ["uid", "5"], ["colour", "red"]] },
                "invalid mount config for type \"tmpfs\": invalid tmpfs option [\"colour\" \"red\"]"
            ),
            (request("floppy", "x", "/a"), "invalid mount config for type \"floppy\": mount type unknown"),
            (request("bind", "/", nil), "invalid mount config for type \"bind\": field Target must not be empty"),
            (request("bind", "", "/a"), "invalid mount config for type \"bind\": field Source must not be empty"),
            (request("cluster", "x", "/a"), "not implemented: Mounts.Type=cluster"),
            (request("image", "nobody", "/a"), "No such image: nobody"),
            (
                request("volume", "", "/a") { $0.ReadOnly = true },
                "invalid mount config for type \"volume\": must not set ReadOnly mode when using anonymous volumes"
            ),
            (
                request("bind", "/", "/a") { $0.VolumeOptions = .init() },
                "invalid mount config for type \"bind\": field VolumeOptions must not be specified"
            ),
            (request("bind", "/", "/a") { $0.Consistency = "x" }, "invalid mount config for type \"bind\": invalid consistency: x"),
        ]
        for (request, text) in cases { #expect(message { _ = try resolve([]) { $0.Mounts = [request] } } == text) }
    }

    @Test(arguments: [
        ("", true), ("a", true), ("a/../b", true), ("./a/b", true), ("a/..", true), ("..", false), ("a/../../b", false), ("/a", false),
    ])
    func subpathsStayInside(_ subpath: String, _ isAllowed: Bool) throws {
        let image = request("image", "tools", "/i") {
            $0.ImageOptions = .init()
            $0.ImageOptions?.Subpath = subpath
        }
        let volume = request("volume", "vol", "/v") {
            $0.VolumeOptions = .init()
            $0.VolumeOptions?.Subpath = subpath
        }
        for (request, what) in [(image, "image"), (volume, "volume")] {
            let text = message {
                let mount = try resolve([]) { $0.Mounts = [request] }[0]
                #expect(mount.subpath == subpath && mount.isMadeByShim == (what == "image" || !subpath.isEmpty))
            }
            let refusal = "invalid mount config for type \"\(what)\": subpath must be a relative path within the \(what)"
            #expect(text == (isAllowed ? nil : refusal))
        }
    }

    @Test func readOnlyReachesTheMountsBelow() throws {
        #expect(try resolve(["/src:/dst:ro"])[0].isRecursivelyReadOnly)
        #expect(try !resolve(["/src:/dst"])[0].isRecursivelyReadOnly)
        let bind = request("bind", scratch.path, "/b") { $0.ReadOnly = true }
        #expect(try resolve([]) { $0.Mounts = [bind] }[0].isRecursivelyReadOnly)
        let plain = request("bind", scratch.path, "/b") {
            $0.ReadOnly = true
            $0.BindOptions = .init()
            $0.BindOptions?.ReadOnlyNonRecursive = true
        }
        #expect(try !resolve([]) { $0.Mounts = [plain] }[0].isRecursivelyReadOnly)
    }
}

@Suite struct MountPropagationTests {
    private static let table = """
        20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
        21 20 8:1 /x /srv/data rw - ext4 /dev/root rw
        22 21 0:30 / /srv/data/deep rw,nosuid master:4 propagate_from:2 - tmpfs none rw
        """

    @Test(arguments: [
        ("/", "/", "shared:1"), ("/srv", "/", "shared:1"), ("/srv/data", "/srv/data", ""), ("/srv/database", "/", "shared:1"),
        ("/srv/data/deep/er", "/srv/data/deep", "master:4 propagate_from:2"),
    ])
    func findsTheMount(_ path: String, _ point: String, _ options: String) throws {
        let found = try #require(MountPropagation.hostMount(of: path, in: Self.table))
        #expect(found.point == point && found.options.joined(separator: " ") == options)
    }
}
