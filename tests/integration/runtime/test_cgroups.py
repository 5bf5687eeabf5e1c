"""Control groups by the command line: limits, update, events, pause, exec --cgroup, kill --all, the systemd driver's refusals.

On a host with v1 or hybrid hierarchies; test_cgroups_vm.py has what only cgroup v2 shows.
"""

import json
import os
import subprocess
import time

import pytest

from .harness import CGROUPS, IS_CGROUP2, cgroup_directories, wait_until

v1 = pytest.mark.skipif(IS_CGROUP2, reason="this host has cgroup v2 alone")
HAS_SYSTEMD = os.path.exists("/run/systemd/private") or os.path.exists("/run/dbus/system_bus_socket")


def limits(**resources):
    return lambda config: config["linux"].update(resources=resources)


def knob(container, controller, name):
    return (container.cgroup(controller) / name).read_text().strip()


def events(runtime, container, *options):
    return [json.loads(line) for line in runtime.ok("events", *options, container.id).out.splitlines()]


@v1
def test_limits_reach_the_kernel(make_container, engine):
    made = make_container(engine, ["sleep", "1000"], limits(
        memory={"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20, "swappiness": 10}, pids={"limit": 19},
        cpu={"shares": 512, "quota": 30000, "period": 60000, "cpus": "0", "mems": "0"})).up()
    assert knob(made, "memory", "memory.limit_in_bytes") == str(64 << 20)
    assert knob(made, "memory", "memory.memsw.limit_in_bytes") == str(96 << 20)
    assert knob(made, "memory", "memory.soft_limit_in_bytes") == str(32 << 20)
    assert knob(made, "memory", "memory.swappiness") == "10"
    assert knob(made, "pids", "pids.max") == "19"
    assert [knob(made, "cpu", f"cpu.{name}") for name in ("shares", "cfs_quota_us", "cfs_period_us")] == ["512", "30000", "60000"]
    assert knob(made, "cpuset", "cpuset.cpus") == "0"


@v1
@pytest.mark.parametrize("controller, network, file, text", [
    ("net_cls", {"classID": 0x100001}, "net_cls.classid", str(0x100001)),
    ("net_prio", {"priorities": [{"name": "lo", "priority": 3}]}, "net_prio.ifpriomap", "lo 3"),
])
def test_network(container, controller, network, file, text):
    made = container(["sleep", "1000"], limits(network=network))
    result = made.run("--detach")
    if os.path.ismount(CGROUPS / controller):
        assert result.code == 0 and text in knob(made, controller, file).splitlines(), result
    else:
        assert result.code == 1 and f"the cgroup controller {controller} is not available" in result.err, result


@v1
@pytest.mark.parametrize("limit, text", [(-1, "max"), (0, "1"), (7, "7")])
def test_pids_limit(container, limit, text):
    """-1 is no limit, 0 is one (runtime-spec 1.3): one process runs, none can be made."""
    made = container(["sleep", "1000"], limits(pids={"limit": limit})).up()
    assert knob(made, "pids", "pids.max") == text


@v1
def test_oom_killer_disabled(container):
    made = container(["sleep", "1000"], limits(memory={"limit": 64 << 20, "disableOOMKiller": True})).up()
    assert "oom_kill_disable 1" in knob(made, "memory", "memory.oom_control")


@v1
def test_device_rules(container):
    """What is not allowed cannot be opened, whoever the process is; what every container needs can."""
    def edit(config):
        config["linux"]["resources"] = {"devices": [
            {"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"}]}
        config["linux"]["devices"] = [
            {"path": "/dev/yes", "type": "c", "major": 10, "minor": 229}, {"path": "/dev/no", "type": "c", "major": 10, "minor": 237}]
    made = container(["sleep", "1000"], edit).up()
    assert knob(made, "devices", "devices.list").splitlines()[0] != "a *:* rwm"
    assert made.exec("sh", "-c", "echo >/dev/null && head -c1 /dev/zero >/dev/null").code == 0
    # Where the kernel lacks the driver, it says so only to those who may open the device.
    assert "not permitted" not in made.exec("sh", "-c", ": </dev/yes").err
    for what in (": <>/dev/yes", ": </dev/no"):
        refused = made.exec("sh", "-c", what)
        assert refused.code != 0 and "not permitted" in refused.err, refused


@pytest.mark.parametrize("resources, message", [
    ({"memory": {"limit": -2}}, "memory.limit: -2 is no size"),
    ({"memory": {"limit": 2000, "swap": 1000}}, "memory.swap: memory and swap together must be at least memory.limit"),
    ({"memory": {"swappiness": 101}}, "memory.swappiness"),
    ({"cpu": {"shares": 1}}, "cpu.shares: 1 is not 2 to 262144"),
    ({"cpu": {"cpus": "4000"}}, "cpu.cpus"),
    ({"blockIO": {"weight": 5}}, "blockIO.weight: 5 is not 10 to 1000"),
    ({"hugepageLimits": [{"pageSize": "3XB", "limit": 1}]}, "hugepageLimits.3XB"),
    ({"devices": [{"allow": True, "type": "x"}]}, "linux.resources.devices[0].type"),
    ({"rdma": {"nothere": {"hcaHandles": 1}}}, "rdma.nothere"),
])
def test_impossible_limits_are_named_and_leave_nothing(container, resources, message):
    made = container(["true"], limits(**resources))
    result = made.run()
    assert result.code == 1 and message in result.err and len(result.err.splitlines()) == 1, result
    assert made.status is None and cgroup_directories(made.id) == []


@v1
def test_unified_needs_v2(container):
    made = container(["true"], limits(unified={"memory.high": "1000000"}))
    result = made.run()
    # A hybrid host's cgroup2 has no memory controller.
    assert result.code == 1 and "unified.memory.high" in result.err, result


def test_cgroups_path(container, clipper):
    """Absolute paths are below the mount point; relative ones below Clipper's own; none is its own."""
    def path(value):
        def edit(config):
            config["linux"].pop("cgroupsPath", None)
            if value:
                config["linux"]["cgroupsPath"] = value
        made = container(["sleep", "1000"], edit).up()
        where = made.exec("cat", "/proc/self/cgroup").out
        lines = open(f"/proc/{made.pid}/cgroup").read().splitlines()
        assert made.delete(force=True).code == 0 and where
        return {line.split(":", 2)[2] for line in lines}, made.id
    where, identifier = path(None)
    assert where == {f"/clipper-runtime-{identifier}"}
    where, _ = path("/clp-tests/a/b")
    assert where == {"/clp-tests/a/b"}
    for hierarchy in CGROUPS.iterdir():
        for left in ("clp-tests/a", "clp-tests"):
            if (hierarchy / left).is_dir():
                (hierarchy / left).rmdir()


@pytest.mark.parametrize("path", ["../up", "/a/../../b", "/", "."])
def test_cgroups_path_that_leaves(container, path):
    result = container(["true"], lambda config: config["linux"].update(cgroupsPath=path)).run()
    assert result.code == 1 and "cgroupsPath" in result.err, result


@v1
def test_update(make_container, engine):
    made = make_container(engine, ["sleep", "1000"], limits(memory={"limit": 64 << 20, "swap": 64 << 20}, pids={"limit": 10})).up()
    engine.ok("update", "--memory", "96m" if engine.name == "clipper" else str(96 << 20), "--memory-swap", str(128 << 20), made.id)
    assert knob(made, "memory", "memory.limit_in_bytes") == str(96 << 20)
    assert knob(made, "memory", "memory.memsw.limit_in_bytes") == str(128 << 20)
    engine.ok("update", "--cpu-share", "200", "--cpu-quota", "40000", "--cpu-period", "80000", "--cpuset-cpus", "0", made.id)
    assert [knob(made, "cpu", f"cpu.{name}") for name in ("shares", "cfs_quota_us", "cfs_period_us")] == ["200", "40000", "80000"]
    engine.ok("update", "--pids-limit", "30", made.id)
    assert knob(made, "pids", "pids.max") == "30"


@v1
def test_update_from_file_and_standard_input(container, clipper):
    made = container(["sleep", "1000"], limits(memory={"limit": 64 << 20})).up()
    file = made.bundle.path / "limits.json"
    file.write_text(json.dumps({"memory": {"reservation": 1 << 20}, "pids": {"limit": 25}}))
    clipper.ok("update", "-r", file, made.id)
    assert (knob(made, "memory", "memory.soft_limit_in_bytes"), knob(made, "pids", "pids.max")) == (str(1 << 20), "25")
    clipper.ok("update", "--resources", "-", made.id, stdin=b'{"cpu": {"shares": 77}}')
    assert knob(made, "cpu", "cpu.shares") == "77" and knob(made, "memory", "memory.limit_in_bytes") == str(64 << 20)
    # What is not given stays; the limits are remembered for the next change.
    clipper.ok("update", "--memory-swap", str(128 << 20), made.id)
    assert knob(made, "memory", "memory.memsw.limit_in_bytes") == str(128 << 20)
    clipper.ok("update", "--memory", "-1", made.id)
    assert int(knob(made, "memory", "memory.memsw.limit_in_bytes")) > 1 << 60


@v1
def test_update_is_all_or_nothing(container, clipper):
    made = container(["sleep", "1000"], limits(memory={"limit": 64 << 20}, pids={"limit": 10})).up()
    result = clipper("update", "--memory", "32m", "--pids-limit", "20", "--cpuset-cpus", "4000", made.id)
    assert result.code == 1 and "cpu.cpus" in result.err, result
    assert (knob(made, "memory", "memory.limit_in_bytes"), knob(made, "pids", "pids.max")) == (str(64 << 20), "10")


@v1
def test_update_of_devices(container, clipper):
    made = container(["sleep", "1000"], limits(devices=[{"allow": False, "access": "rwm"}])).up()
    clipper.ok("update", "-r", "-", made.id, stdin=json.dumps({"devices": [
        {"allow": False}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}]}).encode())
    listed = knob(made, "devices", "devices.list")
    assert "c 10:229 rw" in listed and "c 1:3 rwm" in listed


@pytest.mark.parametrize("options, message", [
    (["--memory", "many"], "\"many\" is no size"), (["--pids-limit", "x"], "pids-limit"), (["--l3-cache-schema", "L3:0=f"], "resctrl"),
    (["-r", "/nothing/there"], "/nothing/there"),
])
def test_update_refusals(container, clipper, options, message):
    made = container(["sleep", "1000"]).up()
    result = clipper("update", *options, made.id)
    assert result.code == 1 and message in result.err, result


def test_stats_have_runcs_form(make_container, engine):
    """The same members at the same places as runc has them, for engines that read them."""
    if engine.name == "crun":
        pytest.skip("crun has no events")
    made = make_container(engine, ["sleep", "1000"], limits(pids={"limit": 40})).up()
    event, = events(engine, made, "--stats")
    assert (event["type"], event["id"]) == ("stats", made.id)
    data = event["data"]
    assert set(data) >= {"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"}
    assert data["pids"] == {"current": 1, "limit": 40}
    assert data["cpu"]["usage"]["total"] > 0 and {"kernel", "user"} <= set(data["cpu"]["usage"]) and "throttling" in data["cpu"]
    assert all({"limit", "failcnt"} <= set(data["memory"][name]) for name in ("usage", "swap", "kernel", "kernelTCP"))
    assert data["memory"]["usage"]["usage"] > 0 and len(data["memory"]["raw"]) > 10
    if not IS_CGROUP2:
        assert data["cpuset"]["cpus"] and "sched_relax_domain_level" in data["cpuset"]
        assert len(data["cpu"]["usage"]["percpu"]) == len(data["cpu"]["usage"]["percpu_user"]) == os.cpu_count()


def test_events_stream_until_the_end(container, clipper):
    made = container(["sleep", "1000"]).up()
    process = clipper.spawn("events", "--interval", "50ms", made.id)
    try:
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        assert [line["type"] for line in lines] == ["stats"] * 3
        made.kill()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("interval", ["0", "-1s", "soon", "5"])
def test_events_interval(container, clipper, interval):
    made = container(["sleep", "1000"]).up()
    result = clipper("events", f"--interval={interval}", made.id)
    assert result.code == 1 and len(result.err.splitlines()) == 1, result


def test_events_of_a_stopped_container(container, clipper):
    made = container(["true"]).up()
    made.wait_for("stopped")
    result = clipper("events", made.id)
    assert result.code == 1 and "is not running" in result.err, result


@v1
def test_events_tell_of_memory_running_out(make_container, engine):
    if engine.name == "crun":
        pytest.skip("crun has no events")
    # dd's buffer is what is too large for the limit.
    made = make_container(engine, ["sh", "-c", "until [ -e /go ]; do sleep 0.1; done; dd if=/dev/zero of=/dev/null bs=100M count=1; sleep 1000"],
                          lambda config: (limits(memory={"limit": 32 << 20, "swap": 32 << 20})(config), config["root"].update(readonly=False))[1])
    made.up()
    process = engine.spawn("events", "--interval", "100s", made.id)
    try:
        time.sleep(0.5)  # Until it listens: nothing tells.
        (made.bundle.rootfs / "go").touch()
        assert json.loads(process.stdout.readline()) == {"type": "oom", "id": made.id}
    finally:
        process.kill()
        process.communicate()


def test_pause_and_resume(make_container, engine):
    made = make_container(engine, ["sh", "-c", "while :; do sleep 0.05; done"]).up()
    engine.ok("pause", made.id)
    assert made.status == "paused"
    assert engine("exec", made.id, "true").code != 0
    assert engine("pause", made.id).code != 0 or engine.name == "crun"
    engine.ok("resume", made.id)
    assert made.status == "running"
    assert made.exec("true").code == 0


def test_exec_ignore_paused(container, clipper):
    """The process is let in and stands still with the others until they go on."""
    made = container(["sleep", "1000"]).up()
    clipper.ok("pause", made.id)
    refused = made.exec("echo", "in")
    assert refused.code == 255 and "paused" in refused.err
    process = clipper.spawn("exec", "--ignore-paused", made.id, "echo", "in", stdin=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        assert process.poll() is None
        clipper.ok("resume", made.id)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (0, b"in\n"), err
    finally:
        process.kill()
        process.communicate()


@v1
def test_frozen_from_above(container, clipper):
    """A group that is frozen with the one above it shows as paused, and resume says why it does not help."""
    made = container(["sleep", "1000"], lambda config: config["linux"].update(
        cgroupsPath=config["linux"]["cgroupsPath"] + "/inner")).up()
    above = made.cgroup("freezer").parent
    (above / "freezer.state").write_text("FROZEN")
    try:
        wait_until(lambda: (above / "freezer.state").read_text() == "FROZEN\n")
        assert made.status == "paused"
        result = clipper("resume", made.id)
        assert result.code == 1 and "above" in result.err, result
    finally:
        (above / "freezer.state").write_text("THAWED")
    wait_until(lambda: made.status == "running")
    made.remove()
    for directory in cgroup_directories(above.name):
        directory.rmdir()


def test_delete_force_of_a_paused_container(container, clipper):
    made = container(["sleep", "1000"]).up()
    clipper.ok("pause", made.id)
    assert made.delete(force=True).code == 0 and cgroup_directories(made.id) == []


@v1
def test_exec_cgroup(container, clipper):
    made = container(["sleep", "1000"]).up()
    (made.cgroup("cpu") / "part").mkdir()
    (made.cgroup("memory") / "part").mkdir()
    where = made.exec("cat", "/proc/self/cgroup", options=["--cgroup", "cpu,memory:part"]).out
    places = {name: line.split(":", 2)[2] for line in where.splitlines() for name in line.split(":")[1].split(",")}
    # Without a cgroup namespace of its own the container sees the host's paths.
    assert places["cpu"].endswith("/part") and places["memory"].endswith("/part") and not places["pids"].endswith("/part"), where
    for option, message in [
        ("part", "no such file or directory"), ("nosuch:part", "nosuch"), ("cpu:../..", "not below"), ("a:b:c", "invalid --cgroup argument"),
    ]:
        result = made.exec("true", options=["--cgroup", option])
        assert result.code == 255 and message in result.err, result


def test_kill_all(make_container, engine):
    """Without a pid namespace of its own, the first process's end leaves the others; --all reaches them."""
    def edit(config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]
        config["mounts"] = [m for m in config["mounts"] if m["type"] != "proc"]
        config["mounts"].append({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]})
        for name in ("maskedPaths", "readonlyPaths"):
            config["linux"].pop(name, None)
    made = make_container(engine, ["sh", "-c", "sleep 1000 & sleep 1000 & wait"], edit).up()
    procs = made.cgroup("pids") / "cgroup.procs"
    wait_until(lambda: len(procs.read_text().split()) == 3)
    engine.ok("kill", "--all", made.id, "KILL")
    wait_until(lambda: procs.read_text().split() == [])
    made.wait_for("stopped")


def test_kill_of_a_process_that_has_left_its_group(container):
    """Somebody has moved it, and the group is gone: the process is all there is."""
    def edit(config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]
        config["mounts"] = [m for m in config["mounts"] if m["type"] != "proc"]
    for options in [[], ["--all"]]:
        made = container(["sleep", "1000"], edit).up()
        pid = made.pid
        for group in cgroup_directories(made.id):
            top = CGROUPS if IS_CGROUP2 else CGROUPS / group.relative_to(CGROUPS).parts[0]
            (top / "cgroup.procs").write_text(str(pid))
            group.rmdir()
        assert made.kill("KILL", *options).code == 0
        made.wait_for("stopped")
        result = made.kill("KILL", *options)
        assert result.code != 0 and "container not running" in result.err, result
        assert made.delete().code == 0


def test_kill_reaches_all_without_a_pid_namespace(container):
    def edit(config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]
        config["mounts"] = [m for m in config["mounts"] if m["type"] != "proc"]
    made = container(["sh", "-c", "sleep 1000 & wait"], edit).up()
    procs = made.cgroup("pids") / "cgroup.procs"
    wait_until(lambda: len(procs.read_text().split()) == 2)
    assert made.kill().code == 0
    wait_until(lambda: procs.read_text().split() == [])


@pytest.mark.skipif(HAS_SYSTEMD, reason="this host has systemd")
def test_systemd_cgroup_without_systemd(container):
    made = container(["true"], lambda config: config["linux"].update(cgroupsPath="system.slice:clp:one"))
    result = made.run(globals=["--systemd-cgroup"])
    assert result.code == 1 and "is systemd running?" in result.err and len(result.err.splitlines()) == 1, result
    assert made.status is None


@pytest.mark.parametrize("path", ["/a/b", "a:b", "no/slice.slice:p:n", "a--b.slice:p:n", "x.slice:p:n.slice"])
def test_systemd_cgroups_path(container, path):
    result = container(["true"], lambda config: config["linux"].update(cgroupsPath=path)).run(globals=["--systemd-cgroup"])
    assert result.code == 1 and path.split(":")[0] in result.err, result
