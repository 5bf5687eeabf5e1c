"""Debian's dockerd with clipper-runtime as a further runtime (`--add-runtime`), beside runc."""

import json
import os

import pytest

from harness import Terminal, wait_until

IMAGE = "localhost/clipper-dropin/base"
LOOP = "trap 'exit 9' TERM; trap 'echo usr1' USR1; echo up; while :; do sleep 0.05; done"


@pytest.fixture
def run(docker, runtime):
    """`docker run --rm` with this test's runtime: whatever its end."""
    return lambda *arguments, **options: docker.run("run", "--rm", "--runtime", runtime, *arguments, **options)


@pytest.fixture
def show(run):
    """Output of shell code in a container made with the given options."""

    def show(code, *options):
        result = run(*options, IMAGE, "sh", "-c", code)
        assert result.code == 0, result
        return result.out.strip()

    return show


@pytest.fixture
def running(docker, runtime, name):
    docker("run", "-d", "--name", name, "--runtime", runtime, "--memory", "64m", IMAGE, "sh", "-c", LOOP)
    wait_until(lambda: "up" in docker("logs", name), 10, "the container's first line")
    return name


def status(show, *options):
    lines = show("cat /proc/self/status", *options).splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_streams_and_exit_code(run):
    result = run(IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.code, result.out, result.err) == (7, "out\n", "err\n")
    assert run("-i", IMAGE, "cat", input=b"given\n").out == "given\n"


@pytest.mark.parametrize("program, code", [("/nothere", 127), ("nothere", 127), ("/etc", 126), ("/etc/passwd", 126)])
def test_program_that_cannot_run(run, program, code):
    result = run(IMAGE, program)
    assert result.code == code and program in result.err, result


def test_exec(docker, running):
    assert docker("exec", "-u", "33", "-w", "/tmp", "-e", "A=b", running, "sh", "-c", 'id -u; pwd; echo "$A"') == "33\n/tmp\nb"
    assert docker("exec", "-i", running, "cat", input=b"given") == "given"
    assert docker.run("exec", running, "sh", "-c", "exit 3").code == 3
    assert docker.run("exec", running, "sh", "-c", "kill -9 $$").code == 137
    missing = docker.run("exec", running, "/nothere")
    assert missing.code in (126, 127) and "no such file or directory" in missing.out + missing.err  # 126 from Docker 20.10.
    assert docker.run("exec", running, "/etc").code == 126
    # In the container's own control group: its limits hold.
    own = docker("exec", running, "grep", ":memory:", "/proc/self/cgroup")
    assert own == docker("exec", running, "grep", ":memory:", "/proc/1/cgroup")
    docker("exec", "-d", running, "touch", "/made")
    wait_until(lambda: docker.run("exec", running, "test", "-e", "/made").code == 0, 10, "the detached exec's file")


def test_limits(show):
    values = show(
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes memory/memory.memsw.limit_in_bytes "
        "cpu/cpu.cfs_quota_us cpu/cpu.shares pids/pids.max cpuset/cpuset.cpus",
        "--memory", "32m", "--memory-reservation", "16m", "--memory-swap", "48m", "--cpus", "0.5", "--cpu-shares", "100",
        "--pids-limit", "50", "--cpuset-cpus", "0").split()
    assert values == ["33554432", "16777216", "50331648", "50000", "100", "50", "0"]


def test_out_of_memory(docker, runtime, name):
    result = docker.run("run", "--name", name, "--runtime", runtime, "--memory", "16m", "--memory-swap", "16m", IMAGE, "tail", "/dev/zero")
    assert result.code == 137
    wait_until(lambda: docker.inspect(name)["State"]["OOMKilled"], 10, "OOMKilled")


def test_pause(docker, running):
    docker("pause", running)
    assert docker.inspect(running)["State"]["Paused"]
    assert "paused" in docker.run("exec", running, "true").err
    docker("unpause", running)
    assert not docker.inspect(running)["State"]["Paused"]
    docker("kill", "-s", "USR1", running)
    wait_until(lambda: "usr1" in docker("logs", running), 10, "the signal's answer")


def test_end_and_new_start(docker, running):
    docker("stop", "-t", "20", running)
    state = docker.inspect(running)["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 9)
    docker("start", running)
    docker("restart", "-t", "0", running)
    assert docker.inspect(running)["State"]["Running"]
    docker("kill", running)
    assert docker("wait", running) == "137"


def test_watching(docker, running):
    usage, pids = docker("stats", "--no-stream", "--format", "{{.MemUsage}}|{{.PIDs}}", running).split("|")
    assert usage.endswith("/ 64MiB") and not usage.startswith("0B") and int(pids) >= 1
    assert "sleep 0.05" in docker("top", running) or "trap" in docker("top", running)


def test_update(docker, running):
    docker("update", "--memory", "48m", "--memory-swap", "48m", "--cpus", "0.5", "--pids-limit", "77", "--cpu-shares", "55", running)
    values = docker(
        "exec", running, "sh", "-c",
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.shares pids/pids.max").split()
    assert values == ["50331648", "50000", "55", "77"]


def test_terminal(docker, runtime, running, terminal):
    shell = terminal(docker, "run", "--rm", "-it", "--runtime", runtime, IMAGE, "sh", rows=31, columns=97)
    shell.type("until stty size | grep '31 97'; do sleep 0.1; done; tty\n")
    shell.expect("/dev/pts/0")
    shell.resize(20, 60)
    shell.type("until stty size | grep '20 60'; do sleep 0.1; done; echo resi''zed; exit 4\n")
    shell.expect("resized")
    assert shell.wait() == 4
    shell = terminal(docker, "exec", "-it", running, "sh")
    shell.type("tty; echo do''ne; exit 5\n")
    assert "/dev/pts/" in shell.expect("done")
    assert shell.wait() == 5


def test_capabilities(show):
    none = status(show, "--cap-drop", "ALL")
    assert [none[f"Cap{s}"] for s in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == ["0" * 16] * 5
    admin = status(show, "--cap-drop", "ALL", "--cap-add", "NET_ADMIN")
    assert [admin[f"Cap{s}"] for s in ("Prm", "Eff", "Bnd")] == [f"{1 << 12:016x}"] * 3
    user = status(show, "--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "-u", "33:33")
    assert user["Uid"].split() == ["33"] * 4 and user["CapEff"] == "0" * 16


def test_seccomp_and_new_privileges(docker, host, show, run):
    assert status(show)["Seccomp"] == "2"
    assert status(show, "--security-opt", "seccomp=unconfined")["Seccomp"] == "0"
    assert status(show, "--security-opt", "no-new-privileges")["NoNewPrivs"] == "1"
    profile = host.scratch / "seccomp.json"
    profile.write_text(json.dumps({
        "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]}))
    result = run("--security-opt", f"seccomp={profile}", IMAGE, "mkdir", "/x")
    assert result.code == 1 and "Input/output error" in result.err


def test_init_reaps_and_passes_signals(docker, runtime, name):
    docker("run", "-d", "--init", "--name", name, "--runtime", runtime, IMAGE, "sh", "-c", LOOP)
    wait_until(lambda: "up" in docker("logs", name), 10, "the container's first line")
    assert "docker-init" in docker("exec", name, "cat", "/proc/1/cmdline")
    docker("stop", "-t", "20", name)
    assert docker.inspect(name)["State"]["ExitCode"] == 9


def test_health(docker, runtime, name):
    docker("run", "-d", "--name", name, "--runtime", runtime, "--health-cmd", "test -e /ok", "--health-interval", "200ms",
           "--health-retries", "1", IMAGE, "sleep", "1000")
    health = lambda: docker.inspect(name)["State"]["Health"]["Status"]
    wait_until(lambda: health() == "unhealthy", 20, "unhealthy")
    docker("exec", name, "touch", "/ok")
    wait_until(lambda: health() == "healthy", 20, "healthy")


def test_devices(show, run):
    rules = show("cat /sys/fs/cgroup/devices/devices.list", "--device", "/dev/loop0:/dev/mine:r", "--device-cgroup-rule", "c 12:* rw")
    assert {"b 7:0 r", "c 12:* rw", "c 1:3 rwm", "c 136:* rwm", "c *:* m"} <= set(rules.splitlines())
    assert "a *:* rwm" not in rules and "c 1:1 " not in rules
    result = run("--device", "/dev/loop0:/dev/mine:r", IMAGE, "sh", "-c", "exec 3<>/dev/mine")
    assert result.code != 0 and "not permitted" in result.err, "a device given for reading was opened for writing"
    seen = show("ls -l /dev/mine | cut -c1; mknod /dev/ram c 1 1; cat /dev/ram 2>&1 | head -c 100", "--device", "/dev/loop0:/dev/mine")
    assert seen.startswith("b\n") and "not permitted" in seen


def test_read_only_and_tmpfs(run, show):
    result = run("--read-only", "--tmpfs", "/t:size=1m,mode=700", IMAGE, "sh", "-c", "touch /t/a && ls -ld /t && touch /a")
    assert result.out.startswith("drwx------") and "Read-only file system" in result.err and result.code == 1
    assert "size=1024k" in show("grep ' /t ' /proc/mounts", "--tmpfs", "/t:size=1m,mode=700")
    # A place that is not in the image gets the kernel's mode, one that is its own.
    assert show("stat -c %a /new", "--mount", "type=tmpfs,dst=/new") == "1777"
    assert show("stat -c %a /root", "--mount", "type=tmpfs,dst=/root") == "700"


def test_sysctl_and_process_limits(show, run):
    assert show("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax", "--sysctl", "net.ipv4.ip_forward=1",
                "--sysctl", "kernel.msgmax=4000").split() == ["1", "4000"]
    assert run("--sysctl", "kernel.panic=1", IMAGE, "true").code != 0
    assert show("ulimit -n; ulimit -Hn", "--ulimit", "nofile=100:200").split() == ["100", "200"]
    assert show("cat /proc/self/oom_score_adj", "--oom-score-adj", "100") == "100"
    assert "8192" in show("df -k /dev/shm", "--shm-size", "8m")


def test_names_and_groups(show):
    assert show("hostname; cat /proc/sys/kernel/domainname", "--hostname", "mine", "--domainname", "example").split() == ["mine", "example"]
    assert "5" in show("id -G", "--group-add", "5").split()


def namespaces(show, *options):
    lines = show("for n in cgroup ipc net pid uts; do readlink /proc/self/ns/$n; done", *options).splitlines()
    return dict(line.split(":") for line in lines)


def test_namespaces(docker, runtime, name, show, host):
    docker("run", "-d", "--name", name, "--runtime", runtime, "--ipc", "shareable", IMAGE, "sleep", "1000")
    theirs = docker("exec", name, "sh", "-c", "for n in ipc net pid uts; do readlink /proc/self/ns/$n; done")
    theirs = dict(line.split(":") for line in theirs.split())
    joined = namespaces(show, *(f"--{kind}=container:{name}" for kind in ("ipc", "pid", "network")))
    assert {n: joined[n] for n in ("ipc", "net", "pid")} == {n: theirs[n] for n in ("ipc", "net", "pid")} and joined["uts"] != theirs["uts"]
    shared = namespaces(show, "--ipc=host", "--pid=host", "--uts=host", "--network=host", "--cgroupns=host")
    assert shared == dict(os.readlink(f"/proc/{host.init}/ns/{n}").split(":") for n in shared)


def test_cgroup_namespace(show, host):
    assert f":memory:/{host.prefix}docker/" in show("cat /proc/self/cgroup", "--cgroupns", "host")
    assert ":memory:/\n" in show("cat /proc/self/cgroup", "--cgroupns", "private") + "\n"


def test_volumes_and_binds(docker, host, show, run):
    shared = host.scratch / "shared"
    shared.mkdir(exist_ok=True)
    (shared / "file").write_text("theirs\n")
    assert show("cat /w/file; pwd", "-v", f"{shared}:/w:ro", "-w", "/w").split() == ["theirs", "/w"]
    assert "Read-only" in run("-v", f"{shared}:/w:ro", IMAGE, "touch", "/w/x").err
    show("echo kept > /v/x", "-v", "kept:/v")
    assert show("cat /v/x", "-v", "kept:/v") == "kept"


def test_files_of_a_container(docker, running, host):
    source = host.scratch / "given"
    source.write_text("given\n")
    docker("cp", str(source), f"{running}:/given")
    assert docker("exec", running, "cat", "/given") == "given"
    assert "A /given" in docker("diff", running)


def test_privileged(docker, run, runtime):
    """runc refuses where the machine keeps a capability back; clipper-runtime gives what there is, as later dockerds ask for."""
    result = run("--privileged", IMAGE, "sh", "-c",
                 "grep Seccomp: /proc/self/status; cat /sys/fs/cgroup/devices/devices.list; grep ' /sys ' /proc/mounts")
    if runtime == "runc" and "unable to apply caps" in result.err:
        pytest.skip("runc cannot give this machine's missing capabilities")
    assert result.code == 0, result
    assert "Seccomp:\t0" in result.out and "a *:* rwm" in result.out and "sysfs rw," in result.out
