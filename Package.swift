// swift-tools-version: 6.2
import PackageDescription

// The folder tree is the architecture (docs/architecture.md). A target imports only what stands below it.

/// Settings of every Swift target: strictest language mode, warnings are errors.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// Links without any shared library: starts in under a millisecond, runs on any Linux.
let staticExecutable: [LinkerSetting] = [.unsafeFlags(["-static-executable"])]

/// clipper-runtime besides: the functions of its common commands side by side (`scripts/order-runtime` writes the list), and
/// no huge page of the file mapped whole for a few functions in it, which needs an address that is no multiple of 2 MB off.
/// Most of the runtime's memory is pages of its file: docs/performance.md has the figures.
let compactExecutable: [LinkerSetting] =
    staticExecutable + [
        .unsafeFlags(
            ["-use-ld=lld"]
                + [
                    "--symbol-ordering-file=\(Context.packageDirectory)/scripts/runtime.order", "--no-warn-symbol-ordering",
                    "--image-base=0x410000",
                ].flatMap { ["-Xlinker", $0] })
    ]

/// For the programs with shared libraries: the toolchain would export every function, so that none could be left out and each
/// start read the names of all. Linked so, clipperd has 4 MB fewer pages of its file in memory.
let leanProgram: [LinkerSetting] = [
    .unsafeFlags(["-use-ld=lld"] + ["--no-export-dynamic", "--icf=safe", "-z", "pack-relative-relocs"].flatMap { ["-Xlinker", $0] })
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

/// Settings of the static zone: no module is imported that it does not name (regular expressions and concurrency would be
/// linked in otherwise), and the linker may place and drop each function by itself (docs/performance.md).
let lean: [SwiftSetting] =
    strict + [
        .unsafeFlags([
            "-Xfrontend", "-disable-implicit-concurrency-module-import",
            "-Xfrontend", "-disable-implicit-string-processing-module-import",
            "-Xfrontend", "-function-sections",
        ])
    ]

/// A target of the static zone or above it; `path` and names follow DESIGN's rooms.
func room(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource]? = nil) -> Target {
    .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

func staticRoom(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: lean)
}

func tests(of name: String, _ more: [Target.Dependency] = []) -> Target {
    .testTarget(name: "\(name)Tests", dependencies: [.target(name: name)] + more, swiftSettings: strict)
}

let package = Package(
    name: "clipper",
    products: [
        .executable(name: "clipper", targets: ["clipper"]),
        .executable(name: "clipperd", targets: ["clipperd"]),
        .executable(name: "clipper-runtime", targets: ["clipper-runtime"]),
        .executable(name: "clipper-registry", targets: ["clipper-registry"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
    ],
    targets: [
        // System libraries, as Debian has them.
        .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CISAL", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CCrypt", pkgConfig: "libcrypt", providers: [.apt(["libcrypt-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),

        // The static zone: no Foundation, no Dispatch, no Swift concurrency.
        .target(name: "CLinux"),
        staticRoom("Linux", ["CLinux", "CSeccomp"]),
        staticRoom("Netlink", ["Linux", "CLinux"]),
        staticRoom("JSON"),
        staticRoom("Archive", ["Linux", "CLinux"]),
        staticRoom("OCIRuntimeSpec", ["JSON"]),
        staticRoom("Systemd", ["Linux", "CLinux"]),
        staticRoom("ContainerRuntime", ["OCIRuntimeSpec", "Systemd", "Netlink", "Linux", "CLinux", "JSON"]),
        staticRoom("ShimProtocol", ["JSON", "Linux", "CLinux"]),
        staticRoom(
            "Shim", ["ShimProtocol", "ContainerRuntime", "Systemd", "OCIRuntimeSpec", "Archive", "Linux", "CLinux", "CZlib", "JSON"]),
        .executableTarget(
            name: "clipper-runtime", dependencies: ["Shim", "ContainerRuntime", "OCIRuntimeSpec", "Linux", "CLinux", "JSON"],
            swiftSettings: lean, linkerSettings: compactExecutable),

        // The daemon.
        room("EngineTypes", ["JSON", "Linux"]),
        room("RecordStore", ["CSQLite", "Linux", "CLinux", "JSON"]),
        room("OCIImageSpec", ["JSON"]),
        room(
            "RegistryClient",
            ["OCIImageSpec", "JSON", "Linux", "CCrypto", httpClient, nioSSL, nioCore, nioPosix, nioHTTP1, logging]),
        room(
            "Images",
            [
                "OCIImageSpec", "RegistryClient", "Archive", "RecordStore", "Linux", "CLinux", "JSON", "CISAL", "CZstd", "CCrypto", nioCore,
                nioPosix, logging,
            ]),
        room("Networking", ["Netlink", "Linux", "CLinux", "RecordStore", "JSON", logging]),
        room("Volumes", ["RecordStore", "Linux", "CLinux", logging]),
        room("YAML", ["CYAML", "JSON"]),
        room("Supervision", ["ShimProtocol", "Systemd", "OCIRuntimeSpec", "Linux", "CLinux", "JSON", nioCore, nioPosix, logging]),
        room("Dockerfile"),
        room(
            "Builder",
            ["Dockerfile", "Images", "OCIImageSpec", "RegistryClient", "Archive", "RecordStore", "Linux", "CLinux", "JSON", logging]),
        room(
            "Engine",
            [
                "EngineTypes", "Builder", "Images", "OCIImageSpec", "RegistryClient", "Networking", "Netlink", "Volumes", "Supervision",
                "ShimProtocol",
                "OCIRuntimeSpec", "RecordStore", "YAML",
                "Archive", "Linux", "CLinux", "JSON", "CCrypto", logging,
            ]),
        room("HTTPServer", ["CCrypto", nioCore, nioPosix, nioHTTP1, nioConcurrency, nioTLS, nioSSL, logging]),
        room("EngineAPI", ["EngineTypes", "OCIImageSpec", "RegistryClient", "HTTPServer", "JSON", "Linux", nioCore, nioHTTP1, logging]),
        .executableTarget(
            name: "clipperd",
            dependencies: [
                "EngineAPI", "Engine", "ClientUI", "EngineTypes", "HTTPServer", "Images", "RegistryClient", "Builder", "Networking",
                "Volumes", "Supervision",
                "RecordStore", "Systemd", "Netlink", "Linux", "JSON", nioCore, logging,
            ],
            swiftSettings: strict, linkerSettings: leanProgram),

        // The registry.
        room(
            "RegistryServer",
            [
                "OCIImageSpec", "RegistryClient", "HTTPServer", "JSON", "Linux", "CLinux", "CCrypt", "CCrypto", "YAML", nioCore, nioPosix,
                nioHTTP1, httpClient,
                logging,
            ]),
        .executableTarget(
            name: "clipper-registry", dependencies: ["RegistryServer", "HTTPServer", "Linux", logging],
            swiftSettings: strict, linkerSettings: leanProgram),

        // The client.
        room("EngineClient", ["EngineTypes", "JSON", "Linux", "CLinux", "COpenSSL"]),
        room("ClientUI", ["JSON", "Linux", "CLinux"]),
        room("ClientCommands", ["ClientUI", "EngineClient", "EngineTypes", "OCIImageSpec", "Archive", "JSON", "Linux", "CLinux"]),
        .executableTarget(name: "clipper", dependencies: ["ClientCommands"], swiftSettings: strict, linkerSettings: staticExecutable),

        // What reports from inside a container, for tests/integration/runtime.
        .target(name: "CProber", path: "Tests/Prober/CProber"),
        .executableTarget(
            name: "clipper-prober", dependencies: ["CProber", "Linux", "CLinux", "JSON"], path: "Tests/Prober/clipper-prober",
            swiftSettings: strict, linkerSettings: staticExecutable),

        tests(of: "Linux", ["CLinux", "JSON"]),
        tests(of: "Netlink", ["Linux", "CLinux"]),
        tests(of: "JSON"),
        tests(of: "YAML", ["JSON"]),
        tests(of: "Archive", ["Linux", "CLinux"]),
        tests(of: "OCIRuntimeSpec", ["JSON", "Linux"]),
        // A kernel on paper for tests of what is asked of the real one, and in which order.
        .target(name: "CSystemCalls", path: "Tests/Support/CSystemCalls"),
        tests(of: "Systemd", ["Linux", "CLinux"]),
        tests(of: "ContainerRuntime", ["OCIRuntimeSpec", "Linux", "CLinux", "JSON", "CSystemCalls"]),
        tests(of: "ShimProtocol", ["JSON", "Linux"]),
        tests(of: "Shim", ["ShimProtocol", "Linux", "CLinux", "JSON"]),
        tests(of: "EngineTypes", ["JSON", "Linux"]),
        tests(of: "RecordStore", ["Linux"]),
        tests(of: "OCIImageSpec", ["JSON"]),
        tests(
            of: "RegistryClient",
            ["OCIImageSpec", "HTTPServer", "JSON", "Linux", nioCore, nioPosix, nioHTTP1, logging]),
        tests(
            of: "Images",
            ["OCIImageSpec", "RegistryClient", "Archive", "RecordStore", "Linux", "CLinux", "JSON", "CISAL", "CZstd", nioCore, logging]),
        tests(of: "Networking", ["Netlink", "Linux", "CLinux", "RecordStore", "JSON", logging]),
        tests(of: "Volumes", ["RecordStore", "Linux", logging]),
        tests(of: "Supervision", ["ShimProtocol", "Linux", "CLinux", "JSON", logging]),
        tests(of: "Dockerfile"),
        tests(
            of: "Builder",
            ["Dockerfile", "Images", "OCIImageSpec", "RegistryClient", "Archive", "RecordStore", "Linux", "CLinux", "JSON", logging]),
        tests(
            of: "Engine",
            [
                "EngineTypes", "OCIRuntimeSpec", "OCIImageSpec", "Images", "RegistryClient", "Networking", "Volumes", "RecordStore",
                "ShimProtocol", "Supervision", "Linux",
                "CLinux", "JSON",
                logging,
            ]),
        tests(of: "HTTPServer", [nioCore, nioPosix, nioHTTP1, logging]),
        tests(
            of: "EngineAPI",
            ["EngineTypes", "OCIImageSpec", "RegistryClient", "HTTPServer", "JSON", "Linux", nioCore, nioPosix, nioHTTP1, logging]),
        tests(of: "RegistryServer", ["HTTPServer", "OCIImageSpec", "Linux", "JSON", nioCore, nioPosix, nioHTTP1, httpClient, logging]),
        tests(of: "EngineClient", ["EngineTypes", "JSON", "Linux"]),
        tests(of: "ClientUI", ["JSON"]),
        tests(of: "ClientCommands", ["ClientUI", "EngineTypes", "OCIImageSpec", "JSON", "Linux", "CLinux"]),
    ]
)
