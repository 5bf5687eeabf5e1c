"""What containers use and what they change: stats, diff, system df."""

import json

from harness import IMAGE, leave_groups, wait_until

BUSY = "while :; do :; done"


def test_stats_columns(cli, name):
    cli("run", "-d", "--name", name, "-m", "64m", IMAGE, "sh", "-c", BUSY)
    row = cli("stats", "--no-stream", "--format", "{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.PIDs}}|{{.NetIO}}", name).split("|")
    assert row[0] == name and float(row[1].rstrip("%")) > 1 and row[2].endswith(" / 64MiB") and row[3] == "1"
    assert row[4].count("B") == 2


def test_stats_of_the_stopped_are_empty(clipper, name):
    clipper("run", "--name", name, IMAGE, "true")
    row = clipper("stats", "--no-stream", "--format", "{{.Name}}|{{.CPUPerc}}|{{.PIDs}}", name)
    assert row == f"{name}|0.00%|0"
    assert "No such container" in clipper.run("stats", "--no-stream", "nobody").err


def test_stats_of_the_sdk(sdk, name):
    container = sdk.containers.run(IMAGE, ["sh", "-c", BUSY], name=name, detach=True, mem_limit="32m", pids_limit=50)
    try:
        once = container.stats(stream=False)
        assert once["name"] == f"/{name}" and once["id"] == container.id
        assert once["memory_stats"]["limit"] == 32 << 20 and 0 < once["memory_stats"]["usage"] <= 32 << 20
        assert once["pids_stats"] == {"current": 1, "limit": 50}
        spent = once["cpu_stats"]["cpu_usage"]["total_usage"] - once["precpu_stats"]["cpu_usage"]["total_usage"]
        assert spent > 0 and once["cpu_stats"]["system_cpu_usage"] > once["precpu_stats"]["system_cpu_usage"]
        assert once["networks"]["eth0"]["rx_bytes"] >= 0
        stream = container.stats(decode=True)
        first, second = next(stream), next(stream)
        assert first["precpu_stats"]["cpu_usage"]["total_usage"] == 0
        assert second["precpu_stats"] == first["cpu_stats"]
    finally:
        container.remove(force=True)


def test_stats_count_network_traffic(sdk, name):
    container = sdk.containers.run(IMAGE, ["sleep", "1000"], name=name, detach=True)
    try:
        gateway = container.attrs["NetworkSettings"]["Gateway"] or sdk.containers.get(name).attrs["NetworkSettings"]["Gateway"]
        container.exec_run(["ping", "-c", "3", "-s", "1000", "-W", "1", gateway])
        assert container.stats(stream=False)["networks"]["eth0"]["tx_bytes"] > 1000
    finally:
        container.remove(force=True)


def test_stats_with_the_hosts_network(daemon, clipper, name):
    clipper("run", "-d", "--name", name, "--network", "host", IMAGE, "sleep", "1000")
    status, stats = daemon.request("GET", f"/containers/{name}/stats?stream=0&one-shot=1")
    assert status == 200 and "networks" not in stats
    assert daemon.request("GET", f"/containers/{name}/stats?stream=1&one-shot=1")[0] == 400


def test_stats_without_a_control_group_have_no_figures(cli, daemon, sleeper):
    """Something on the host has taken the group away from a container that runs."""
    for group in leave_groups(cli.inspect(sleeper)["State"]["Pid"]):
        group.rmdir()
    status, stats = daemon.request("GET", f"/containers/{sleeper}/stats?stream=0&one-shot=1")
    assert status == 200 and stats["name"] == f"/{sleeper}" and stats["memory_stats"] == {} and stats["pids_stats"] == {}
    row = cli("stats", "--no-stream", "--format", "{{.Name}}|{{.CPUPerc}}|{{.PIDs}}", sleeper)
    assert row == f"{sleeper}|0.00%|0"


def test_diff(cli, name):
    cli("run", "--name", name, "-v", "/volume", IMAGE, "sh", "-c", "mkdir /new; echo x >/new/file; rm /bin/ls; chmod 700 /tmp; touch /volume/x")
    assert cli("diff", name).splitlines() == ["C /bin", "D /bin/ls", "A /new", "A /new/file", "C /tmp", "A /volume"]


def test_diff_of_a_directory_made_anew(cli, name):
    cli("run", "--name", name, IMAGE, "sh", "-c", "mv /bin /old && /old/busybox mkdir /bin && /old/busybox mv /old/busybox /bin")
    changes = set(cli("diff", name).splitlines())
    assert {"C /bin", "C /bin/busybox", "D /bin/ls", "A /old", "A /old/ls"} <= changes and "D /bin/busybox" not in changes


def test_diff_of_an_unchanged_container(cli, daemon, name):
    cli("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    assert cli("diff", name) == ""
    assert daemon.request("GET", f"/containers/{name}/changes") == (200, None)


def test_disk_usage(cli, sdk, name):
    cli("run", "--name", name, "-v", f"{name}:/data", IMAGE, "sh", "-c", "head -c 100000 /dev/zero >/big; head -c 50000 /dev/zero >/data/v")
    usage = sdk.df()
    container = next(c for c in usage["Containers"] if c["Names"] == [f"/{name}"])
    volume = next(v for v in usage["Volumes"] if v["Name"] == name)
    image = next(i for i in usage["Images"] if f"{IMAGE}:latest" in i["RepoTags"])
    assert container["SizeRw"] == 100000 and container["SizeRootFs"] == image["Size"] + 100000
    assert volume["UsageData"] == {"Size": 50000, "RefCount": 1}
    assert image["Containers"] >= 1 and usage["LayersSize"] >= image["Size"]
    rows = {line.split("|")[0]: line.split("|")[1] for line in cli("system", "df", "--format", "{{.Type}}|{{.TotalCount}}").splitlines()}
    assert int(rows["Containers"]) >= 1 and int(rows["Local Volumes"]) >= 1 and int(rows["Build Cache"]) >= 0


def test_disk_usage_of_a_kind(daemon):
    status, usage = daemon.request("GET", "/system/df?type=volume")
    assert status == 200 and "Volumes" in usage and "Images" not in usage
    assert daemon.request("GET", "/system/df?type=house")[0] == 400


def test_system_prune_asks_and_removes_what_is_unused(cli, name):
    """Whatever other tests hold is in use or has a name; this container, network and step are not."""
    cli("create", "--name", name, "-l", "prune=me", IMAGE, "true")
    result = cli.run("system", "prune", input=b"n\n")
    assert result.code == 0 and "all stopped containers" in result.out and name in cli("ps", "-a", "--format", "{{.Names}}")
    out = cli("system", "prune", "-f", "--filter", "label=prune=me")
    assert "Deleted Containers" in out and "Total reclaimed space" in out
    assert name not in cli("ps", "-a", "--format", "{{.Names}}")


def test_build_cache_prune(clipper, daemon, name):
    source = f"FROM {IMAGE}\nRUN date +%N >/when\n".encode()
    clipper("build", "-t", f"clpt/{name}".lower(), "-", input=source)
    assert "Using cache" in clipper("build", "-t", f"clpt/{name}".lower(), "-", input=source)
    assert daemon.request("POST", "/build/prune?all=1")[0] == 200
    assert "Using cache" not in clipper("build", "-t", f"clpt/{name}".lower(), "-", input=source)
    clipper("rmi", f"clpt/{name}".lower())
    clipper("builder", "prune", "-f")


def test_what_docker_always_shows_is_there(daemon, clipper, name):
    """Scripts look for the name of a member, null or not."""
    clipper("volume", "create", name)
    try:
        assert all("Labels" in image for image in daemon.request("GET", "/images/json")[1])
        for volume in [daemon.request("GET", f"/volumes/{name}")[1], *daemon.request("GET", "/volumes")[1]["Volumes"]]:
            assert "Labels" in volume and "Options" in volume
        usage = daemon.request("GET", "/system/df")[1]
        assert all("Labels" in item for item in usage["Images"] + usage["Volumes"])
    finally:
        clipper("volume", "rm", name)
