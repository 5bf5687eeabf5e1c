"""Image archives both ways with the tools that people have: docker (Debian's dockerd), podman, buildah, skopeo and umoci.

What goes out is read by every tool; what every tool writes comes in; and what has a digest keeps it.
"""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

import pytest

from dropin.engines import RUNC, Containerd, Docker, PrivateHost, Tool, base_archive, buildah, podman
from harness import IMAGE

NAME = "docker.io/clpt/world:1"


def layer(*entries):
    """A layer's tar stream of (name, changes of its TarInfo, content)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, changes, content in entries:
            info = tarfile.TarInfo(name)
            info.mtime, info.size = 1_600_000_000, len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def directory(name, mode=0o755):
    return name, {"type": tarfile.DIRTYPE, "mode": mode}, b""


LOWER = layer(
    directory("bin"), ("bin/su", {"mode": 0o4755, "uid": 0, "gid": 42}, b"#!/bin/sh\n"), ("bin/su2", {"type": tarfile.LNKTYPE, "linkname": "bin/su"}, b""),
    directory("etc"), ("etc/gone", {}, b"old"), directory("etc/hidden"), ("etc/hidden/old", {}, b"old"), ("etc/kept", {"uid": 1000, "gid": 1000}, b"kept"),
    ("lib", {"type": tarfile.SYMTYPE, "linkname": "usr/lib"}, b""), directory("tmp", 0o1777), ("n" * 120, {}, b"long"),
    ("ping", {"mode": 0o755, "pax_headers": {"SCHILY.xattr.user.colour": "red"}}, b"x" * 100_000))
UPPER = layer(
    directory("etc"), ("etc/.wh.gone", {}, b""), directory("etc/hidden"), ("etc/hidden/.wh..wh..opq", {}, b""), ("etc/hidden/new", {}, b"new"))

# What a container of the image sees.
SEEN = {
    "bin/su": "file 4755 0:42", "bin/su2": "file 4755 0:42", "etc/kept": "file 644 1000:1000", "etc/hidden/new": "file 644 0:0", "lib": "link usr/lib",
    "n" * 120: "file 644 0:0", "ping": "file 755 0:0"}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def docker_archive(path, layers, packed):
    """As `docker save` before 25 writes it; `packed` layers as skopeo and others do."""
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "created": "2020-01-01T00:00:00Z", "config": {"Cmd": ["sh"], "Env": ["A=b"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]},
        "history": [{"created_by": "lower"}, {"created_by": "upper"}]}).encode()
    with tarfile.open(path, "w") as archive:
        def add(name, data):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for number, data in enumerate(layers):
            add(f"{number}/layer.tar", gzip.compress(data, mtime=0) if packed else data)
        add("config.json", config)
        add("manifest.json", json.dumps([{
            "Config": "config.json", "RepoTags": [NAME], "Layers": [f"{number}/layer.tar" for number in range(len(layers))]}]).encode())
    return digest(config)


@pytest.fixture(scope="module")
def host():
    host = PrivateHost(f"clptarch{os.getpid()}")
    try:
        base_archive(host.scratch / "base.tar")
        yield host
    finally:
        host.remove()


@pytest.fixture(scope="module")
def docker_engine(host):
    return Docker(host, Containerd(host, host.scratch / "base.tar"), host.scratch / "base.tar").cli


@pytest.fixture(params=["plain", "packed"])
def world(request, host, daemon, clipper):
    """The image loaded, the archive that clipper saved of it, and its ID."""
    source = host.scratch / "world-source.tar"
    identifier = docker_archive(source, [LOWER, UPPER], request.param == "packed")
    assert "Loaded image: clpt/world:1" in clipper("load", "-i", source)
    saved = host.scratch / "world.tar"
    saved.unlink(missing_ok=True)
    clipper("save", "-o", saved, NAME)
    assert clipper.inspect(NAME)["Id"] == identifier
    layout = host.scratch / "world-layout"
    subprocess.run(["rm", "-rf", layout], check=True)
    layout.mkdir()
    subprocess.run(["tar", "-C", layout, "-xf", saved], check=True)
    yield {"id": identifier, "saved": saved, "layout": layout, "layers": clipper.inspect(NAME)["RootFS"]["Layers"]}


def manifest_digest(layout):
    return json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]


def reload(clipper, archive, world, same_id=True):
    """Loads what a tool wrote, after the image was taken away; it must be the same one."""
    clipper("rmi", "-f", clipper.inspect(NAME)["Id"])
    shown = clipper("load", "-i", archive)
    image = clipper.inspect(shown.rsplit(": ", 1)[1])
    assert image["RootFS"]["Layers"] == world["layers"] and image["Config"]["Env"] == ["A=b"]
    if same_id:
        assert image["Id"] == world["id"]
    clipper("rmi", "-f", image["Id"])


def seen(root):
    """The files of SEEN as they are below a directory."""
    found = {}
    for name in SEEN:
        path = os.path.join(root, name)
        status = os.lstat(path)
        if os.path.islink(path):
            found[name] = f"link {os.readlink(path)}"
        else:
            found[name] = f"file {status.st_mode & 0o7777:o} {status.st_uid}:{status.st_gid}"
    return found


def test_the_saved_archive_is_an_image_layout(world):
    """Every blob has its digest, every descriptor its size, and docker's documents point into it."""
    layout = world["layout"]
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    blobs = {path.name: path.read_bytes() for path in (layout / "blobs/sha256").iterdir()}
    for name, data in blobs.items():
        assert digest(data) == f"sha256:{name}"
    manifest = json.loads(blobs[manifest_digest(layout)[7:]])
    for descriptor in [manifest["config"], *manifest["layers"]]:
        assert len(blobs[descriptor["digest"][7:]]) == descriptor["size"]
    saved = json.loads((layout / "manifest.json").read_text())[0]
    assert saved["RepoTags"] == ["clpt/world:1"] and all((layout / path).is_file() for path in [saved["Config"], *saved["Layers"]])


def test_docker(world, clipper, docker_engine, host):
    docker_engine("load", "-i", world["saved"])
    shown = json.loads(docker_engine("image", "inspect", NAME))[0]
    assert (shown["Id"], shown["RootFS"]["Layers"]) == (world["id"], world["layers"])
    written = host.scratch / "docker.tar"
    docker_engine("save", "-o", written, NAME)
    docker_engine("rmi", "-f", NAME)
    reload(clipper, written, world)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman(world, clipper, host, form):
    tool = podman(host, RUNC)
    tool("load", "-i", world["saved"])
    shown = json.loads(tool("image", "inspect", NAME))[0]
    assert ("sha256:" + shown["Id"], shown["RootFS"]["Layers"]) == (world["id"], world["layers"])
    written = host.scratch / f"podman-{form}.tar"
    written.unlink(missing_ok=True)
    tool("save", "--format", form, "-o", written, NAME)
    tool("rmi", "-f", NAME)
    # podman writes configs of its own for OCI.
    reload(clipper, written, world, same_id=form == "docker-archive")


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_buildah(world, clipper, host, form):
    tool = buildah(host)
    saved = f"{form}:{world['saved']}"
    container = tool("from", saved).splitlines()[-1]
    mounted = tool("mount", container)
    # What buildah mounts is seen in its own mount namespace alone.
    listing = Tool(host, "ls")("-1", f"{mounted}/etc", f"{mounted}/etc/hidden").split("\n")
    assert "gone" not in listing and "new" in listing and "old" not in listing
    written = host.scratch / f"buildah-{form}.tar"
    written.unlink(missing_ok=True)
    tool("rm", container)
    image = tool("pull", saved).splitlines()[-1]
    tool("push", image, f"{form}:{written}:{NAME}")
    tool("rmi", "-f", image)
    reload(clipper, written, world)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_skopeo(world, clipper, host, form):
    """From either of the two things that a saved archive is, to either of the two that it could have been."""
    for number, source in enumerate([f"docker-archive:{world['saved']}", f"oci:{world['layout']}:1"]):
        written = host.scratch / f"skopeo-{number}-{form}.tar"
        written.unlink(missing_ok=True)
        subprocess.run(["skopeo", "copy", "-q", source, f"{form}:{written}:{NAME}"], check=True)
        # Between docker's and OCI's documents skopeo writes a new config.
        kept = form == "docker-archive" if number == 0 else form == "oci-archive"
        reload(clipper, written, world, same_id=kept)
        clipper("load", "-i", world["saved"])


def test_skopeo_at_the_daemon(daemon, clipper, name, tmp_path):
    """Its `docker-daemon:` speaks version 1.22 of the API, older than any of Docker's that are served still."""
    before = daemon.log.stat().st_size
    subprocess.run(["skopeo", "copy", "-q", "--src-daemon-host", daemon.host, f"docker-daemon:{IMAGE}:latest", f"dir:{tmp_path}/out"],
                   check=True)
    subprocess.run(["skopeo", "copy", "-q", "--dest-daemon-host", daemon.host, f"dir:{tmp_path}/out", f"docker-daemon:{name}:1"],
                   check=True)
    assert clipper("run", "--rm", f"{name}:1", "echo", "here") == "here"
    said = daemon.log.read_bytes()[before:].decode()
    assert "/v1.22/images/get" in said and "/v1.22/images/load" in said
    clipper("rmi", f"{name}:1")


def test_skopeo_keeps_the_manifest(world, clipper, host):
    """An OCI layout through skopeo and back: the manifest's digest is what it was, on both sides."""
    written = host.scratch / "skopeo-same.tar"
    written.unlink(missing_ok=True)
    raw = subprocess.run(["skopeo", "inspect", "--raw", f"oci:{world['layout']}:1"], check=True, capture_output=True).stdout
    assert digest(raw) == manifest_digest(world["layout"])
    subprocess.run(["skopeo", "copy", "-q", "--preserve-digests", f"oci:{world['layout']}:1", f"oci-archive:{written}:{NAME}"], check=True)
    clipper("rmi", "-f", world["id"])
    clipper("load", "-i", written)
    again = host.scratch / "again.tar"
    again.unlink(missing_ok=True)
    clipper("save", "-o", again, NAME)
    with tarfile.open(again) as tar:
        assert json.load(tar.extractfile("index.json"))["manifests"][0]["digest"] == digest(raw)


def test_umoci_unpacks(world, host):
    bundle = host.scratch / "umoci-bundle"
    subprocess.run(["rm", "-rf", bundle], check=True)
    subprocess.run(["umoci", "unpack", "--image", f"{world['layout']}:1", bundle], check=True, capture_output=True)
    root = bundle / "rootfs"
    assert seen(root) == SEEN
    assert sorted(os.listdir(root / "etc")) == ["hidden", "kept"] and os.listdir(root / "etc/hidden") == ["new"]
    assert os.stat(root / "bin/su").st_ino == os.stat(root / "bin/su2").st_ino
    assert os.getxattr(root / "ping", "user.colour") == b"red"


def test_umoci_writes(world, clipper, host):
    """umoci adds a layer to the layout; clipper reads it and finds everything in it."""
    image = f"{world['layout']}:1"
    (host.scratch / "added").write_text("added by umoci")
    subprocess.run(["umoci", "insert", "--image", image, host.scratch / "added", "/etc/added"], check=True, capture_output=True)
    index = json.loads((world["layout"] / "index.json").read_text())
    tagged = [d for d in index["manifests"] if d["annotations"]["org.opencontainers.image.ref.name"] == "1"]
    tagged[-1]["annotations"] = {"org.opencontainers.image.ref.name": "clpt/umoci:1"}
    index["manifests"] = tagged[-1:]
    (world["layout"] / "index.json").write_text(json.dumps(index))
    for document in ["manifest.json", "repositories"]:
        (world["layout"] / document).unlink()
    archive = subprocess.run(["tar", "-C", world["layout"], "-cf", "-", "."], check=True, capture_output=True).stdout
    clipper("load", input=archive)
    shown = clipper.inspect("clpt/umoci:1")
    assert shown["RootFS"]["Layers"][:2] == world["layers"] and len(shown["RootFS"]["Layers"]) == 3
    # The two layers that were here already were not unpacked once more.
    assert clipper.inspect(NAME)["GraphDriver"]["Data"]["UpperDir"] in shown["GraphDriver"]["Data"]["LowerDir"]
    with open(shown["GraphDriver"]["Data"]["UpperDir"] + "/etc/added") as added:
        assert added.read() == "added by umoci"


def test_what_a_container_sees(world, clipper, host, name, tmp_path):
    """The same that umoci unpacks: in clipper's own export."""
    clipper("create", "--name", name, NAME, "sh")
    exported = clipper.run("export", name).stdout
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        tar.extractall(tmp_path, numeric_owner=True)
    assert seen(tmp_path) == SEEN
    assert sorted(p for p in os.listdir(tmp_path / "etc") if p in ("hidden", "kept", "gone")) == ["hidden", "kept"]
    assert os.listdir(tmp_path / "etc/hidden") == ["new"]
