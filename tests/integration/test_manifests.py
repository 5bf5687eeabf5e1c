"""`clipper manifest` beside `docker manifest`: the same command lines against registries with the same content, one after the other
at the same address. What is printed is the same, digests of what was pushed among it."""

import json
import subprocess

import pytest

import registries
from conftest import PROGRAMS
from harness import Client, free_port
from registries import CONFIG, INDEX, MANIFEST, digest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
NOTHING = "sha256:" + 64 * "0"

# Each line goes on where the one before left off. APP and OCI are repositories; behind `=>` stands what the answer has.
LINES = f"""
manifest inspect
manifest create APP:x
manifest annotate x
manifest push
manifest rm
manifest nosuch
manifest inspect --insecure APP:amd64
manifest inspect --insecure -v APP:amd64
manifest inspect --insecure -v APP:windows => "os.version": "10.0.1"
manifest inspect --insecure -v APP:nowhere => "architecture": ""
manifest inspect --insecure APP:odd => "<&>": "\\u0041 1e2"
manifest inspect --insecure -v APP:odd => "\\u003c\\u0026\\u003e": "\\u0041 1e2"
manifest inspect --insecure APP:none => no such manifest
manifest inspect --insecure APP/none:none => no such manifest
manifest inspect --insecure APP@{NOTHING} => no such manifest
manifest inspect UPPER => must be lowercase
manifest inspect --insecure APP:list => "variant": "v8"
manifest inspect --insecure -v APP:list => APP:list@sha256:
manifest inspect --insecure OCI:amd64
manifest inspect --insecure -v OCI:amd64 => "OCIManifest"
manifest inspect --insecure OCI:list
manifest inspect --insecure -v OCI:list
manifest create UPPER APP:amd64 => error parsing name for manifest list UPPER
manifest create APP:all UPPER
manifest create --insecure APP:all APP:amd64 APP:arm64 OTHER:s390x => Created manifest list APP:all
manifest create --insecure APP:all APP:amd64 => refusing to amend
manifest create --insecure --amend APP:all APP:386
manifest create --insecure -a APP:all APP:v7
manifest create --insecure -a APP:all APP:list => APP:list is a manifest list
manifest create --insecure -a APP:all APP:none => no such manifest
manifest inspect APP:all => "variant": "v7"
manifest inspect -v APP:all
manifest inspect APP:all APP:amd64
manifest inspect -v APP:all APP:amd64
manifest inspect APP:all APP:windows => No such manifest: APP:windows
manifest inspect APP:nolist APP:windows
manifest annotate APP:all APP:amd64
manifest annotate --arch amd64 APP:all APP:none => manifest for image APP:none does not exist in APP:all
manifest annotate --arch amd64 APP:nolist APP:none
manifest annotate --arch amd64 UPPER APP:none => annotate: error parsing name for manifest list UPPER
manifest annotate --arch amd64 APP:all UPPER => annotate: error parsing name for manifest UPPER
manifest annotate --variant v8 --os linux --arch arm64 --os-features a,b --os-features b --os-features <c> --os-version 1.2 APP:all APP:arm64
manifest annotate --arch nonsense APP:all APP:arm64 => unsupported os/arch combination: /nonsense
manifest annotate --os nonsense APP:all APP:arm64 => unsupported os/arch combination: nonsense/
manifest annotate --os-features= --os= APP:all APP:arm64
manifest create --amend APP:all APP:arm64
manifest inspect APP:all => "\\u003cc\\u003e"
manifest push --insecure APP:all => Pushed ref APP@sha256:
manifest inspect --insecure APP@OTHER
manifest push --insecure -p APP:all => sha256:
manifest push --insecure APP:all => No such manifest: APP:all
manifest push UPPER
manifest inspect --insecure APP:all => "1.2"
manifest rm APP:all UPPER
manifest create --insecure OCI:all OCI:amd64 OCI:arm64
manifest push --insecure --purge OCI:all
manifest inspect --insecure OCI:all => "{INDEX}"
manifest create --insecure MIX:1 OCI:amd64 APP:arm64
manifest push --insecure MIX:1
manifest create --insecure MIX:2 APP:layers OCI:arm64
manifest push --insecure MIX:2
manifest inspect --insecure MIX:2
manifest create --insecure MIX:3 APP:nowhere
manifest push --insecure MIX:3 => must have an OS and Architecture
manifest annotate --os linux MIX:3 APP:nowhere => unsupported os/arch combination: linux/
manifest create --insecure 127.0.0.2:1/x:1 APP:amd64
manifest push --insecure 127.0.0.2:1/x:1 => cannot use source images from a different registry
manifest inspect 127.0.0.2:1/x:1 => failed to assemble ManifestDescriptor
manifest rm 127.0.0.2:1/x:1 MIX:9 MIX:1 => No such manifest: MIX:9
manifest inspect MIX:1 MIX:1 => No such manifest
""".strip().splitlines()


class Registry(registries.Registry):
    def put_bare(self, repository, tag, platform, kind=DOCKER_MANIFEST, **more):
        """An image without layers."""
        config = self.put_blob(repository, json.dumps({**platform, "rootfs": {"type": "layers", "diff_ids": []}}).encode())
        return self.put_manifest(repository, tag, {
            "schemaVersion": 2, "mediaType": kind, "config": {"mediaType": CONFIG if kind == MANIFEST else DOCKER_CONFIG, **config},
            "layers": [], **more}, kind)

    def put_list(self, repository, tag, kind, *entries):
        # Members in another order than Docker's, and one that it drops.
        platforms = [{"variant": "v8", "os": "linux", "architecture": "arm64"}, {"os": "linux", "architecture": "amd64"}]
        manifests = [{"annotations": {"a": "b"}, **entry, "platform": platform} for entry, platform in zip(entries, platforms)]
        self.put_manifest(repository, tag, {"manifests": manifests, "schemaVersion": 2, "mediaType": kind}, kind)

    def fill(self):
        linux = {"os": "linux"}
        app = {name: self.put_bare("team/app", name, {**linux, "architecture": name}) for name in ["amd64", "arm64", "386"]}
        self.put_bare("team/app", "v7", {**linux, "architecture": "arm", "variant": "v7"})
        self.put_bare("team/app", "windows", {"os": "windows", "architecture": "amd64", "os.version": "10.0.1"})
        self.put_bare("team/app", "nowhere", {})
        other = self.put_bare("team/other", "s390x", {**linux, "architecture": "s390x"})
        self.put_image("team/app", "layers", [{"a": b"one"}, {"b": b"two"}])
        oci = [self.put_bare("team/oci", name, {**linux, "architecture": name}, MANIFEST) for name in ["arm64", "amd64"]]
        self.put_list("team/app", "list", DOCKER_LIST, app["arm64"], app["amd64"])
        self.put_list("team/oci", "list", INDEX, *oci)
        # A manifest with white space, escapes and numbers of its own.
        data = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, **self.put_blob("team/app", b"{}")},
                           "layers": [], "annotations": {"<&>": "A 1e2"}}, indent=1).replace("A 1e2", "\\u0041 1e2").encode()
        assert self.call("PUT", "/v2/team/app/manifests/odd", data, {"Content-Type": MANIFEST})[0] == 201
        return other["digest"]


@pytest.fixture
def serve(tmp_path):
    """Runs what is given with a registry of a kind that has the images; each is another registry at the same address."""
    port, made = free_port(), []

    def run(kind, body, **options):
        registry = Registry(kind, tmp_path / f"registry{len(made)}", port=port, **options)
        made.append(registry)
        try:
            return body(registry, registry.fill())
        finally:
            registry.stop()

    return run


def user(name, daemon, directory):
    client = Client(name, PROGRAMS[name], daemon)
    client.environment["DOCKER_CONFIG"] = str(directory / name)
    return client


def words(line, registry, other):
    for name, path in [("APP", "team/app"), ("OCI", "team/oci"), ("MIX", "team/mix")]:
        line = line.replace(f"{name}@OTHER", f"{registry.host}/{path}@{other}").replace(name, f"{registry.host}/{path}")
    return line.replace("OTHER", f"{registry.host}/team/other").split(" ")


def answers(client, registry, other):
    """The answers to all lines, and last the bytes of the lists that were pushed."""
    said = []
    for line in LINES:
        done = client.run(*words(line.partition(" => ")[0], registry, other))
        told = [text.replace(f"{registry.host}/team/app", "APP").replace(f"{registry.host}/team/oci", "OCI")
                .replace(f"{registry.host}/team/mix", "MIX").replace(client.name, "PROGRAM") for text in (done.out, done.err)]
        said.append((done.code, *(text.replace("docker: ", "PROGRAM: ").replace("docker manifest", "PROGRAM manifest") for text in told)))
    pushed = [registry.call("GET", f"/v2/team/{name}", headers={"Accept": f"{DOCKER_LIST}, {INDEX}"})
              for name in ["app/manifests/all", "oci/manifests/all", "mix/manifests/1", "mix/manifests/2"]]
    assert [status for status, _, _ in pushed] == [200] * 4
    return said, [data for _, _, data in pushed]


@pytest.mark.skipif("docker-28.2" not in PROGRAMS, reason="docker 28 is not here")
@pytest.mark.parametrize("kind", ["clipper-registry", "docker-registry"])
def test_manifest_commands(daemon, serve, tmp_path, kind):
    (theirs, their_lists), (ours, our_lists) = [
        serve(kind, lambda registry, other, name=name: answers(user(name, daemon, tmp_path), registry, other))
        for name in ["docker-28.2", "clipper"]]
    for line, expected, found in zip(LINES, theirs, ours):
        assert found == expected, line
        assert line.partition(" => ")[2] in found[1] + found[2], (line, found)
    assert our_lists == their_lists
    # The lists that are left, too, are the same to the byte.
    made = [subprocess.run("cat manifests/*/*", shell=True, cwd=tmp_path / name, check=True, capture_output=True).stdout
            for name in ["docker-28.2", "clipper"]]
    assert made[0] == made[1] != b""


@pytest.mark.parametrize("maker", [name for name in PROGRAMS if name != "clipper"])
def test_a_list_of_docker_is_pushed(daemon, serve, tmp_path, maker):
    """Into another repository, for which the manifest's bytes are needed. Those that docker 20.10 keeps lost their white space."""
    def push(registry, _):
        image = f"{registry.host}/team/app"
        data = json.dumps(json.loads(registry.call("GET", "/v2/team/app/manifests/amd64", headers={"Accept": DOCKER_MANIFEST})[2]), indent=3)
        assert registry.call("PUT", "/v2/team/app/manifests/plain", data.encode(), {"Content-Type": DOCKER_MANIFEST})[0] == 201
        clients = [user(name, daemon, tmp_path) for name in [maker, "clipper"]]
        clients[1].environment["DOCKER_CONFIG"] = clients[0].environment["DOCKER_CONFIG"]
        clients[0]("manifest", "create", "--insecure", f"{registry.host}/team/new:1", f"{image}:plain")
        clients[1]("manifest", "annotate", "--arch", "arm", f"{registry.host}/team/new:1", f"{image}:plain")
        told = clients[1]("manifest", "push", f"{registry.host}/team/new:1").splitlines()
        assert told[0].endswith(f"/team/new@{digest(data.encode())} with digest: {digest(data.encode())}")
        found = json.loads(registry.call("GET", "/v2/team/new/manifests/1", headers={"Accept": DOCKER_LIST})[2])["manifests"]
        assert [(one["digest"], one["platform"]["architecture"]) for one in found] == [(digest(data.encode()), "arm")]

    serve("docker-registry", push)


def test_credentials(daemon, serve, tmp_path):
    def run(registry, _):
        client, image = user("clipper", daemon, tmp_path), f"{registry.host}/team/app"
        done = client.run("manifest", "inspect", f"{image}:amd64")
        assert done.code == 1 and done.err.endswith("no basic auth credentials\n"), done
        client("login", "-u", "me", "-p", "s3cret", registry.host)
        client("manifest", "create", f"{registry.host}/team/new:1", f"{image}:amd64", f"{image}:layers")
        assert client("manifest", "push", f"{registry.host}/team/new:1").splitlines()[-1].startswith("sha256:")

    serve("docker-registry", run, users=True)


def test_insecure_is_the_daemons(clipper):
    done = clipper.run("manifest", "inspect", "--insecure", "registry.invalid/x")
    assert done.code == 1 and "name registry.invalid in insecure-registries of the daemon" in done.err
