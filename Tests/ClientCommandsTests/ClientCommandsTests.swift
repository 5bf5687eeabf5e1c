import ClientUI
import EngineTypes
import Glibc
import JSON
import Linux
import Testing

@testable import ClientCommands

private func request(_ words: [String]) throws -> ContainerCreateRequest {
    let parsed = try FlagParser.parse(words, flags: RunFlags.run, interspersed: false)
    return try CreateRequest(flags: parsed.values, arguments: parsed.arguments).request
}

@Suite struct Ports {
    @Test(arguments: [
        ("80", ["80/tcp||"]), ("8080:80", ["80/tcp||8080"]), ("127.0.0.1:8080:80/udp", ["80/udp|127.0.0.1|8080"]),
        ("127.0.0.1::80", ["80/tcp|127.0.0.1|"]),
        ("[::1]:1:2", ["2/tcp|::1|1"]), ("::1:1:2", ["2/tcp|::1|1"]), ("8000-8001:80-81", ["80/tcp||8000", "81/tcp||8001"]),
        ("8000-8010:80", ["80/tcp||8000-8010"]),
        ("80-81", ["80/tcp||", "81/tcp||"]), ("53:53/UDP", ["53/udp||53"]), (":80", ["80/tcp||"]),
    ])
    func forms(_ text: String, _ expected: [String]) throws {
        #expect(try PortSpec.parse(text).map { "\($0.container)|\($0.hostAddress)|\($0.hostPort)" } == expected)
    }

    @Test(arguments: ["", "x", "80/foo", "99999:1", "1:99999", "1-2:3-9", "9-3", "1.2.3:1:2", "a:b:c", "80:", "-1", "+80", "[::1]:80"])
    func refused(_ text: String) { #expect(throws: Failure.self) { try PortSpec.parse(text) } }

    @Test func longForm() throws {
        #expect(
            try PortSpec.parseLong("target=80,published=8080,protocol=udp") == [
                PortSpec(container: "80/udp", hostAddress: "", hostPort: "8080")
            ])
        #expect(throws: Failure.self) { try PortSpec.parseLong("published=8080") }
    }

    @Test func columnOfPs() {
        func port(_ address: String?, _ inside: Int64, _ outside: Int64?, _ type: String = "tcp") -> JSONValue {
            var object = JSONObject()
            if let address { object["IP"] = .string(address) }
            object["PrivatePort"] = .integer(inside)
            if let outside { object["PublicPort"] = .integer(outside) }
            object["Type"] = .string(type)
            return .object(object)
        }
        #expect(PortList.text([port("0.0.0.0", 80, 8080), port("::", 80, 8080)]) == "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp")
        #expect(PortList.text([port(nil, 81, nil), port(nil, 80, nil), port(nil, 90, nil, "udp")]) == "80-81/tcp, 90/udp")
        #expect(PortList.text([port("0.0.0.0", 81, 81), port("0.0.0.0", 80, 80)]) == "0.0.0.0:80-81->80-81/tcp")
    }
}

@Suite struct Mounts {
    @Test func volumes() throws {
        #expect(try VolumeSpec.parse("/data") == .anonymous("/data"))
        #expect(try VolumeSpec.parse("name:/data") == .bind("name:/data"))
        #expect(try VolumeSpec.parse("/a:/b:ro,z") == .bind("/a:/b:ro,z"))
        guard case .bind(let relative) = try VolumeSpec.parse("./x:/b") else {
            Issue.record("no bind")
            return
        }
        #expect(relative.hasPrefix("/") && relative.hasSuffix("/x:/b"))
    }

    @Test(arguments: ["", "a::c", ":/x", "/a:", "/"])
    func refusedVolumes(_ text: String) { #expect(throws: Failure.self) { try VolumeSpec.parse(text) } }

    @Test func mounts() throws {
        let bind = try MountSpec.parse("type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave,bind-recursive=readonly")
        #expect(bind.Type == "bind" && bind.Source == "/a" && bind.Target == "/b" && bind.ReadOnly == true)
        #expect(bind.BindOptions?.Propagation == "rslave" && bind.BindOptions?.ReadOnlyForceRecursive == true)
        let volume = try MountSpec.parse("source=v,target=/b,volume-nocopy,volume-label=a=b,volume-driver=d,\"volume-opt=o=x,y\"")
        #expect(volume.Type == "volume" && volume.VolumeOptions?.NoCopy == true && volume.VolumeOptions?.Labels == ["a": "b"])
        #expect(volume.VolumeOptions?.DriverConfig?.Options == ["o": "x,y"])
        let tmpfs = try MountSpec.parse("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777")
        #expect(tmpfs.TmpfsOptions?.SizeBytes == 1_048_576 && tmpfs.TmpfsOptions?.Mode == 0o1777)
    }

    @Test(arguments: [
        "dst", "x=y", "type=bind", "type=tmpfs,dst=/t,tmpfs-size=x", "type=bind,dst=/b,volume-nocopy", "dst=/b,readonly=maybe",
        "type=bind,dst=/a,bind-recursive=readonly", "",
    ])
    func refusedMounts(_ text: String) { #expect(throws: (any Error).self) { try MountSpec.parse(text) } }
}

@Suite struct CreateRequests {
    @Test func everyKind() throws {
        let body = try request([
            "-itd", "--rm", "-e", "A=1", "-p", "80:80", "-v", "v:/v", "-v", "/anon", "-m", "64m", "--cpus", "1.5", "--ulimit",
            "nofile=64:128", "--restart=no", "--network", "net",
            "--network-alias", "al", "--ip", "10.0.0.9", "-l", "a=b", "--entrypoint", "sh", "--tmpfs", "/t:size=1m", "--init", "--cap-add",
            "ALL", "--sysctl", "net.a=b", "--health-cmd", "x",
            "--health-interval", "5s", "--gpus", "all", "--device", "/dev/null:/dev/x:r", "--security-opt", "systempaths=unconfined",
            "--add-host", "h:1.2.3.4", "image", "-x", "--rm",
        ])
        let config = body.config
        let host = try #require(body.hostConfig)
        #expect(config.Image == "image" && config.Cmd?.words == ["-x", "--rm"] && config.Entrypoint?.words == ["sh"])
        #expect(config.Tty == true && config.OpenStdin == true && config.AttachStdin == false && config.StdinOnce == false)
        #expect(config.Env == ["A=1"] && config.Labels == ["a": "b"] && config.Volumes?.keys.sorted() == ["/anon"])
        #expect(config.Healthcheck?.Test == ["CMD-SHELL", "x"] && config.Healthcheck?.Interval == 5_000_000_000)
        #expect(config.ExposedPorts?.keys.sorted() == ["80/tcp"] && host.PortBindings?["80/tcp"]??.first?.HostPort == "80")
        #expect(
            host.Memory == 67_108_864 && host.NanoCpus == 1_500_000_000 && host.Ulimits == [Ulimit(Name: "nofile", Soft: 64, Hard: 128)])
        #expect(
            host.AutoRemove == true && host.Init == true && host.Binds == ["v:/v"] && host.Tmpfs == ["/t": "size=1m"]
                && host.CapAdd == ["ALL"])
        #expect(host.NetworkMode == "net" && host.Sysctls == ["net.a": "b"] && host.ExtraHosts == ["h:1.2.3.4"] && host.MaskedPaths == [])
        let endpoint = try #require(body.networkingConfig?.EndpointsConfig?["net"] ?? nil)
        #expect(endpoint.Aliases == ["al"] && endpoint.IPAMConfig?.IPv4Address == "10.0.0.9")
        #expect(host.DeviceRequests?.first?.Count == -1 && host.DeviceRequests?.first?.Capabilities == [["gpu"]])
        #expect(host.Devices == [DeviceMapping(PathOnHost: "/dev/null", PathInContainer: "/dev/x", CgroupPermissions: "r")])
    }

    @Test func whatIsNotSaidIsNotSent() throws {
        let document = try JSON.value(request(["image"]))
        #expect(document["HostConfig"]?["Memory"] == nil && document["HostConfig"]?["NetworkMode"] == nil && document["Env"] == nil)
        #expect(document["AttachStdout"] == true && document["AttachStdin"] == false)
    }

    @Test(arguments: [
        ["--restart", "always", "--rm", "i"], ["--no-healthcheck", "--health-cmd", "x", "i"], ["-a", "foo", "i"],
        ["--ulimit", "foo=1", "i"], ["--ulimit", "nofile=9:3", "i"],
        ["--add-host", "a", "i"], ["--dns", "x", "i"], ["--memory-swappiness", "101", "i"], ["--device", "x", "i"],
        ["--security-opt", "foo", "i"], ["--ip", "x", "i"],
        ["--network", "name=,alias=x", "i"], ["--network", "foo=bar", "i"], ["--gpus", "x", "i"], ["-e", "=x", "i"],
        ["--env-file", "/nonexistent", "i"], ["--device-read-bps", "/dev/x:-5", "i"],
        ["--cpu-count", "1", "i"],
    ])
    func refused(_ words: [String]) { #expect(throws: Failure.self) { try request(words) } }
}

@Suite struct Ignoring {
    private func excluded(_ patterns: String, _ paths: [String]) throws -> [String] {
        let ignore = try IgnorePatterns(parsing: patterns)
        return paths.filter { ignore.excludes($0) }
    }

    @Test(arguments: [
        ("a", ["a", "a/b"]), ("/a", ["a", "a/b"]), ("*.o", ["x.o"]), ("**/*.o", ["x.o", "d/x.o", "d/e/x.o"]), ("d", ["d/x.o", "d/e/x.o"]),
        ("d/*", ["d/x.o", "d/e/x.o"]),
        ("*/x.o", ["d/x.o"]), ("**", ["a", "a/b", "x.o", "d/x.o", "d/e/x.o", "keep.md"]), ("**/e", ["d/e/x.o"]),
        ("d/**/x.o", ["d/x.o", "d/e/x.o"]), ("?.o", ["x.o"]), ("[w-y].o", ["x.o"]),
        ("[^w-y].o", []), ("*\n!keep.md", ["a", "a/b", "x.o", "d/x.o", "d/e/x.o"]),
        ("!keep.md\n*", ["a", "a/b", "x.o", "d/x.o", "d/e/x.o", "keep.md"]), ("d\n!d/e", ["d/x.o"]),
        ("# a\n\n  a  ", ["a", "a/b"]), ("./a/../d/", ["d/x.o", "d/e/x.o"]), ("\\a", ["a", "a/b"]),
    ])
    func patterns(_ patterns: String, _ expected: [String]) throws {
        #expect(try excluded(patterns, ["a", "a/b", "x.o", "d/x.o", "d/e/x.o", "keep.md"]) == expected)
    }

    @Test(arguments: ["!", "[a", "a\\", "! "])
    func refused(_ text: String) { #expect(throws: Failure.self) { try IgnorePatterns(parsing: text) } }

    @Test func directoriesWithExceptionsBelowAreVisited() throws {
        let ignore = try IgnorePatterns(parsing: "d\nf\n!d/e/x")
        #expect(!ignore.excludesWhole("d") && !ignore.excludesWhole("d/e") && ignore.excludesWhole("f") && ignore.excludesWhole("d/z"))
    }
}

@Suite struct Keys {
    @Test(arguments: ["", "ctrl-?", "ab", "ctrl-a,", "ctrl-"])
    func refused(_ text: String) { #expect(throws: Failure.self) { try DetachKeys(orStandard: text) } }
}

@Suite struct Program {
    @Test func everyCommandHasOneMeaning() {
        let names = CommandTable.all.flatMap(\.names)
        #expect(Set(names).count == names.count)
        for name in [
            "run", "ps", "images", "build", "container ls", "image rm", "volume prune", "network connect", "inspect", "version", "info",
            "events",
        ] {
            #expect(CommandTable.find(name) != nil, "\(name)")
        }
    }

    @Test func everyFlagTableIsSound() {
        for command in CommandTable.all {
            let flags = command.flags()
            #expect(Set(flags.map(\.name)).count == flags.count, "\(command.names[0])")
            let letters = flags.compactMap(\.short)
            #expect(Set(letters).count == letters.count, "\(command.names[0])")
        }
    }

    @Test(arguments: [
        ("x", "x", ""), ("x:1", "x", "1"), ("host:5000/x", "host:5000/x", ""), ("host:5000/x:1", "host:5000/x", "1"),
        ("x@sha256:ab", "x", "sha256:ab"),
    ])
    func references(_ text: String, _ name: String, _ tag: String) { #expect(ImagePull.split(text) == (name, tag)) }

    @Test(arguments: [
        ("exec: \"nope\": executable file not found in $PATH", Int32(127)), ("exec: \"/x\": stat /x: no such file or directory", 127),
        ("exec: \"/bin\": permission denied", 126),
        ("exec: \"/bin\": is a directory", 126), ("port is already allocated", 125),
        ("mount /etc on /etc/passwd: not a directory", 125),
    ])
    func exitCodes(_ message: String, _ code: Int32) { #expect(ExitCodes.startFailure(message) == code) }

    @Test func contextsAreToldFromDockerfiles() {
        var tar = [UInt8](repeating: 0, count: 512)
        #expect(!BuildSource.isArchive(tar) && !BuildSource.isArchive(Array("FROM scratch\n".utf8)))
        tar.replaceSubrange(257..<262, with: Array("ustar".utf8))
        #expect(BuildSource.isArchive(tar) && BuildSource.isArchive([0x1F, 0x8B, 0x08, 0]))
    }
}

@Suite struct Configuration {
    private static func configuration(_ text: String?, _ body: (ClientConfiguration, String) throws -> Void) throws {
        let directory = "/tmp/clp-client-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        try Files.makeDirectories(directory)
        defer { try? Files.removeTree(directory) }
        if let text { try Files.write("\(directory)/config.json", text, flags: O_CREAT | O_WRONLY) }
        try body(ClientConfiguration(directory: directory, program: "clipper"), directory)
    }

    @Test func setsFormatsKeysAndHeaders() throws {
        let text = #"{"psFormat":"{{.ID}}","detachKeys":"ctrl-e,e","HttpHeaders":{"User-Agent":"x","X-Team":"a"}}"#
        try Self.configuration(text) { configuration, _ in
            #expect(configuration.warning == nil)
            #expect(configuration.format("psFormat") == "{{.ID}}")
            #expect(configuration.format("imagesFormat") == "")
            #expect(configuration.detachKeys == "ctrl-e,e")
            #expect(configuration.headers.map { "\($0.0)=\($0.1)" } == ["X-Team=a"])
        }
    }

    @Test func absentSetsNothing() throws {
        try Self.configuration(nil) { configuration, _ in
            #expect(configuration.warning == nil)
            #expect(configuration.detachKeys == nil)
            #expect(configuration.proxyVariables(host: "").isEmpty)
        }
    }

    @Test(arguments: ["{", "[]", ""]) func damagedIsToldAndPassedOver(_ text: String) throws {
        try Self.configuration(text) { configuration, _ in
            #expect(configuration.warning?.hasPrefix("WARNING: Error loading config file: ") == true)
            #expect(configuration.detachKeys == nil)
        }
    }

    @Test func proxiesBecomeVariablesThatFlagsOverride() throws {
        let text = #"{"proxies":{"default":{"httpProxy":"http://p:1"},"tcp://h:1":{"noProxy":"localhost"}}}"#
        try Self.configuration(text) { configuration, _ in
            #expect(configuration.proxyVariables(host: "tcp://h:1").map(\.name) == ["NO_PROXY", "no_proxy"])
            let parsed = try FlagParser.parse(["-e", "HTTP_PROXY=", "i"], flags: RunFlags.run, interspersed: false)
            let create = try CreateRequest(
                flags: parsed.values, arguments: parsed.arguments, proxies: configuration.proxyVariables(host: ""))
            #expect(create.request.config.Env == ["HTTP_PROXY=", "http_proxy=http://p:1"])
        }
    }
}
