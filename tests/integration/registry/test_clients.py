"""Unmodified clients against clipper-registry: docker (through Debian's dockerd), skopeo, podman, buildah, oras."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import oras.client
import pytest

from conftest import docker_programs
from harness import BIN, REPOSITORY, wait_until
from registry.harness import Registry, digest, scratch_directory

OPEN_POLICY = '{"default":[{"type":"insecureAcceptAnything"}]}'


def run(*words, environment=None, input=None):
    done = subprocess.run([str(word) for word in words], capture_output=True, env={**os.environ, **(environment or {})}, input=input, timeout=100)
    assert done.returncode == 0, (words, done.stdout.decode(errors="replace")[-1500:], done.stderr.decode(errors="replace")[-1500:])
    return done.stdout.decode()


@pytest.fixture(scope="module")
def base():
    """A small image as a tar of its files."""
    return subprocess.run([str(REPOSITORY / "scripts/make-base-image")], stdout=subprocess.PIPE, check=True).stdout


class Dockerd:
    """Debian's dockerd, which takes loopback registries without TLS."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(mode=0o700)
        (directory / "daemon.json").write_text("{}")
        self.host = f"unix://{directory}/d.sock"
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "/usr/sbin/dockerd", "--config-file", directory / "daemon.json",
                 "--data-root", directory / "data", "--exec-root", directory / "exec", "-H", self.host, "--pidfile", directory / "pid",
                 "--bridge", "none", "--iptables=false", "--ip6tables=false", "--storage-driver", "vfs"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_until(self.answers, 60, "dockerd's answer")

    def answers(self):
        assert self.process.poll() is None, (self.directory / "log").read_text()[-3000:]
        return subprocess.run(["docker", "-H", self.host, "version"], capture_output=True).returncode == 0

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.directory)


@pytest.fixture(scope="module")
def dockerd(base):
    if not os.path.exists("/usr/sbin/dockerd"):
        pytest.skip("docker.io is not installed")
    daemon = Dockerd(scratch_directory("dockerd"))
    try:
        run("docker", "-H", daemon.host, "import", "-", "base:1", input=base)
        yield daemon
    finally:
        daemon.stop()


@pytest.mark.parametrize("program", sorted(docker_programs()))
def test_docker_pushes_and_pulls(registry, dockerd, name, program):
    docker = [docker_programs()[program], "-H", dockerd.host]
    target = f"{registry.host}/{name}"
    for tag in ("v1", "v2"):
        run(*docker, "tag", "base:1", f"{target}:{tag}")
        run(*docker, "push", f"{target}:{tag}")
    identifier = run(*docker, "image", "inspect", "-f", "{{.Id}}", "base:1").strip()
    run(*docker, "rmi", f"{target}:v1", f"{target}:v2")
    assert registry.get(f"/v2/{name}/tags/list").json["tags"] == ["v1", "v2"]
    manifest = json.loads(registry.get(f"/v2/{name}/manifests/v1").body)
    assert manifest["config"]["digest"] == identifier
    said = run(*docker, "pull", "--all-tags", target)
    assert "v1: Pulling" in said or "Digest:" in said
    by_digest = f"{target}@{digest(registry.get(f'/v2/{name}/manifests/v1').body)}"
    run(*docker, "pull", by_digest)
    assert run(*docker, "image", "inspect", "-f", "{{.Id}}", f"{target}:v2", by_digest).split() == [identifier] * 2
    # Into another repository the layer is mounted.
    mark = len(registry.access_lines())
    run(*docker, "tag", "base:1", f"{target}-copy:v1")
    run(*docker, "push", f"{target}-copy:v1")
    assert any("mount=" in line["target"] and line["status"] == 201 for line in registry.access_lines()[mark:])
    run(*docker, "rmi", f"{target}:v1", f"{target}:v2", f"{target}-copy:v1")


def test_docker_logs_in(make_registry, dockerd, tmp_path):
    from registry.test_access import passwords
    registry = make_registry({"htpasswd": {"file": passwords(tmp_path / "htpasswd", alice="wonder:land")}})
    for number, program in enumerate(sorted(docker_programs())):
        docker = [docker_programs()[program], "--config", tmp_path / f"config{number}", "-H", dockerd.host]
        target = f"{registry.host}/private/{number}"
        run(*docker, "tag", "base:1", target)
        refused = subprocess.run([*map(str, docker), "push", target], capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1 and "no basic auth credentials" in refused.stderr, refused
        wrong = subprocess.run([*map(str, docker), "login", "-u", "alice", "--password-stdin", registry.host], input="x", capture_output=True,
                               text=True, timeout=60)
        assert wrong.returncode == 1 and "unauthorized" in wrong.stderr.lower(), wrong
        run(*docker, "login", "-u", "alice", "--password-stdin", registry.host, input=b"wonder:land")
        run(*docker, "push", target)
        run(*docker, "rmi", target)
        run(*docker, "pull", target)
        run(*docker, "rmi", target)


def skopeo_layout(base, directory):
    """An OCI layout of the base image, made by this project's own words only: no client is needed to make it."""
    import gzip
    layer = gzip.compress(base, mtime=0)
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]}, "rootfs": {
        "type": "layers", "diff_ids": [digest(base)]}}).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(layer), "size": len(layer)}]}).encode()
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)
    for content in (layer, config, manifest):
        (blobs / hashlib.sha256(content).hexdigest()).write_bytes(content)
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(manifest), "size": len(manifest),
        "annotations": {"org.opencontainers.image.ref.name": "v1"}}]}))
    return manifest


@pytest.fixture(scope="module")
def layout(base, tmp_path_factory):
    directory = tmp_path_factory.mktemp("layout")
    return directory, skopeo_layout(base, directory)


def test_skopeo(registry, layout, name, tmp_path):
    source, manifest = layout
    policy = tmp_path / "policy.json"
    policy.write_text(OPEN_POLICY)
    skopeo = ["skopeo", "--policy", policy]
    target = f"docker://{registry.host}/{name}:v1"
    run(*skopeo, "copy", "--dest-tls-verify=false", f"oci:{source}:v1", target)
    run(*skopeo, "copy", "--src-tls-verify=false", target, f"oci:{tmp_path}/back:v1")
    assert (tmp_path / "back/blobs/sha256" / digest(manifest).split(":")[1]).read_bytes() == manifest
    assert json.loads(run(*skopeo, "inspect", "--tls-verify=false", target))["Digest"] == digest(manifest)
    assert json.loads(run(*skopeo, "list-tags", "--tls-verify=false", f"docker://{registry.host}/{name}"))["Tags"] == ["v1"]
    # What lies on the disk is an OCI layout.
    on_disk = registry.root / f"repositories/{name}/_layout"
    run(*skopeo, "copy", f"oci:{on_disk}:v1", f"oci:{tmp_path}/from-disk:v1")
    # In Docker's format too.
    run(*skopeo, "copy", "--dest-tls-verify=false", "--format", "v2s2", f"oci:{source}:v1", f"{target}-docker")
    media_type = "application/vnd.docker.distribution.manifest.v2+json"
    assert registry.get(f"/v2/{name}/manifests/v1-docker").headers["Content-Type"] == media_type
    run(*skopeo, "delete", "--tls-verify=false", target)
    assert registry.get(f"/v2/{name}/manifests/v1").status == 404


@pytest.mark.parametrize("program", ["podman", "buildah"])
def test_podman_and_buildah(registry, layout, name, tmp_path, program):
    source, manifest = layout
    # Directories of its own: nothing of the machine's is touched.
    (tmp_path / "policy.json").write_text(OPEN_POLICY)
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\nrunroot = "{tmp_path}/run"\ngraphroot = "{tmp_path}/graph"\n')
    environment = {"CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    tool = shutil.which(program)
    policy = ["--signature-policy", tmp_path / "policy.json"]
    target = f"{registry.host}/{name}:v1"
    identifier = run(tool, "pull", "-q", *policy, f"oci:{source}:v1", environment=environment).strip()
    run(tool, "push", "-q", "--tls-verify=false", *policy, identifier, f"docker://{target}", environment=environment)
    run(tool, "rmi", "-f", identifier, environment=environment)
    pulled = run(tool, "pull", "-q", "--tls-verify=false", *policy, f"docker://{target}", environment=environment).strip()
    assert pulled == identifier
    assert json.loads(registry.get(f"/v2/{name}/manifests/v1").body)["config"]["digest"] == f"sha256:{identifier}"
    # An index of two images.
    if program == "podman":
        run(tool, "manifest", "create", "all", environment=environment)
        run(tool, "manifest", "add", "--tls-verify=false", "all", f"docker://{target}", environment=environment)
        run(tool, "manifest", "push", "--all", "--tls-verify=false", "all", f"docker://{registry.host}/{name}:all", environment=environment)
        reply = registry.get(f"/v2/{name}/manifests/all")
        assert [entry["digest"] for entry in reply.json["manifests"]] == [digest(registry.get(f"/v2/{name}/manifests/v1").body)]


def test_oras(registry, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    client = oras.client.OrasClient(hostname=registry.host, insecure=True, tls_verify=False)
    (tmp_path / "artifact.txt").write_text("an artifact\n")
    target = f"{registry.host}/{name}"
    for tag in ("v1", "v2"):
        reply = client.push(files=["artifact.txt"], target=f"{target}:{tag}", manifest_annotations={"made.for": tag})
        assert reply.status_code == 201
    assert client.get_tags(target) == ["v1", "v2"]
    (tmp_path / "out").mkdir()
    files = client.pull(target=f"{target}:v1", outdir=str(tmp_path / "out"))
    assert [pathlib.Path(file).read_text() for file in files] == ["an artifact\n"]
    assert registry.get(f"/v2/{name}/manifests/v1").json["annotations"] == {"made.for": "v1"}
    assert client.delete_tags(target, ["v1"]) == ["v1"]
    assert client.get_tags(target) == ["v2"]


def test_the_client_starts_the_registry(tmp_path):
    registry = Registry(scratch_directory("byclient"))
    registry.command = lambda verb, *words: [
        str(BIN / "clipper"), "registry", verb, *words, "--root", str(registry.root), "--config", str(registry.write_configuration())]
    try:
        registry.start()
        assert pathlib.Path(f"/proc/{registry.process.pid}/exe").resolve().name == "clipper-registry", "the client has become it"
        found = registry.push_blob("r", b"x")
        assert registry.get(f"/v2/r/blobs/{found}").body == b"x"
        assert registry.collect("--grace", "0", "--dry-run") in (
            "0 manifests, 1 blobs, 0 uploads, 1 bytes", "0 manifests, 0 blobs, 0 uploads, 0 bytes")
        assert registry.stop() == 0
    finally:
        registry.remove()
    done = subprocess.run([BIN / "clipper", "registry", "serve", "--root", tmp_path, "--address", "x"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("clipper-registry: invalid address: x")
    # Where there is no such program beside it, it says so.
    shutil.copy(BIN / "clipper", tmp_path / "clipper")
    done = subprocess.run([tmp_path / "clipper", "registry", "serve"], capture_output=True, text=True)
    assert done.returncode == 1 and f"cannot start {tmp_path}/clipper-registry: no such file or directory" in done.stderr
