"""Pull and push: every client against clipperd, clipperd against registries, and other tools on the other side of them."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import pytest

from harness import IMAGE, Client, Daemon, wait_until
from registries import INDEX, Proxy, Registry, ScriptedRegistry
from conftest import PROGRAMS


@pytest.fixture(scope="module", params=[kind for kind, program in Registry.PROGRAMS.items() if program])
def registry(request, tmp_path_factory):
    server = Registry(request.param, tmp_path_factory.mktemp("registry") / "r")
    yield server
    server.stop()


@pytest.fixture
def proxy(registry):
    between = Proxy(registry)
    yield between
    between.close()


@pytest.fixture
def own_daemon(request):
    daemon = Daemon(f"clpp{os.getpid()}x{len(request.node.name)}")
    daemon.start()
    yield daemon
    if daemon.running():
        daemon.stop()
    daemon.remove()


# Each line goes on where the one before left off.
LINES = """
pull HOST/clpt/say:1
pull -q HOST/clpt/say:1
pull HOST/clpt/say
pull -q HOST/clpt/say
pull -a HOST/clpt/say
pull -a HOST/clpt/say:1
pull HOST/clpt/say:none
pull HOST/clpt/say:1:2
pull HOST/CLPT/say
pull DIGEST
pull --platform nonsense HOST/clpt/say:1
images --format {{.Tag}}:{{.Digest}} HOST/clpt/say
images --format {{.Tag}} HOST/clpt/say
images --digests --format {{.Tag}}:{{.Digest}} HOST/clpt/say
images --digests --format table\\t{{.ID}} HOST/clpt/say
images --digests --no-trunc HOST/clpt/say
push HOST/clpt/say
push -q HOST/clpt/say
push -q HOST/clpt/say:1
push -a HOST/clpt/say
push -a HOST/clpt/say:1
push HOST/clpt/none
push HOST/clpt/say:1:2
push DIGEST
rmi HOST/clpt/say:1
rmi HOST/clpt/say:latest
pull -q DIGEST
images HOST/clpt/say
images --digests HOST/clpt/say
rmi DIGEST
inspect -f {{.Id}} HOST/clpt/say:1
inspect --type image HOST/clpt/say:1
""".strip().splitlines()


def test_clients_say_the_same(daemon, registry):
    """docker and clipper: what was asked for wrongly, which tag goes without saying, how digests are shown."""
    for tag in ["1", "latest"]:
        image = registry.put_image("clpt/say", tag, [{tag: b"content"}])
    said = []
    for name in ["docker-28.2", "clipper"]:
        if name not in PROGRAMS:
            pytest.skip(f"{name} is not here")
        client = Client(name, PROGRAMS[name], daemon)
        answers = []
        for line in LINES:
            words = [word.replace("table\\t", "table ") for word in line.replace("DIGEST", f"HOST/clpt/say@{image['digest']}").split(" ")]
            done = client.run(*[word.replace("HOST", registry.host) for word in words])
            # Of layers the order is that of the network's.
            out = sorted(text for text in done.out.splitlines() if text[12:14] != ": ")
            answers.append((line, done.code, out, done.err.replace(name, "PROGRAM")))
        said.append(answers)
    for theirs, ours in zip(*said):
        assert ours == theirs
    assert all(code == 0 for line, code, _, _ in said[1] if line.startswith("images"))


def store(daemon, name):
    return os.listdir(daemon.scratch / "data" / name)


def test_push_and_pull(cli, registry):
    name = f"{registry.host}/clpt/{cli.name}:1"
    cli("tag", IMAGE, name)
    identity = cli.inspect(name)["Id"]
    pushed = cli("push", name)
    assert f"The push refers to repository [{registry.host}/clpt/{cli.name}]" in pushed
    # The second client's layer is in the registry, in the first one's repository.
    assert ": Pushed" in pushed or ": Mounted from clpt/" in pushed
    at, document = registry.manifest(f"clpt/{cli.name}", "1")
    assert pushed.splitlines()[-1].startswith(f"1: digest: {at} size: ")
    assert document["config"]["digest"] == identity
    assert f"{registry.host}/clpt/{cli.name}@{at}" in cli.inspect(name)["RepoDigests"]
    again = cli("push", name)
    assert ": Layer already exists" in again and ": Pushed" not in again
    cli("rmi", "-f", name, IMAGE)
    try:
        pulled = cli("pull", name).splitlines()
        assert pulled[0] == f"1: Pulling from clpt/{cli.name}"
        layer = document["layers"][0]["digest"][7:19]
        assert f"{layer}: Pulling fs layer" in pulled and f"{layer}: Pull complete" in pulled
        assert pulled[-3:-1] == [f"Digest: {at}", f"Status: Downloaded newer image for {name}"] and pulled[-1].endswith(name)
        shown = cli.inspect(name)
        assert shown["Id"] == identity and shown["RepoTags"] == [name]
        assert cli("run", "--rm", name, "echo", "works") == "works"
        assert f"Status: Image is up to date for {name}" in cli("pull", name)
        assert cli("pull", "-q", name).endswith(name)
    finally:
        cli("tag", name, IMAGE)


def test_by_digest(cli, registry):
    image = registry.put_image("clpt/digest", "1", [{"a": b"1"}])
    name = f"{registry.host}/clpt/digest@{image['digest']}"
    pulled = cli("pull", name).splitlines()
    assert pulled[0] == f"{name}: Pulling from clpt/digest" or pulled[0] == f"{image['digest']}: Pulling from clpt/digest"
    shown = cli.inspect(name)
    assert shown["RepoTags"] == [] and shown["RepoDigests"] == [name]


def test_run_pulls_what_is_missing(cli, registry):
    name = f"{registry.host}/clpt/run-{cli.name}"
    cli("tag", IMAGE, name)
    cli("push", name)
    cli("rmi", name)
    never = cli.run("run", "--rm", "--pull", "never", name, "true")
    assert never.code == 125 and "No such image" in never.err
    result = cli.run("run", "--rm", name, "echo", "here")
    assert result.code == 0 and result.out == "here\n", result
    assert result.err.startswith(f"Unable to find image '{name}:latest' locally\n")
    assert f"Status: Downloaded newer image for {name}:latest" in result.err
    assert "Pulling from" not in cli.run("run", "--rm", name, "true").err
    assert f"Status: Image is up to date for {name}:latest" in cli.run("run", "--rm", "--pull", "always", name, "true").err
    cli("rmi", name)
    assert len(cli("create", name, "true").splitlines()[-1]) == 64


def test_all_tags(cli, registry):
    name = f"{registry.host}/clpt/all-{cli.name}"
    for tag in "ab":
        cli("tag", IMAGE, f"{name}:{tag}")
    pushed = cli("push", "-a", name)
    assert "a: digest: " in pushed and "b: digest: " in pushed
    for tag in "ab":
        cli("rmi", f"{name}:{tag}")
    assert f"Status: Downloaded newer image for {name}" in cli("pull", "-a", name)
    assert sorted(cli("images", "--format", "{{.Tag}}", name).split()) == ["a", "b"]


@pytest.mark.parametrize("command, words", [
    (["pull", "HOST/clpt/none:1"], "not found"),
    (["pull", "HOST/clpt/refusals:none"], "manifest for HOST/clpt/refusals:none not found: manifest unknown"),
    (["pull", "HOST/clpt/Upper"], "must be lowercase"),
    (["pull", "--platform", "linux/s390x", "HOST/clpt/refusals:index"],
     "no matching manifest for linux/s390x in the manifest list entries"),
    (["pull", "HOST/clpt/refusals:chart"], 'Encountered remote "application/vnd.cncf.helm.config.v1+json"(unknown) when fetching'),
    (["pull", "HOST/clpt/refusals:lie"], "but the image's config says"),
    (["push", "HOST/clpt/nobody"], "An image does not exist locally with the tag: HOST/clpt/nobody"),
], ids=lambda value: value[-1] if isinstance(value, list) else "")
def test_refusals(cli, registry, command, words):
    own = registry.put_image("clpt/refusals", "1", [{"a": b"1"}])
    registry.put_manifest("clpt/refusals", "index", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {**own, "platform": {"os": "linux", "architecture": "amd64"}}]}, INDEX)
    registry.put_image("clpt/refusals", "chart", [], config_type="application/vnd.cncf.helm.config.v1+json")
    registry.put_image("clpt/refusals", "lie", [{"a": b"2"}], edit=lambda c: c["rootfs"].update(diff_ids=["sha256:" + "0" * 64]))
    result = cli.run(*[word.replace("HOST", registry.host) for word in command])
    assert result.code == 1 and words.replace("HOST", registry.host) in result.err, result


def test_a_missing_image_is_a_404_before_the_stream(daemon, registry):
    status, answer = daemon.request("POST", f"/images/create?fromImage={registry.host}/clpt/nothing&tag=1")
    assert status == 404 and "not found" in answer["message"]


def test_platforms(cli, registry):
    images = {a: registry.put_image("clpt/many", a, [{f"on-{a}": b"1"}], architecture=a) for a in ("amd64", "arm64", "s390x")}
    index = registry.put_manifest("clpt/many", "latest", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {**image, "platform": {"os": "linux", "architecture": a}} for a, image in images.items()]}, INDEX)
    name = f"{registry.host}/clpt/many"
    cli("pull", name)
    shown = cli.inspect(name)
    assert shown["Architecture"] == os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64")
    assert shown["RepoDigests"] == [f"{name}@{index['digest']}"]
    cli("pull", "--platform", "linux/s390x", name)
    assert cli.inspect(name)["Architecture"] == "s390x"
    # A registry that has one image gives that, with a warning.
    assert "WARNING: image with reference" in cli("pull", "--platform", "linux/s390x", f"{name}:arm64")


def test_sdk(sdk, registry):
    name = f"{registry.host}/clpt/sdk"
    sdk.images.get(IMAGE).tag(name, "1")
    told = list(sdk.images.push(name, tag="1", stream=True, decode=True))
    assert [line["aux"]["Tag"] for line in told if "aux" in line] == ["1"] and not any("error" in line for line in told)
    sdk.images.remove(f"{name}:1")
    image = sdk.images.pull(name, tag="1")
    assert image.tags == [f"{name}:1"] or f"{name}:1" in image.tags
    assert sdk.containers.run(f"{name}:1", ["echo", "hi"], remove=True) == b"hi\n"


def test_events(clipper, registry):
    name = f"{registry.host}/clpt/events"
    clipper("tag", IMAGE, f"{name}:1")
    since = time.time() - 0.001
    clipper("push", f"{name}:1")
    clipper("pull", f"{name}:1")
    lines = clipper("events", "--since", f"{since:.6f}", "--until", f"{time.time():.6f}", "--filter", "event=push",
                    "--filter", "event=pull", "--format", "{{json .}}")
    seen = [(e["Action"], e["Actor"]["ID"], e["Actor"]["Attributes"]["name"]) for e in map(json.loads, lines.splitlines())]
    assert seen == [("push", f"{name}:1", name), ("pull", f"{name}:1", name)]


def test_layers_are_mounted_from_other_repositories(clipper, registry):
    registry.put_image("clpt/source", "1", [{"a": b"mounted"}])
    clipper("pull", f"{registry.host}/clpt/source:1")
    clipper("tag", f"{registry.host}/clpt/source:1", f"{registry.host}/clpt/target:1")
    assert ": Mounted from clpt/source" in clipper("push", f"{registry.host}/clpt/target:1")
    assert registry.manifest("clpt/target", "1")[0] == registry.manifest("clpt/source", "1")[0]


def test_progress_on_a_terminal(clipper, registry, terminal):
    image = registry.put_image("clpt/terminal", "1", [{"a": os.urandom(3 << 20)}, {"b": b"1"}])
    assert image
    screen = terminal(clipper, "pull", f"{registry.host}/clpt/terminal:1")
    # Lines are drawn anew in their places.
    seen = screen.expect("Status: Downloaded newer image")
    assert seen.count("Pull complete") == 2 and "\x1b[2A\x1b[2K" in seen
    assert screen.wait() == 0


# Builds


def test_build_pulls_its_base(cli, registry, tmp_path):
    name = f"{registry.host}/clpt/base-{cli.name}"
    cli("tag", IMAGE, name)
    cli("push", name)
    cli("rmi", name)
    registry.put_image("clpt/files", cli.name, [{"data": b"from afar"}])
    (tmp_path / "Dockerfile").write_text(
        f"FROM {name}\nCOPY --from={registry.host}/clpt/files:{cli.name} /data /data\nRUN cat /data\n")
    built = cli("build", "-t", "clpt/built", tmp_path, timeout=120)
    assert f"Status: Downloaded newer image for {name}:latest" in built and "from afar" in built
    assert "Pulling from" not in cli("build", tmp_path)
    assert f"Status: Image is up to date for {name}:latest" in cli("build", "--pull", tmp_path)
    (tmp_path / "Dockerfile").write_text(f"FROM {registry.host}/clpt/nowhere\n")
    failed = cli.run("build", tmp_path)
    assert failed.code == 1 and "not found" in failed.err


# Other tools


def tool(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.skipif(not shutil.which("skopeo"), reason="no skopeo")
def test_skopeo(clipper, registry, tmp_path):
    clipper("tag", IMAGE, f"{registry.host}/clpt/skopeo:1")
    clipper("push", f"{registry.host}/clpt/skopeo:1")
    tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{registry.host}/clpt/skopeo:1", f"oci:{tmp_path}/layout:1")
    tool("skopeo", "copy", "--dest-tls-verify=false", "--dest-compress-format", "zstd", "--dest-oci-accept-uncompressed-layers",
         f"oci:{tmp_path}/layout:1", f"docker://{registry.host}/clpt/skopeo:2")
    clipper("pull", f"{registry.host}/clpt/skopeo:2")
    assert clipper.inspect(f"{registry.host}/clpt/skopeo:2")["RootFS"] == clipper.inspect(IMAGE)["RootFS"]
    assert clipper("run", "--rm", f"{registry.host}/clpt/skopeo:2", "echo", "x") == "x"


@pytest.mark.parametrize("program", [p for p in ("podman", "buildah") if shutil.which(p)])
def test_podman_and_buildah(clipper, registry, program):
    # podman wants short paths.
    directory = tempfile.mkdtemp(prefix="clpt")
    storage = ["--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]
    name = f"{registry.host}/clpt/{program}"
    clipper("tag", IMAGE, f"{name}:1")
    clipper("push", f"{name}:1")
    try:
        tool(program, *storage, "pull", "--tls-verify=false", f"{name}:1")
        tool(program, *storage, "tag", f"{name}:1", f"{name}:2")
        tool(program, *storage, "push", "--tls-verify=false", f"{name}:2")
    finally:
        tool(program, *storage, "rmi", "-a", "-f")
        shutil.rmtree(directory)
    clipper("rmi", f"{name}:1")
    clipper("pull", f"{name}:2")
    assert clipper("run", "--rm", f"{name}:2", "echo", "back") == "back"


# What goes wrong on the way


def test_broken_connections(clipper, registry, proxy):
    content = os.urandom(4 << 20)
    registry.put_image("clpt/broken", "1", [{"a": content}], Cmd=["x"])
    proxy.cut_after = [1 << 20, 1 << 19]
    clipper("pull", f"{proxy.host}/clpt/broken:1")
    assert proxy.cut_after == []
    directory = clipper.inspect(f"{proxy.host}/clpt/broken:1")["GraphDriver"]["Data"]["UpperDir"]
    assert pathlib.Path(directory, "a").read_bytes() == content


def test_a_client_that_goes_ends_the_pull(clipper, registry, proxy, daemon):
    registry.put_image("clpt/gone", "1", [{"a": os.urandom(2 << 20)}])
    layers = set(store(daemon, "layers"))
    proxy.hold_after = 1 << 19
    client = clipper.spawn("pull", f"{proxy.host}/clpt/gone:1")
    assert proxy.held.wait(20) and store(daemon, "tmp")
    client.kill()
    client.communicate()
    wait_until(lambda: store(daemon, "tmp") == [], 20, "the end of the pull")
    assert set(store(daemon, "layers")) == layers


def test_killed_in_the_middle_of_a_pull(own_daemon, registry, proxy):
    client = Client("clipper", PROGRAMS["clipper"], own_daemon)
    content = os.urandom(2 << 20)
    registry.put_image("clpt/killed", "1", [{"small": b"1"}, {"a": content}])
    proxy.hold_after = 1 << 19
    pulling = client.spawn("pull", f"{proxy.host}/clpt/killed:1")
    assert proxy.held.wait(20) and store(own_daemon, "tmp")
    own_daemon.kill()
    pulling.communicate()
    assert pulling.returncode != 0
    proxy.release()
    own_daemon.start()
    assert store(own_daemon, "tmp") == [] and store(own_daemon, "layers") == [] and client("images", "-q") == ""
    client("pull", f"{proxy.host}/clpt/killed:1")
    top = client.inspect(f"{proxy.host}/clpt/killed:1")["GraphDriver"]["Data"]["UpperDir"]
    assert pathlib.Path(top, "a").read_bytes() == content


def test_memory_stays_bounded(own_daemon, registry):
    """64 MB above idle, however large the layers are."""
    client = Client("clipper", PROGRAMS["clipper"], own_daemon)
    noise = os.urandom(8 << 20)
    registry.put_image("clpt/large", "1", [{f"{layer}-{part}": noise for part in range(4)} for layer in range(3)])
    client("pull", f"{registry.host}/clpt/large:1")
    client("rmi", f"{registry.host}/clpt/large:1")

    def memory(field):
        status = pathlib.Path(f"/proc/{own_daemon.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0])

    pathlib.Path(f"/proc/{own_daemon.pid}/clear_refs").write_text("5")
    idle = memory("VmRSS")
    client("pull", f"{registry.host}/clpt/large:1")
    assert memory("VmHWM") - idle < 64 << 10


@pytest.fixture(scope="module")
def noise():
    return os.urandom(96 << 20)


@pytest.fixture
def scripted(noise):
    server = ScriptedRegistry({"noise": noise})
    yield server
    server.close()


def parts(server):
    """Where the parts begin that were asked for, and how long they are."""
    asked = [wanted.removeprefix("bytes=").split("-") for wanted in server.asked if wanted]
    return {int(first): int(last) + 1 - int(first) for first, last in asked if last}


def pulled_file(client, name):
    return pathlib.Path(client.inspect(name)["GraphDriver"]["Data"]["UpperDir"], "noise").read_bytes()


def test_large_layer_in_parts(own_daemon, scripted, noise):
    """Several connections for one large layer, no more than downloads may be, and 64 MB above idle at most."""
    client = Client("clipper", PROGRAMS["clipper"], own_daemon)

    def memory(field):
        status = pathlib.Path(f"/proc/{own_daemon.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0])

    idle = memory("VmRSS")
    scripted.together = 3
    client("pull", f"{scripted.host}/large:1")
    assert memory("VmHWM") - idle < 64 << 10
    assert pulled_file(client, f"{scripted.host}/large:1") == noise
    assert len(parts(scripted)) > 15 and set(parts(scripted).values()) >= {4 << 20}
    assert scripted.asked[0] is None and scripted.most == 3


def test_part_that_breaks(own_daemon, scripted, noise):
    client = Client("clipper", PROGRAMS["clipper"], own_daemon)
    scripted.cut_at = 50_000_000
    client("pull", f"{scripted.host}/large:1")
    assert pulled_file(client, f"{scripted.host}/large:1") == noise
    begun = [first for first in parts(scripted) if first <= 50_000_000 < first + (4 << 20)]
    # The part, and the rest of it.
    assert len(begun) == 2 and len(scripted.asked) < 40


def test_registry_that_ignores_ranges(own_daemon, scripted, noise):
    client = Client("clipper", PROGRAMS["clipper"], own_daemon)
    scripted.ranges = False
    client("pull", f"{scripted.host}/large:1")
    assert pulled_file(client, f"{scripted.host}/large:1") == noise
    assert len(scripted.asked) <= 6 and scripted.asked[0] is None and scripted.asked[-1].endswith("-")


def test_part_with_other_bytes(own_daemon, scripted):
    client = Client("clipper", PROGRAMS["clipper"], own_daemon)
    scripted.wrong_at = 60_000_000
    done = client.run("pull", f"{scripted.host}/large:1")
    assert done.code == 1 and f"filesystem layer verification failed for digest {scripted.layer_digest}" in done.err
    wait_until(lambda: store(own_daemon, "tmp") == [] and store(own_daemon, "layers") == [], what="an empty store")
    assert client("images", "-q") == ""
    scripted.wrong_at = None
    client("pull", f"{scripted.host}/large:1")
