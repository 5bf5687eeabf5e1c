/// All commands, found by the words that name them.
enum CommandTable {
    /// Nouns with verbs below them.
    static let nouns = [
        "builder": "Manage builds", "container": "Manage containers", "context": "Manage contexts", "image": "Manage images",
        "manifest": "Manage image manifests and manifest lists", "network": "Manage networks", "registry": "Run a registry",
        "system": "Manage Clipper", "volume": "Manage volumes",
    ]

    /// Docker's commands that are not here yet; they are refused by name.
    static let notBuilt: Set<String> = [
        "buildx", "checkpoint", "compose", "plugin", "scout", "trust", "volume update", "system dial-stdio",
    ]

    static let all: [Command] =
        containerCommands + imageCommands + contextCommands + registryCommands + [
            .build, .builderPrune, .volumeCreate, .volumeList, .volumeInspect, .volumeRemove, .volumePrune, .networkCreate, .networkList,
            .networkInspect, .networkRemove, .networkPrune, .networkConnect, .networkDisconnect, .systemInfo, .systemVersion, .systemEvents,
            .systemDiskUsage, .systemPrune, .systemCheck, .pluginList, .registryServe, .registryCollect, .inspect, .completion,
        ]

    private static var containerCommands: [Command] {
        [
            .containerRun, .containerCreate, .containerStart, .containerStop, .containerRestart, .containerKill, .containerRemove,
            .containerList, .containerLogs, .containerExec, .containerAttach, .containerInspect, .containerPause, .containerUnpause,
            .containerTop, .containerWait, .containerRename, .containerPort, .containerPrune, .containerCopy, .containerDiff,
            .containerExport, .containerCommit, .containerStats, .containerUpdate,
        ]
    }

    private static var contextCommands: [Command] {
        [
            .contextCreate, .contextUpdate, .contextList, .contextInspect, .contextShow, .contextUse, .contextRemove, .contextExport,
            .contextImport,
        ]
    }

    private static var registryCommands: [Command] {
        [.login, .logout, .search, .manifestInspect, .manifestCreate, .manifestAnnotate, .manifestPush, .manifestRemove]
    }

    private static var imageCommands: [Command] {
        [
            .imageList, .imageInspect, .imageLoad, .imageSave, .imageImport, .imageTag, .imageRemove, .imageHistory, .imagePull, .imagePush,
            .imagePrune,
        ]
    }

    static func find(_ name: String) -> Command? { all.first { $0.names.contains(name) } }

    /// Names and summaries of a noun's verbs, or of all top commands; each command once, sorted.
    static func verbs(of noun: String?) -> [(name: String, summary: String)] {
        all.compactMap { command -> (name: String, summary: String)? in
            let wanted = command.names.first { name in
                let words = name.split(separator: " ")
                return noun.map { words.count == 2 && words[0] == $0 } ?? (words.count == 1)
            }
            return wanted.map { (name: $0.split(separator: " ").last.map(String.init) ?? $0, summary: command.summary) }
        }
        .sorted { $0.name < $1.name }
    }
}
