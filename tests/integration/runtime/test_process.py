"""What a process is given beside namespaces and limits: scheduler, priorities, CPUs, memory policy, clocks, interfaces, hooks."""

import json
import os
import subprocess

import pytest

from .harness import CGROUPS, call, wait_until

HAS_RESCTRL = " - resctrl " in open("/proc/self/mountinfo").read()


def writable(edit=None):
    """The same with a root filesystem that can be written to, also by a mapped root."""
    def both(config):
        config["root"]["readonly"] = False
        if edit:
            edit(config)
    return both


def written(made, name):
    """What the container has written to a file in /tmp."""
    path = made.bundle.rootfs / "tmp" / name
    return wait_until(lambda: path.exists() and path.read_text())


def with_process(**fields):
    return lambda config: config["process"].update(fields)


def with_linux(**fields):
    return lambda config: config["linux"].update(fields)


def refused(container, edit, *words):
    """The spec is refused with one line that has all the words, and nothing is left."""
    made = container(["true"], edit)
    result = made.run()
    assert result.code == 1 and len(result.err.splitlines()) == 1, result
    for word in words:
        assert word in result.err, result
    assert made.state() is None


# Scheduler. /proc/self/stat: 18 is the priority, 19 nice, 40 rt_priority, 41 the policy.

SCHEDULERS = [
    ({"policy": "SCHED_OTHER", "nice": 7}, {"nice": "7", "policy": "0", "rt": "0"}),
    ({"policy": "SCHED_BATCH", "nice": -5}, {"nice": "-5", "policy": "3", "rt": "0"}),
    ({"policy": "SCHED_IDLE"}, {"policy": "5", "rt": "0"}),
    ({"policy": "SCHED_FIFO", "priority": 12}, {"policy": "1", "rt": "12"}),
    ({"policy": "SCHED_RR", "priority": 99, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, {"policy": "2", "rt": "99"}),
    ({"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 50_000_000, "period": 100_000_000}, {"policy": "6"}),
]


def scheduling(text):
    fields = text.rsplit(")", 1)[1].split()
    return {"nice": fields[16], "rt": fields[37], "policy": fields[38]}


def in_real_time(config):
    """A v1 group gives real-time processes no time unless told so, nor do the groups above it (sched-rt-group.rst)."""
    if (CGROUPS / "cpu/cpu.rt_runtime_us").exists():
        config["linux"]["cgroupsPath"] = "/" + config["linux"]["cgroupsPath"].strip("/").replace("/", "-")
        config["linux"].setdefault("resources", {})["cpu"] = {"realtimeRuntime": 1000, "realtimePeriod": 1000000}


@pytest.mark.parametrize("scheduler,wanted", SCHEDULERS, ids=[scheduler["policy"] for scheduler, _ in SCHEDULERS])
def test_scheduler(container, scheduler, wanted):
    def edit(config):
        config["process"]["scheduler"] = scheduler
        if "priority" in scheduler:
            in_real_time(config)
    result = container(["cat", "/proc/self/stat"], edit).run()
    if result.code != 0 and scheduler["policy"] == "SCHED_DEADLINE" and "busy" in result.err:
        pytest.skip("no bandwidth left for the deadline scheduler")
    assert result.code == 0, result
    assert wanted.items() <= scheduling(result.out).items(), result


def test_scheduler_in_user_namespace(container):
    """The runtime sets it: root of the user namespace could not."""
    def edit(config):
        in_user_namespace(config)
        in_real_time(config)
        config["process"].update(
            scheduler={"policy": "SCHED_FIFO", "priority": 3}, ioPriority={"class": "IOPRIO_CLASS_RT", "priority": 2})
    result = container(["sh", "-c", "cat /proc/self/stat; ionice -p $$"], edit).run()
    assert result.code == 0, result
    assert scheduling(result.out.splitlines()[0])["rt"] == "3"
    assert result.out.splitlines()[1] == "realtime: prio 2"


def test_scheduler_of_exec(container, tmp_path):
    made = container(["sleep", "300"], in_real_time).up()
    process = dict(made.config["process"], args=["cat", "/proc/self/stat"], scheduler={"policy": "SCHED_RR", "priority": 5})
    (tmp_path / "process.json").write_text(json.dumps(process))
    result = made.exec(options=["--process", tmp_path / "process.json"])
    assert result.code == 0 and scheduling(result.out)["rt"] == "5", result


@pytest.mark.parametrize("scheduler,word", [
    ({"policy": "SCHED_NICE"}, "process.scheduler.policy"),
    ({}, "process.scheduler.policy"),
    ({"policy": "SCHED_ISO"}, "SCHED_ISO"),
    ({"policy": "SCHED_OTHER", "nice": 20}, "process.scheduler.nice"),
    ({"policy": "SCHED_OTHER", "priority": 1}, "process.scheduler.priority"),
    ({"policy": "SCHED_FIFO"}, "process.scheduler.priority"),
    ({"policy": "SCHED_FIFO", "priority": 100}, "process.scheduler.priority"),
    ({"policy": "SCHED_OTHER", "runtime": 5}, "process.scheduler.runtime"),
    ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_FAST"]}, "process.scheduler.flags[0]"),
    ({"policy": "SCHED_DEADLINE", "runtime": 5}, "set scheduler SCHED_DEADLINE"),
])
def test_bad_scheduler(container, scheduler, word):
    refused(container, with_process(scheduler=scheduler), word)


@pytest.mark.parametrize("name,priority,wanted", [
    ("RT", 0, "realtime: prio 0"), ("BE", 7, "best-effort: prio 7"), ("IDLE", 4, "idle")])
def test_io_priority(container, name, priority, wanted):
    edit = with_process(ioPriority={"class": f"IOPRIO_CLASS_{name}", "priority": priority})
    result = container(["sh", "-c", "ionice -p $$"], edit).run()
    assert result.code == 0 and result.out.startswith(wanted), result


@pytest.mark.parametrize("value,word", [
    ({"class": "IOPRIO_CLASS_BE", "priority": 8}, "process.ioPriority.priority"),
    ({"class": "IOPRIO_CLASS_BE", "priority": -1}, "process.ioPriority.priority"),
    ({"class": "IOPRIO_CLASS_BE"}, "process.ioPriority.priority"), ({"class": "IOPRIO_CLASS_IDLE", "priority": 9}, "process.ioPriority.priority"),
    ({"class": "BE", "priority": 1}, "process.ioPriority.class")])
def test_bad_io_priority(container, value, word):
    refused(container, with_process(ioPriority=value), word)


# CPUs of an exec

AFFINITY = ["grep", "Cpus_allowed_list", "/proc/self/status"]


def allowed(result):
    assert result.code == 0, result
    return result.out.split()[1]


@pytest.mark.skipif(os.cpu_count() < 2, reason="needs two CPUs")
def test_exec_cpu_affinity(container, tmp_path):
    made = container(["sh", "-c", "grep Cpus_allowed_list /proc/self/status > /tmp/init; exec sleep 300"],
                     writable(with_process(execCPUAffinity={"initial": "0", "final": "1"}))).up()
    # Not for the first process (config.md).
    assert written(made, "init").split()[1] == allowed(call(AFFINITY))
    assert allowed(made.exec(*AFFINITY)) == "1"
    process = dict(made.config["process"], args=AFFINITY, execCPUAffinity={"initial": "1", "final": "0"})
    (tmp_path / "process.json").write_text(json.dumps(process))
    assert allowed(made.exec(options=["--process", tmp_path / "process.json"])) == "0"
    del process["execCPUAffinity"]
    (tmp_path / "process.json").write_text(json.dumps(process))
    assert allowed(made.exec(options=["--process", tmp_path / "process.json"])) == "1"


@pytest.mark.parametrize("text", ["a", "1-", "3-1", "0,,1", "-1", "99999"])
def test_bad_cpu_affinity(container, text):
    refused(container, with_process(execCPUAffinity={"initial": text}), "process.execCPUAffinity.initial")


# Memory policy

@pytest.mark.parametrize("policy,wanted", [
    ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
    ({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "interleave=static:0"),
    ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
    ({"mode": "MPOL_LOCAL"}, "local"),
    ({"mode": "MPOL_DEFAULT"}, "default")])
def test_memory_policy(container, policy, wanted):
    made = container(["sleep", "300"], with_linux(memoryPolicy=policy)).up()
    with open(f"/proc/{made.pid}/numa_maps") as maps:
        assert wanted in {line.split()[1] for line in maps}
    result = made.exec("cat", "/proc/self/numa_maps")
    assert result.code == 0 and wanted in {line.split()[1] for line in result.out.splitlines()}, result


@pytest.mark.parametrize("policy,word", [
    ({"mode": "MPOL_BIND"}, "linux.memoryPolicy.nodes"),
    ({"mode": "MPOL_LOCAL", "nodes": "0"}, "linux.memoryPolicy.nodes"),
    ({"mode": "MPOL_BIND", "nodes": "zero"}, "linux.memoryPolicy.nodes"),
    ({"mode": "BIND", "nodes": "0"}, "linux.memoryPolicy.mode"),
    ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_BEST"]}, "linux.memoryPolicy.flags[0]"),
    ({"mode": "MPOL_BIND", "nodes": "500"}, "set memory policy MPOL_BIND")])
def test_bad_memory_policy(container, policy, word):
    refused(container, with_linux(memoryPolicy=policy), word)


# Personality

@pytest.mark.parametrize("domain,machine", [("LINUX32", "i686"), ("LINUX", os.uname().machine)])
def test_personality(container, domain, machine):
    made = container(["sh", "-c", "uname -m > /tmp/machine; exec sleep 300"],
                     writable(with_linux(personality={"domain": domain}))).up()
    assert made.exec("uname", "-m").out.strip() == machine
    assert written(made, "machine").strip() == machine


def test_personality_flags_are_refused(container):
    refused(container, with_linux(personality={"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}), "linux.personality.flags")


# Clocks

def in_user_namespace(config):
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def with_clocks(config):
    config["linux"]["namespaces"].append({"type": "time"})
    config["linux"]["timeOffsets"] = {"boottime": {"secs": 1_000_000, "nanosecs": 5}, "monotonic": {"secs": 7}}


def offsets(text):
    return {name: (int(seconds), int(nanoseconds)) for name, seconds, nanoseconds in (line.split() for line in text.splitlines())}


@pytest.mark.parametrize("users", [False, True])
def test_time_namespace(container, users):
    def edit(config):
        with_clocks(config)
        if users:
            in_user_namespace(config)
    made = container(["sh", "-c", "cat /proc/uptime > /tmp/up; exec sleep 300"], writable(edit)).up()
    assert float(written(made, "up").split()[0]) > 1_000_000
    with open(f"/proc/{made.pid}/timens_offsets") as file:
        assert offsets(file.read()) == {"monotonic": (7, 0), "boottime": (1_000_000, 5)}
    assert os.readlink(f"/proc/{made.pid}/ns/time") != os.readlink("/proc/self/ns/time")
    assert made.exec("readlink", "/proc/self/ns/time").out.strip() == os.readlink(f"/proc/{made.pid}/ns/time")
    assert float(made.exec("cat", "/proc/uptime").out.split()[0]) > 1_000_000
    assert made.exec("readlink", "/proc/self/ns/pid").out.strip() == os.readlink(f"/proc/{made.pid}/ns/pid")


def test_join_time_namespace(container):
    first = container(["sleep", "300"], with_clocks).up()
    path = f"/proc/{first.pid}/ns/time"
    second = container(["cat", "/proc/uptime"], lambda config: config["linux"]["namespaces"].append({"type": "time", "path": path}))
    result = second.run()
    assert result.code == 0 and float(result.out.split()[0]) > 1_000_000, result


def test_time_namespace_without_offsets(container):
    result = container(["readlink", "/proc/self/ns/time"], lambda config: config["linux"]["namespaces"].append({"type": "time"})).run()
    assert result.code == 0 and result.out.strip() != os.readlink("/proc/self/ns/time"), result


@pytest.mark.parametrize("given,namespace,word", [
    ({"boottime": {"secs": 1}}, None, "needs a time namespace"),
    ({"realtime": {"secs": 1}}, {"type": "time"}, "linux.timeOffsets.realtime"),
    ({"boottime": {"secs": 1, "nanosecs": 10**9}}, {"type": "time"}, "linux.timeOffsets.boottime.nanosecs"),
    ({"boottime": {"secs": "1"}}, {"type": "time"}, "linux.timeOffsets.boottime.secs"),
    ({"boottime": {"secs": 1}}, {"type": "time", "path": "/proc/self/ns/time"}, "linux.timeOffsets")])
def test_bad_clocks(container, given, namespace, word):
    def edit(config):
        config["linux"]["timeOffsets"] = given
        config["linux"]["namespaces"] += [namespace] if namespace else []
    refused(container, edit, word)


# Interfaces

@pytest.fixture
def interface(undo):
    """A pair of interfaces with addresses; answers the name of the first."""
    name = f"cp{os.getpid() % 100000}a"
    ip("link", "add", name, "mtu", "1400", "type", "veth", "peer", "name", f"{name[:-1]}b")
    undo(lambda: subprocess.run(["ip", "link", "del", f"{name[:-1]}b"], stderr=subprocess.DEVNULL))
    ip("addr", "add", "10.213.7.2/24", "brd", "+", "dev", name)
    ip("addr", "add", "10.213.7.3/24", "dev", name)
    ip("addr", "add", "fd00:213::7/64", "dev", name, "nodad")
    ip("addr", "add", "169.254.13.1/16", "scope", "link", "dev", name)
    return name


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


@pytest.mark.parametrize("given,inside", [(None, None), ("inner0", "inner0"), ("moved%d", "moved0")])
def test_net_device(container, interface, given, inside):
    inside = inside or interface
    before = json.loads(subprocess.check_output(["ip", "-j", "link", "show", interface]))[0]
    made = container(["sh", "-c", "ip addr; ip link"], with_linux(netDevices={interface: {"name": given} if given else {}}))
    result = made.run()
    assert result.code == 0, result
    assert f" {inside}@" in result.out or f" {inside}:" in result.out
    for wanted in ["10.213.7.2/24 brd 10.213.7.255", "10.213.7.3/24", "fd00:213::7/64", before["address"], "mtu 1400", ",UP"]:
        assert wanted in result.out, (wanted, result)
    # Link-local addresses are not taken along (config-linux.md).
    assert "169.254.13.1" not in result.out


def test_net_device_whose_name_is_taken(container, interface):
    made = container(["true"], with_linux(netDevices={interface: {"name": "lo"}}))
    result = made.run()
    assert result.code == 1 and "lo" in result.err and "exists" in result.err, result
    # It was not moved: nothing would have brought it back.
    ip("link", "show", interface)


def test_net_device_that_is_not_there(container):
    refused(container, with_linux(netDevices={"nosuch0": {}}), "nosuch0")


@pytest.mark.parametrize("devices,word", [
    ({"a/b": {}}, "linux.netDevices.a/b"), ({"eth0": {"name": "with space"}}, "linux.netDevices.eth0.name"),
    ({"eth0": {"name": "%s"}}, "linux.netDevices.eth0.name"), ({"eth0": {"name": "x" * 16}}, "linux.netDevices.eth0.name"),
    ({"eth0": {"name": "one"}, "eth1": {"name": "one"}}, "given twice")])
def test_bad_net_devices(container, devices, word):
    refused(container, with_linux(netDevices=devices), word)


def test_net_devices_need_a_namespace(container):
    def edit(config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "network"]
        config["linux"]["netDevices"] = {"eth0": {}}
        config["mounts"] = [m for m in config["mounts"] if m["type"] != "sysfs"]
    refused(container, edit, "linux.netDevices")


# Cache allocation and labels where the kernel has none

@pytest.mark.skipif(HAS_RESCTRL, reason="resctrl is mounted")
def test_intel_rdt_without_resctrl(container):
    refused(container, with_linux(intelRdt={"closID": "x", "schemata": ["L3:0=f"]}), "linux.intelRdt", "no resctrl")


@pytest.mark.parametrize("given", [{"closID": "a/b"}, {"closID": ".."}, {"memBwSchema": "L3:0=f"}, {"schemata": ["L3:0=f\nMB:0=1"]}])
def test_bad_intel_rdt(container, given):
    refused(container, with_linux(intelRdt=given), "linux.intelRdt")


@pytest.mark.skipif(os.path.exists("/sys/module/apparmor/parameters/enabled"), reason="the kernel has AppArmor")
def test_apparmor_without_apparmor(container):
    refused(container, with_process(apparmorProfile="docker-default"), "process.apparmorProfile", "AppArmor")


@pytest.mark.skipif(os.path.exists("/sys/fs/selinux/enforce"), reason="the kernel has SELinux")
def test_selinux_without_selinux(container):
    refused(container, with_process(selinuxLabel="a:b:c:s0"), "process.selinuxLabel", "SELinux")
    refused(container, with_linux(mountLabel="a:b:c:s0"), "linux.mountLabel", "SELinux")


# exec: users, keyring, privileges

@pytest.mark.parametrize("text", ["root", "", ":", "0:", ":0", "1:root", "-1", "+1", " 1", "1 ", "4294967295", "99999999999", "0x0", "1:2:3", "１"])
def test_exec_refuses_users_that_are_no_numbers(container, text):
    """Anything else would become somebody else: in the worst case root."""
    made = container(["sleep", "300"]).up()
    result = made.exec("id", options=[f"--user={text}"])
    assert result.code == 255 and "--user" in result.err and result.out == "", result


@pytest.mark.parametrize("text,wanted", [("1", "uid=1 gid=0"), ("1000", "uid=1000 gid=0"), ("5:6", "uid=5 gid=6"), ("0:7", "uid=0 gid=7")])
def test_exec_user(container, text, wanted):
    made = container(["sleep", "300"]).up()
    result = made.exec("sh", "-c", "echo uid=$(id -u) gid=$(id -g)", options=["--user", text])
    assert result.out.strip() == wanted, result


HOSTILE = {
    "no newline, no home": "x:x:5",
    "overflow": "a:x:4294967301:5::/root:\n",
    "words": "a:x:five:5::/five:\n",
    "binary": "\x00\xff:::::\n5:5:5:5:5\n",
    "long": "a:x:" + "5" * 100_000 + ":5::/long:\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_passwd(container, text):
    made = container(["sleep", "300"])
    (made.bundle.rootfs / "etc/passwd").write_bytes(text.encode("latin-1"))
    made.up()
    result = made.exec("sh", "-c", "echo $HOME $(id -u)", options=["--user", "5"])
    assert result.out.split() == ["/", "5"], result


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "loop", "missing"])
def test_passwd_that_is_no_file(container, kind):
    made = container(["sh", "-c", "echo $HOME"], with_process(user={"uid": 5, "gid": 5}))
    path = made.bundle.rootfs / "etc/passwd"
    path.unlink()
    {"fifo": lambda: os.mkfifo(path), "directory": path.mkdir, "device": lambda: path.symlink_to("/dev/zero"),
     "loop": lambda: path.symlink_to("passwd"), "missing": lambda: None}[kind]()
    result = made.run()
    assert result.code == 0 and result.out == "/\n", result


def test_exec_may_not_gain_privileges(container):
    made = container(["sleep", "300"], with_process(noNewPrivileges=False)).up()
    read = ["grep", "NoNewPrivs", "/proc/self/status"]
    assert made.exec(*read).out.split()[1] == "0"
    assert made.exec(*read, options=["--no-new-privs"]).out.split()[1] == "1"


@pytest.mark.parametrize("options,own", [([], True), (["--no-new-keyring"], False)])
def test_keyring(container, options, own):
    made = container(["cat", "/proc/keys"], lambda config: config["linux"].update(maskedPaths=[]))
    result = made.run(*options)
    assert result.code == 0 and (f"_ses.{made.id}:" in result.out) == own, result


# Hooks

def hook(script, **more):
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


def test_hooks_get_the_state(container, tmp_path):
    points = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    made = container(["true"], lambda config: config.update(
        annotations={"a": "b"}, hooks={point: [hook(f"cat > {tmp_path}/{point}; pwd > {tmp_path}/{point}.cwd")] for point in points}))
    assert made.create().code == 0
    pid = made.pid
    assert made.start().code == 0
    made.wait_for("stopped")
    assert made.delete().code == 0
    seen = {point: json.loads((tmp_path / point).read_text()) for point in points}
    for point, state in seen.items():
        assert (state["id"], state["bundle"], state["annotations"]) == (made.id, str(made.bundle.path), {"a": "b"}), point
        assert state["ociVersion"] == made.config["ociVersion"]
    assert {seen[p]["status"] for p in ["prestart", "createRuntime", "createContainer"]} == {"creating"}
    assert seen["poststart"]["status"] == "running" and seen["poststop"]["status"] == "stopped"
    assert all(seen[p]["pid"] == pid for p in ["prestart", "createRuntime", "createContainer", "poststart"])
    # As runc: what is in the runtime's namespace starts in the bundle.
    for point in ["prestart", "createRuntime", "poststart", "poststop"]:
        assert (tmp_path / f"{point}.cwd").read_text().strip() == str(made.bundle.path), point


@pytest.mark.parametrize("point", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"])
def test_failing_hook_ends_the_container(container, point):
    made = container(["sleep", "300"], lambda config: config.update(hooks={point: [hook("echo no luck >&2; exit 3")]}))
    result = made.run("--detach")
    assert result.code == 1 and point in result.err and "no luck" in result.err, result
    if made.state():
        made.wait_for("stopped")


@pytest.mark.parametrize("point", ["createRuntime", "createContainer", "startContainer", "poststart"])
def test_hook_timeout(container, point):
    made = container(["sleep", "300"], lambda config: config.update(hooks={point: [hook("sleep 200", timeout=1)]}))
    result = made.run("--detach", timeout=50)
    assert result.code == 1 and "1 s" in result.err, result


@pytest.mark.parametrize("timeout", [0, -1])
def test_bad_hook_timeout(container, timeout):
    refused(container, lambda config: config.update(hooks={"poststop": [hook("true", timeout=timeout)]}), "hooks.poststop[0].timeout")


def test_failing_poststop_hook_is_only_told(container, tmp_path):
    made = container(["true"], lambda config: config.update(
        hooks={"poststop": [hook("exit 1"), hook(f"touch {tmp_path}/second")]}))
    result = made.run()
    assert result.code == 0 and "poststop" in result.err, result
    assert (tmp_path / "second").exists()
