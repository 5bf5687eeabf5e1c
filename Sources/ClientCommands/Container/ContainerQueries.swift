internal import ClientUI
internal import EngineClient
internal import EngineTypes
internal import JSON

extension Command {
    static var containerTop: Command {
        Command(
            "container top", "top", summary: "Display the running processes of a container", usage: "CONTAINER [ps OPTIONS]",
            arity: .atLeast(1),
            interspersed: false
        ) { context in
            let options = context.arguments.dropFirst().joined(separator: " ")
            let answer = try context.get(
                "/containers/\(Context.segment(context.arguments[0]))/top", options.isEmpty ? [] : [("ps_args", options)])
            var table = Table(minimumWidth: 20)
            table.add((answer["Titles"]?.arrayValue ?? []).compactMap(\.stringValue))
            for row in answer["Processes"]?.arrayValue ?? [] { table.add((row.arrayValue ?? []).compactMap(\.stringValue)) }
            context.out.write(table.text())
            return 0
        }
    }

    static var containerPort: Command {
        Command(
            "container port", "port", summary: "List port mappings or a specific mapping for the container",
            usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
            arity: .between(1, 2)
        ) { context in
            let name = context.arguments[0]
            let ports =
                try context.get("/containers/\(Context.segment(name))/json")["NetworkSettings"]?["Ports"]?.objectValue?.members ?? []
            func lines(_ bindings: JSONValue) -> [String] {
                (bindings.arrayValue ?? []).map { "\(PortList.host($0["HostIp"]?.stringValue ?? "")):\($0["HostPort"]?.stringValue ?? "")" }
            }
            guard context.arguments.count == 2 else {
                let sorted = ports.flatMap { port in lines(port.value).map { (key: port.name, text: "\(port.name) -> \($0)") } }
                for line in sorted.sorted(by: {
                    (Int($0.key.prefix { $0 != "/" }) ?? 0, $0.text) < (Int($1.key.prefix { $0 != "/" }) ?? 0, $1.text)
                }) { context.print(line.text) }
                return 0
            }
            let wanted = context.arguments[1].contains("/") ? context.arguments[1] : context.arguments[1] + "/tcp"
            guard let found = ports.first(where: { $0.name == wanted }), !lines(found.value).isEmpty else {
                throw Failure("Error: No public port '\(context.arguments[1])' published for \(name)")
            }
            for line in lines(found.value) { context.print(line) }
            return 0
        }
    }

    static var containerDiff: Command {
        Command(
            "container diff", "diff", summary: "Inspect changes to files or directories on a container's filesystem", usage: "CONTAINER",
            arity: .exactly(1)
        ) { context in
            let changes = try context.get("/containers/\(Context.segment(context.arguments[0]))/changes").arrayValue ?? []
            for change in changes {
                let kinds = ["C", "A", "D"]
                let kind = change["Kind"]?.intValue.flatMap { kinds.indices.contains(Int($0)) ? kinds[Int($0)] : nil } ?? "?"
                context.print("\(kind) \(change["Path"]?.stringValue ?? "")")
            }
            return 0
        }
    }

    static var containerCommit: Command {
        Command(
            "container commit", "commit", summary: "Create a new image from a container's changes",
            usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
            arity: .between(1, 2),
            flags: [
                Flag("author", "a", .string, "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")"),
                Flag("change", "c", .list, "Apply Dockerfile instruction to the created image"),
                Flag("message", "m", .string, "Commit message"),
                Flag("pause", "p", .bool, "Pause container during commit", default: "true"),
            ]
        ) { context in
            var query = [("container", context.arguments[0])]
            if context.arguments.count == 2 { query += try ImagePull.target(context.arguments[1]) }
            query += [("author", context.flags.string("author")), ("comment", context.flags.string("message"))].filter { !$0.1.isEmpty }
            query += context.flags.list("change").map { ("changes", $0) }
            if !context.flags.bool("pause") { query.append(("pause", "0")) }
            context.print(try context.post("/commit", query, .json([:]))["Id"]?.stringValue ?? "")
            return 0
        }
    }

    static var containerUpdate: Command {
        let names = [
            "blkio-weight", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-shares", "cpus", "cpuset-cpus",
            "cpuset-mems", "memory", "memory-reservation", "memory-swap", "pids-limit", "restart",
        ]
        return Command(
            "container update", "update", summary: "Update configuration of one or more containers",
            usage: "[OPTIONS] CONTAINER [CONTAINER...]",
            arity: .atLeast(1), flags: RunFlags.create.filter { names.contains($0.name) }
        ) { context in
            guard names.contains(where: context.flags.has) else {
                throw Failure("you must provide one or more flags when using this command")
            }
            let created = try CreateRequest(flags: context.flags, arguments: ["-"]).request.hostConfig
            var object = JSONObject()
            for member in try JSON.value(created).objectValue?.members ?? [] where member.value != false {
                object.append(member.name, member.value)
            }
            return context.forEach(context.arguments) { name in
                let answer = try context.post("/containers/\(Context.segment(name))/update", [], .json(.object(object)))
                for warning in answer["Warnings"]?.arrayValue ?? [] { context.printError(warning.stringValue ?? "") }
                context.print(name)
            }
        }
    }
}
