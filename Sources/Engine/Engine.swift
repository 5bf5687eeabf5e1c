// Engine: containers, exec sessions, logs, events, and the services that the API calls.
//
// There is no engine object. Each type has one job and is handed what it needs:
//   ContainerStore      all containers in memory, found by id, prefix or name; written through to the record store
//   Container           one container: its record, its phase (a state machine), who waits for it
//   ContainerCreation   checks a create request against the image and the host and makes the record
//   ContainerLifecycle  start, stop, kill, restart, remove; what happens when a container exits
//   SpecBuilder         the OCI runtime configuration of a container
//   ExecSessions        commands run inside containers
//   LogReader           reads what the shim wrote
//   EventBus            events, live and replayed
//   *Service            what the API asks for images, builds, volumes, networks and the system
//
// Rooms below (Images, Networking, Volumes, RecordStore, Builder) block; they are called through `offloaded`, off
// Swift's cooperative threads. Locks are per container. Nothing here knows HTTP. clipperd wires the parts.
