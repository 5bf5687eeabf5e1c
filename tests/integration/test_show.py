"""What is told about containers: ps, inspect, top, events, info, version."""

import json
import re
import time

from harness import IMAGE, wait_until


def test_ps_columns(cli, name):
    identifier = cli("run", "-d", "--name", name, "-l", "team=blue", IMAGE, "sleep", "1000")
    head, row = cli("ps").splitlines()
    assert re.split(r"\s{2,}", head.strip()) == ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    fields = re.split(r"\s{2,}", row.strip())
    assert fields[0] == identifier[:12] and fields[1:3] == [IMAGE, '"sleep 1000"'] and fields[-1] == name
    assert fields[3].endswith("ago") and fields[4].startswith("Up ")
    assert cli("ps", "-q", "--no-trunc") == identifier
    assert cli("ps", "--format", "{{.Names}}|{{.Label \"team\"}}|{{.State}}") == f"{name}|blue|running"


def test_ps_filters(cli, name):
    running = cli("run", "-d", "--name", name + "-a", "-l", "kind=a", IMAGE, "sleep", "1000")
    ended = cli("run", "-d", "--name", name + "-b", "-l", "kind=b", IMAGE, "sh", "-c", "exit 3")
    cli("wait", ended)

    def listed(*filters):
        return set(cli("ps", "-aq", "--no-trunc", *[x for f in filters for x in ("-f", f)]).split())

    assert listed() == {running, ended}
    assert listed("status=running") == {running}
    assert listed("status=exited") == {ended} == listed("exited=3")
    assert listed("exited=4") == set()
    assert listed("label=kind") == {running, ended}
    assert listed("label=kind=b") == {ended}
    assert listed(f"name={name}-a") == {running}
    assert listed(f"id={ended[:12]}") == {ended}
    assert listed(f"ancestor={IMAGE}") == {running, ended}
    assert listed(f"before={ended}") == {running}
    assert listed(f"since={running}") == {ended}
    assert listed("network=bridge", "label=kind=a") == {running}
    assert cli("ps", "-q", "--no-trunc") == running
    assert cli("ps", "-aq", "--no-trunc", "-n", "1") == ended
    assert re.match(r"Exited \(3\) .* ago", cli("ps", "-a", "-f", f"id={ended}", "--format", "{{.Status}}"))


def test_inspect(cli, name):
    cli("create", "--name", name, "-e", "A=b", "-w", "/tmp", "-u", "33", "-m", "64m", "--hostname", "box", "-p", "127.0.0.1:0:80/tcp", "-v", "/data",
        "--restart", "unless-stopped", "-l", "x=y", "--entrypoint", "/bin/sh", IMAGE, "-c", "true")
    shown = cli.inspect(name)
    config, host = shown["Config"], shown["HostConfig"]
    assert (config["Hostname"], config["User"], config["WorkingDir"], config["Labels"]) == ("box", "33", "/tmp", {"x": "y"})
    assert (config["Entrypoint"], config["Cmd"], config["Image"]) == (["/bin/sh"], ["-c", "true"], IMAGE)
    assert "A=b" in config["Env"] and config["Volumes"] == {"/data": {}}
    assert (host["Memory"], host["RestartPolicy"]["Name"]) == (64 << 20, "unless-stopped")
    assert host["PortBindings"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]}
    assert (shown["Path"], shown["Args"], shown["Name"], shown["RestartCount"]) == ("/bin/sh", ["-c", "true"], "/" + name, 0)
    assert shown["Image"].startswith("sha256:") and shown["Platform"] == "linux"
    assert [(m["Type"], m["Destination"], m["RW"]) for m in shown["Mounts"]] == [("volume", "/data", True)]
    assert cli("inspect", "-f", "{{.State.Status}} {{.HostConfig.Memory}} {{json .Config.Cmd}}", name) == 'created 67108864 ["-c","true"]'


def test_inspect_of_nothing(cli):
    result = cli.run("inspect", "nothere")
    assert result.code == 1 and result.out.strip() == "[]" and "No such object: nothere" in result.err


def test_top(cli, sleeper):
    cli("exec", "-d", sleeper, "sleep", "555")
    lines = cli("top", sleeper).splitlines()
    assert lines[0].split()[:3] == ["UID", "PID", "PPID"] and lines[0].split()[-1] == "CMD"
    assert sorted(line.split()[-1] for line in lines[1:]) == ["1000", "555"]
    pid = cli.inspect(sleeper)["State"]["Pid"]
    assert str(pid) in [line.split()[1] for line in lines[1:]]


def test_pause(cli, name):
    cli("run", "-d", "--name", name, IMAGE, "sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); usleep 20000; done")
    time.sleep(0.2)
    cli("pause", name)
    state = cli.inspect(name)["State"]
    assert (state["Status"], state["Paused"], state["Running"]) == ("paused", True, True)
    assert "(Paused)" in cli("ps", "--format", "{{.Status}}")
    time.sleep(0.1)
    before = len(cli("logs", name))
    time.sleep(0.2)
    assert len(cli("logs", name)) == before
    assert "is already paused" in cli.run("pause", name).err
    cli("unpause", name)
    wait_until(lambda: len(cli("logs", name)) > before)
    assert "is not paused" in cli.run("unpause", name).err


def test_events_of_a_life(cli, name):
    since = time.time()
    cli.run("run", "--name", name, "-l", "color=red", IMAGE, "sh", "-c", "exit 3")
    cli("rm", name)
    out = cli("events", "--since", f"{since:.9f}", "--until", f"{time.time() + 0.01:.9f}", "--filter", f"container={name}", "--format", "{{json .}}")
    events = [json.loads(line) for line in out.splitlines()]
    actions = [e["Action"] for e in events]
    assert [a for a in actions if a in ("create", "start", "die", "destroy")] == ["create", "start", "die", "destroy"], actions
    die = events[actions.index("die")]
    assert die["Type"] == "container" and die["Actor"]["Attributes"]["exitCode"] == "3"
    assert die["Actor"]["Attributes"]["color"] == "red" and die["Actor"]["Attributes"]["name"] == name and die["Actor"]["Attributes"]["image"] == IMAGE
    assert die["timeNano"] // 10**9 == die["time"]


def test_events_as_they_happen(cli, sdk, name):
    process = cli.spawn("events", "--filter", "type=container", "--filter", "event=start", "--format", "{{.Actor.Attributes.name}}")
    try:
        time.sleep(0.4)
        sdk.containers.run(IMAGE, "true", name=name)
        assert process.stdout.readline().decode().strip() == name
    finally:
        process.kill()
        process.communicate()


def test_events_of_volumes_networks_and_images(clipper, name):
    since = time.time()
    clipper("volume", "create", name)
    clipper("volume", "rm", name)
    clipper("network", "create", name)
    clipper("network", "rm", name)
    clipper("tag", IMAGE, "clpt/events:1")
    clipper("rmi", "clpt/events:1")
    out = clipper("events", "--since", f"{since:.9f}", "--until", f"{time.time() + 0.01:.9f}", "--format", "{{.Type}} {{.Action}}").splitlines()
    assert out == ["volume create", "volume destroy", "network create", "network destroy", "image tag", "image untag"]


def test_version_and_info(cli, sdk):
    version = json.loads(cli("version", "--format", "{{json .}}"))
    assert version["Server"]["ApiVersion"] == "1.50" and version["Server"]["Os"] == "linux"
    info = json.loads(cli("info", "--format", "{{json .}}"))
    assert info["Images"] == 1 and info["Driver"] == "overlay2" and info["OSType"] == "linux" and info["NCPU"] >= 1
    names, values = zip(*info["DriverStatus"])
    assert names == ("Backing Filesystem", "Supports d_type", "Using metacopy", "Native Overlay Diff", "userxattr")
    assert values[0] != "<unknown>" and values[1:] == ("true", "false", "true", "false")
    assert sdk.info()["ContainersRunning"] == 0 and sdk.ping()


def test_history_of_states(sdk, name):
    container = sdk.containers.create(IMAGE, "sleep 1000", name=name)
    seen = [container.status]
    for step in (container.start, container.pause, container.unpause, container.kill):
        step()
        container.reload()
        seen.append(container.status)
    assert seen == ["created", "running", "paused", "running", "exited"]
