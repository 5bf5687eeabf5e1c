"""Where dockerd itself differs from the reference, each with its reason; what these tables allow, nothing else may differ.

Each was seen in answers of Debian's dockerd 20.10, or follows from what later dockerds are known to send to older clients.
"""

# Calls that this engine alone has: docs/api-coverage.md, "Clipper's own".
OWN = {"/system/check", "/system/streams/prune", "/system/usage"}
# Below these are calls that this engine alone has: docs/decisions/0010-registries-through-the-daemon.md.
OWN_BELOW = ("/registry/manifests/", "/registry/blobs/")

# What any path may answer: the reference tells it where its authors thought of it.
STATUS_ANYWHERE = {
    400: "a version, parameter, filter or body that cannot be read",
    501: "what this engine or platform does not do, refused by name",
}

# Answers that dockerd gives and the reference does not have.
STATUS = {
    ("post", "/exec/{id}/start"): {101: "to a client that asks for an upgrade", 500: "what the daemon itself cannot do"},
    ("post", "/containers/{id}/resize"): {409: "a container that does not run has no terminal"},
    ("post", "/containers/{id}/pause"): {409: "paused already, or not running"},
    ("post", "/containers/{id}/attach"): {409: "a paused container takes no input"},
    ("post", "/containers/{id}/restart"): {409: "marked for removal, or dead"},
    ("post", "/containers/{id}/start"): {409: "marked for removal, or paused"},
    ("post", "/commit"): {409: "the container is being removed"},
    ("get", "/containers/{id}/top"): {409: "the container does not run"},
    ("post", "/networks/create"): {409: "a network with that name exists"},
    ("get", "/containers/json"): {404: "no such container as `before` or `since` names"},
    ("get", "/images/json"): {404: "no such image as `before` or `since` names"},
    ("get", "/images/get"): {404: "no such image"},
    ("get", "/images/{name}/get"): {404: "no such image"},
    ("get", "/distribution/{name}/json"): {
        403: "the credentials do not suffice", 404: "the registry has no such image"},
    ("post", "/images/create"): {401: "of an import: the web server wants credentials", 403: "of an import: the web server refuses"},
    ("post", "/auth"): {403: "the registry refuses these credentials for good"},
    ("get", "/images/search"): {401: "the registry wants other credentials", 404: "the registry cannot be searched"},
}

# Members that the reference does not have and dockerd, or this engine alone, sends: where, member: reason.
MEMBERS = {
    # Why a container stopped, in one sentence: docs/compatibility.md. Absent where there is nothing to tell.
    "/containers/json": {"Reason": "this engine's own"},
    "/containers/{id}/json": {"Reason": "this engine's own, in State"},
    "/containers/{id}/wait": {"Reason": "this engine's own"},
    "/images/{name}/push": {
        "id": "the layer that a line is about, as in a pull's",
        "aux": "tag, digest and size of the manifest that was stored",
    },
    "/events": {
        "status": "the action once more, for clients before 1.22; sent to all up to 1.51",
        "id": "the actor's, as `status`",
        "from": "the image of a container's event, as `status`",
    },
}

# Values that dockerd sends although the reference's type forbids them: (path, place, the value).
VALUES = {
    ("/exec/{id}/json", "ExitCode", "null"): "until the command has ended",
    ("/containers/{id}/json", "HostConfig/MemorySwappiness", "null"): "not asked for",
}

# Members that the reference demands and does not have: (path, member).
REQUIRED = {
    ("/images/json", "UnpackedSize"): "of a manifest's image: what the reference describes is Size/Unpacked",
    ("/images/{name}/json", "UnpackedSize"): "as above",
}

# Members that older versions have and the reference does not, with the first version that is without them: seen in dockerd's.
UNTIL = {
    "/containers/{id}/json": {"HostConfig/KernelMemory": (1, 42)},
    "/images/json": {"*/VirtualSize": (1, 44)},
    "/images/{name}/json": {
        "VirtualSize": (1, 44), "Container": (1, 45), "ContainerConfig": (1, 45),
        # An image's configuration was that of a container.
        **{f"Config/{name}": (1, 50) for name in (
            "Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "Image")},
    },
    "/info": {
        "BridgeNfIptables": (1, 50), "BridgeNfIp6tables": (1, 50), "KernelMemory": (1, 42),
        "ContainerdCommit/Expected": (1, 49), "RuncCommit/Expected": (1, 49), "InitCommit/Expected": (1, 49),
        "RegistryConfig/AllowNondistributableArtifactsCIDRs": (1, 47),
        "RegistryConfig/AllowNondistributableArtifactsHostnames": (1, 47),
    },
    "/system/df": {"BuilderSize": (1, 42), "Images/*/VirtualSize": (1, 44)},
}
