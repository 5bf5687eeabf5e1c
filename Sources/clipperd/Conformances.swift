public import Engine
public import EngineAPI

// The engine's services are what the API asks for: the shapes agree by name. Here they are joined, and only here.

extension ContainerService: ContainerBackend {}
extension ImageService: ImageBackend {}
extension BuildService: BuildBackend {}
extension VolumeService: VolumeBackend {}
extension NetworkService: NetworkBackend {}
extension SystemService: SystemBackend {}
extension RegistryService: RegistryBackend {}
