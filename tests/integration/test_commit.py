"""Images made of containers."""

import io
import json
import tarfile
import time

import pytest

from harness import IMAGE, wait_until


@pytest.fixture
def repository(name, clipper):
    yield f"clpt/{name}".lower()
    clipper.run("rmi", "-f", f"clpt/{name}".lower())


def test_commit_keeps_changes_and_configuration(cli, name, repository):
    cli("run", "--name", name, "-e", "A=1", "-l", "team=blue", "-w", "/srv", IMAGE, "sh", "-c", "echo text >/srv/file; rm /bin/ls; chown 7:8 /srv/file")
    identifier = cli("commit", "-a", "Ann <ann@example.com>", "-m", "with a file", name, repository)
    assert identifier.startswith("sha256:")
    image = json.loads(cli("image", "inspect", repository))[0]
    assert image["Id"] == identifier and image["Author"] == "Ann <ann@example.com>" and image["Comment"] == "with a file"
    assert image["Config"]["WorkingDir"] == "/srv" and "A=1" in image["Config"]["Env"] and image["Config"]["Labels"] == {"team": "blue"}
    assert cli("run", "--rm", repository, "sh", "-c", "cat file; stat -c %u:%g file; test -e /bin/ls || echo gone") == "text\n7:8\ngone"
    base = json.loads(cli("image", "inspect", IMAGE))[0]
    assert image["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
    history = cli("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", repository).splitlines()[0]
    assert history.endswith("|with a file") and history.startswith("sh -c echo text")


def test_commit_changes(cli, name, repository):
    cli("create", "--name", name, IMAGE, "true")
    cli("commit", "-c", 'CMD ["echo", "from the image"]', "-c", "ENV B=2 C=3", "-c", "EXPOSE 80\nUSER 33\nLABEL a=b c='d e'", name, repository)
    config = json.loads(cli("image", "inspect", repository))[0]["Config"]
    assert {"B=2", "C=3"} <= set(config["Env"]) and config["ExposedPorts"] == {"80/tcp": {}}
    assert config["User"] == "33" and config["Labels"] == {"a": "b", "c": "d e"}
    assert cli("run", "--rm", repository) == "from the image"
    result = cli.run("commit", "-c", "RUN x", name)
    assert result.code == 1 and "run is not a valid change command" in result.err


def test_commit_leaves_the_engines_own_files_out(cli, sdk, name, repository):
    """What the engine made to mount hosts, resolv.conf and the like on; what the program made beside it stays."""
    cli("run", "--name", name, IMAGE, "sh", "-c", "echo x >/etc/own")
    cli("commit", name, repository)
    archive = tarfile.open(fileobj=io.BytesIO(b"".join(sdk.images.get(repository).save())))
    manifest = json.load(archive.extractfile("manifest.json"))[0]
    layer = tarfile.open(fileobj=archive.extractfile(manifest["Layers"][-1]))
    assert sorted(layer.getnames()) == ["etc", "etc/own"]


def test_commit_of_a_running_container_freezes_it_meanwhile(cli, sdk, name, repository):
    identifier = cli("run", "-d", "--name", name, IMAGE, "sh", "-c", "echo one >/file; sleep 1000")
    since = int(time.time()) - 1
    cli("commit", name, repository)
    assert cli("exec", name, "cat", "/file") == "one" and cli.inspect(name)["State"]["Status"] == "running"
    events = [e["Action"] for e in sdk.events(since=since, until=int(time.time()) + 1, decode=True, filters={"container": identifier})]
    assert [a for a in events if a in ("pause", "commit", "unpause")] == ["pause", "commit", "unpause"]
    assert cli("run", "--rm", repository, "cat", "/file") == "one"


def test_commit_of_nothing(daemon):
    assert daemon.request("POST", "/commit?container=nobody")[0] == 404
    assert daemon.request("POST", "/commit")[0] == 400


def test_a_daemon_that_is_killed_amid_a_commit_leaves_nothing_frozen(daemon, clipper, name, repository):
    """A pause that a user asked for stays; the commit's ends."""
    script = "dd if=/dev/zero of=/big bs=1M count=400 2>/dev/null; while :; do date +%s%N; sleep 0.05; done"
    clipper("run", "-d", "--name", name, IMAGE, "sh", "-c", script)
    clipper("run", "-d", "--name", f"{name}-other", IMAGE, "sleep", "1000")
    clipper("pause", f"{name}-other")
    wait_until(lambda: clipper("logs", "--tail", "1", name), what="the first line after the file is written")
    commit = clipper.spawn("commit", name, repository)
    wait_until(lambda: clipper.inspect(name)["State"]["Paused"], what="the commit's pause")
    daemon.crash()
    commit.communicate()
    assert commit.returncode != 0
    assert clipper.inspect(name)["State"]["Status"] == "running" and clipper.inspect(f"{name}-other")["State"]["Status"] == "paused"
    last = clipper("logs", "--tail", "1", name)
    wait_until(lambda: clipper("logs", "--tail", "1", name) != last, what="a line of the container that goes on")
    assert clipper("exec", name, "echo", "well") == "well"
    clipper("unpause", f"{name}-other")
