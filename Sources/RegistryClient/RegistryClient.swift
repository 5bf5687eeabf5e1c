// RegistryClient: what the daemon needs to talk to a registry (OCI distribution spec 1.1).
//
// `RegistryEndpoint` chooses where a name's registry answers; `AuthenticationChallenge` reads what a registry demands.
// Transfers come later: until then `pull` says so.
