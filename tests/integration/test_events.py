"""Events: what is told of each action, with which attributes, in which order; as dockerd tells it."""

import io
import json
import re
import tarfile
import time
import urllib.parse

import pytest

from harness import IMAGE, wait_until


class Listener:
    """Everything the daemon told between `__enter__` and a call."""

    def __init__(self, daemon):
        self.daemon, self.since = daemon, time.time()

    def __call__(self, filters=None, version="1.50"):
        query = urllib.parse.urlencode({
            "since": f"{self.since:.9f}", "until": f"{time.time() + 0.001:.9f}", "filters": json.dumps(filters or {})})
        status, body = self.daemon.request("GET", f"/v{version}/events?{query}")
        assert status == 200, body
        return [json.loads(line) for line in body.splitlines()] if isinstance(body, bytes) else [body] if body else []

    def told(self, *kinds, **options):
        """`type action` with the attributes that are not of every event of that kind."""
        events = [e for e in self(**options) if not kinds or e["Type"] in kinds]
        return [(f"{e['Type']} {e['Action']}", {k: v for k, v in e["Actor"]["Attributes"].items() if k not in ("name", "image")}) for e in events]

    def actions(self, *kinds, **options):
        return [action for action, _ in self.told(*kinds, **options)]


@pytest.fixture
def events(daemon):
    return Listener(daemon)


def archive(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def test_a_containers_life(clipper, events, name):
    assert clipper.run("run", "--name", name, "--label", "tier=front", IMAGE, "sh", "-c", "exit 3").code == 3
    clipper("rename", name, f"{name}2")
    clipper("rm", f"{name}2")
    told = events()
    assert [f"{e['Type']} {e['Action']}" for e in told] == [
        "container create", "container attach", "network connect", "container start", "container die", "network disconnect",
        "container rename", "container destroy"]
    identifier = told[0]["Actor"]["ID"]
    for event in told:
        attributes = event["Actor"]["Attributes"]
        assert event["scope"] == "local" and event["timeNano"] // 10**9 == event["time"]
        if event["Type"] == "container":
            assert event["Actor"]["ID"] == event["id"] == identifier and event["status"] == event["Action"] and event["from"] == IMAGE
            assert attributes["image"] == IMAGE and attributes["tier"] == "front"
            assert attributes["name"] == (f"{name}2" if event["Action"] in ("rename", "destroy") else name)
        else:
            assert attributes == {"container": identifier, "name": "bridge", "type": "bridge"} and "id" not in event
    assert told[4]["Actor"]["Attributes"]["exitCode"] == "3" and told[4]["Actor"]["Attributes"]["execDuration"].isdigit()
    assert told[6]["Actor"]["Attributes"]["oldName"] == f"/{name}"


def test_what_is_done_to_a_running_container(clipper, daemon, events, name, tmp_path):
    clipper("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    start = len(events())
    clipper("pause", name)
    clipper("unpause", name)
    clipper("top", name)
    clipper("cp", f"{name}:/etc/hostname", "-")
    clipper("cp", "-", f"{name}:/tmp", input=archive(x="y"))
    clipper("export", name, "-o", tmp_path / "rootfs.tar")
    clipper("update", "--cpu-shares", "100", name)
    clipper("kill", "-s", "HUP", name)
    clipper("stop", "-t", "0", name)
    clipper("start", name)
    clipper("restart", "-t", "0", name)
    told = events.told("container")[start - 1:]
    assert [action for action, _ in told] == [
        "container pause", "container unpause", "container top", "container archive-path", "container extract-to-dir", "container export",
        "container update", "container kill",
        "container kill", "container kill", "container die", "container stop", "container start",
        "container kill", "container kill", "container die", "container stop", "container start", "container restart"]
    assert events.actions("network") == ["network connect", "network disconnect"] * 2 + ["network connect"]
    assert [a["signal"] for action, a in told if action == "container kill"] == ["1", "15", "9", "15", "9"]


def test_exec(clipper, sleeper, events):
    assert clipper.run("exec", sleeper, "sh", "-c", "exit 4").code == 4
    clipper("exec", sleeper, "true")
    wait_until(lambda: events.actions().count("container exec_die") == 2, what="the end of the second exec")
    told = events.told("container")
    identifiers = [a["execID"] for action, a in told]
    assert [action for action, _ in told] == [
        "container exec_create: sh -c exit 4", "container exec_start: sh -c exit 4", "container exec_die",
        "container exec_create: true ", "container exec_start: true ", "container exec_die"]
    assert len(set(identifiers[:3])) == 1 and len(set(identifiers[3:])) == 1 and all(re.fullmatch("[0-9a-f]{64}", i) for i in identifiers)
    assert [a["exitCode"] for action, a in told if action == "container exec_die"] == ["4", "0"]
    assert events.actions(filters={"event": ["exec_create"]}) == ["container exec_create: sh -c exit 4", "container exec_create: true "]


def test_exec_begins_before_it_ends(clipper, sleeper, events):
    """However short the command is; and one that could not be run has begun too, as in Docker."""
    assert clipper.run("exec", sleeper, "nosuch").code == 127
    for _ in range(30):
        clipper("exec", sleeper, "true")
    wait_until(lambda: events.actions().count("container exec_die") == 30, what="the end of the last exec")
    words = [action.split()[1].rstrip(":") for action in events.actions("container")]
    assert words == ["exec_create", "exec_start"] + ["exec_create", "exec_start", "exec_die"] * 30


def test_resize(clipper, daemon, events, name):
    clipper("run", "-dit", "--name", name, IMAGE, "sh")
    assert daemon.request("POST", f"/containers/{name}/resize?h=31&w=97")[0] == 200
    assert ("container resize", {"height": "31", "width": "97"}) in events.told()


def test_health(clipper, events, name):
    clipper("run", "-d", "--name", name, "--health-cmd", "test -e /ok", "--health-interval", "200ms", "--health-retries", "1", IMAGE, "sleep", "1000")
    wait_until(lambda: "container health_status: unhealthy" in events.actions(), what="an unhealthy container")
    clipper("exec", name, "touch", "/ok")
    wait_until(lambda: "container health_status: healthy" in events.actions(), what="a healthy container")
    told = events.told("container")
    probes = {a["execID"]: [] for action, a in told if action == "container exec_create: /bin/sh -c test -e /ok"}
    for action, attributes in told:
        if attributes.get("execID") in probes:
            probes[attributes["execID"]].append(action.split()[1].rstrip(":"))
    assert ["exec_create", "exec_start", "exec_die"] in probes.values()


def test_volumes(clipper, events, name):
    volume = f"{name}-v"
    clipper("volume", "create", volume)
    clipper("volume", "create", volume)
    clipper("run", "--rm", "--name", name, "-v", f"{volume}:/data:ro", "-v", "/anonymous", IMAGE, "true")
    wait_until(lambda: "container destroy" in events.actions(), what="the container's removal")
    clipper("volume", "rm", volume)
    told = [(e["Action"], e["Actor"]["ID"], e["Actor"]["Attributes"]) for e in events() if e["Type"] == "volume"]
    container = next(e["Actor"]["ID"] for e in events() if e["Action"] == "create" and e["Type"] == "container")
    anonymous = next(identifier for _, identifier, _ in told if identifier != volume)
    driver = {"driver": "local"}
    use = {**driver, "container": container}

    def mounted(destination, writable):
        return {**use, "destination": destination, "read/write": writable, "propagation": ""}

    assert told[:2] == [("create", volume, driver), ("create", anonymous, driver)]
    assert sorted(told[2:4], key=str) == sorted([("mount", volume, mounted("/data", "false")), ("mount", anonymous, mounted("/anonymous", "true"))], key=str)
    assert sorted(told[4:6]) == sorted([("unmount", volume, use), ("unmount", anonymous, use)])
    assert told[6:] == [("destroy", anonymous, driver), ("destroy", volume, driver)]
    assert {e["Actor"]["ID"] for e in events({"volume": [volume]})} == {volume}


def test_a_volume_of_a_failed_start_is_free_again(clipper, events, name):
    volume = f"{name}-v"
    assert clipper.run("run", "--name", name, "-v", f"{volume}:/data", IMAGE, "/not/there").code == 127
    assert events.actions("volume") == ["volume create", "volume mount", "volume unmount"]
    clipper("rm", name)
    clipper("volume", "rm", volume)


def test_networks(clipper, events, name):
    clipper("network", "create", f"{name}-n")
    clipper("run", "-d", "--name", name, "--network", f"{name}-n", IMAGE, "sleep", "1000")
    clipper("network", "connect", "bridge", name)
    clipper("network", "disconnect", f"{name}-n", name)
    clipper("rm", "-f", name)
    clipper("network", "rm", f"{name}-n")
    told = [(e["Action"], e["Actor"]["Attributes"]["name"], e["Actor"]["Attributes"]["type"]) for e in events() if e["Type"] == "network"]
    assert told == [
        ("create", f"{name}-n", "bridge"), ("connect", f"{name}-n", "bridge"), ("connect", "bridge", "bridge"),
        ("disconnect", f"{name}-n", "bridge"), ("disconnect", "bridge", "bridge"), ("destroy", f"{name}-n", "bridge")]
    assert [e["Action"] for e in events({"type": ["network"], "network": [f"{name}-n"]})] == ["create", "connect", "disconnect", "destroy"]


def test_host_network_has_its_own_type(clipper, events, name):
    clipper("run", "--rm", "--name", name, "--network", "host", IMAGE, "true")
    wait_until(lambda: "container destroy" in events.actions(), what="the container's removal")
    assert [a["type"] for _, a in events.told("network")] == ["host", "host"]


def test_images(clipper, events, name, tmp_path):
    clipper("tag", IMAGE, "clptev/tagged:v1")
    clipper("rmi", "clptev/tagged:v1")
    clipper("import", "-", "clptev/imported:1", input=archive(x="y"))
    clipper("build", "-t", "clptev/built:1", "-", input=f"FROM {IMAGE}\nLABEL tier=front\n".encode())
    clipper("create", "--name", name, IMAGE, "true")
    clipper("commit", "-m", "why", name, "clptev/commit:1")
    clipper("save", "clptev/built:1", "-o", tmp_path / "image.tar")
    clipper("rmi", "clptev/built:1")
    clipper("load", "-i", tmp_path / "image.tar")
    wait_until(lambda: "image save" in events.actions(), what="the end of the save")
    told = [(e["Action"], e["Actor"]["ID"], e["Actor"]["Attributes"]) for e in events() if e["Type"] == "image"]
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", identifier) for _, identifier, _ in told)
    by = {}
    for action, identifier, attributes in told:
        by.setdefault(identifier, []).append((action, attributes))
    built = next(i for a, i, n in told if n["name"] == "clptev/built:1")
    labels = {"tier": "front"}
    assert by.pop(built) == [
        ("create", {"name": built, **labels}), ("tag", {"name": "clptev/built:1", **labels}), ("save", {"name": built, **labels}),
        ("untag", {"name": built, **labels}), ("delete", {"name": built}), ("load", {"name": built, **labels})]
    committed = next(i for a, i, n in told if n["name"] == "clptev/commit:1")
    assert by.pop(committed) == [("create", {"name": committed}), ("tag", {"name": "clptev/commit:1"})]
    imported = next(i for a, i, n in told if n["name"] == "clptev/imported:1")
    assert by.pop(imported) == [("tag", {"name": "clptev/imported:1"}), ("import", {"name": imported})]
    base, others = by.popitem()
    assert not by and others == [("tag", {"name": "clptev/tagged:v1"}), ("untag", {"name": base})]
    # Up to 1.45 nothing was told of an image that was made.
    assert "image create" not in events.actions(version="1.45") and "image create" in events.actions(version="1.46")
    commit = next(a for action, a in events.told("container") if action == "container commit")
    assert commit == {"comment": "why", "imageID": committed, "imageRef": "clptev/commit:1"}


def test_prunes(daemon, clipper, events, name):
    clipper("create", "--name", name, "--label", "clptev=1", IMAGE, "true")
    for kind in ("containers", "networks", "volumes", "images", "build"):
        filters = urllib.parse.quote(json.dumps({"label": ["clptev=1"]}))
        assert daemon.request("POST", f"/{kind}/prune?filters={filters}")[0] == 200
    told = [(e["Type"], e["Actor"]) for e in events() if e["Action"] == "prune"]
    assert told == [(kind, {"ID": "", "Attributes": {"reclaimed": "0"}}) for kind in ("container", "network", "volume", "image", "builder")]


def test_memory_limit(clipper, events, name):
    clipper.run("run", "--name", name, "--memory", "20m", IMAGE, "sh", "-c", "x=a; while :; do x=$x$x; done")
    actions = events.actions("container")
    assert actions.index("container oom") < actions.index("container die")


def test_a_window_in_the_past_and_its_bounds(daemon, clipper, events, name):
    for number in range(3):
        clipper("volume", "create", f"{name}-{number}")
        time.sleep(0.01)
    told = events({"volume": [name]})
    assert len(told) == 3
    moment = told[1]["timeNano"]

    def window(since, until):
        path = f"/events?since={since // 10**9}.{since % 10**9:09}&until={until // 10**9}.{until % 10**9:09}"
        status, body = daemon.request("GET", path)
        assert status == 200
        lines = [json.dumps(body)] if isinstance(body, dict) else body.decode().splitlines()
        return [json.loads(line)["Actor"]["ID"] for line in lines]

    assert window(moment, moment) == [f"{name}-1"]
    assert window(moment - 1, moment + 1) == [f"{name}-1"]
    assert window(moment + 1, told[2]["timeNano"]) == [f"{name}-2"]
    status, body = daemon.request("GET", "/events?since=20&until=10")
    assert status == 400 and body["message"] == "`since` time (20) cannot be after `until` time (10)"


def test_until_ends_a_stream_that_listens(daemon, clipper, name):
    until = time.time() + 1.5
    process = clipper.spawn("events", "--until", f"{until:.3f}", "--filter", f"volume={name}", "--format", "{{.Action}}")
    wait_until(lambda: daemon.request("GET", "/info")[1]["NEventsListener"] > 0, what="the listener")
    clipper("volume", "create", f"{name}-1")
    assert process.stdout.readline() == b"create\n"
    assert process.wait(20) == 0 and time.time() >= until - 0.1
    process.communicate()
