"""podman and its conmon with clipper-runtime (`--runtime`), beside runc."""

import json

import pytest

from dropin.engines import TerminalTool
from harness import wait_until

IMAGE = "localhost/clipper-dropin/base"
LOOP = "trap 'exit 9' TERM; trap 'echo usr1' USR1; echo up; while :; do sleep 0.05; done"


@pytest.fixture
def options(host):
    """Of every container: no network to set up, control groups below the test's own."""
    return ["--network", "none", "--cgroup-parent", f"/{host.prefix}podman"]


@pytest.fixture
def run(pod, options):
    return lambda *arguments, **more: pod.run("run", "--rm", *options, *arguments, **more)


@pytest.fixture
def show(run):
    def show(code, *arguments):
        result = run(*arguments, IMAGE, "sh", "-c", code)
        assert result.code == 0, result
        return result.out.strip()

    return show


@pytest.fixture
def running(pod, options, name):
    pod("run", "-d", "--name", name, *options, "--memory", "64m", IMAGE, "sh", "-c", LOOP)
    wait_until(lambda: "up" in pod("logs", name), 10, "the container's first line")
    return name


def inspect(pod, name):
    return json.loads(pod("inspect", name))[0]


def test_streams_and_exit_code(run):
    result = run(IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.code, result.out, result.err) == (7, "out\n", "err\n")
    assert run("-i", IMAGE, "cat", input=b"given\n").out == "given\n"


@pytest.mark.parametrize("program, code", [("/nothere", 127), ("/etc", 126)])
def test_program_that_cannot_run(run, program, code):
    result = run(IMAGE, program)
    assert result.code == code and program in result.err, result


def test_exec(pod, running, host):
    assert pod("exec", "-u", "33", "-w", "/tmp", "-e", "A=b", running, "sh", "-c", 'id -u; pwd; echo "$A"') == "33\n/tmp\nb"
    assert pod("exec", "-i", running, "cat", input=b"given") == "given"
    assert pod.run("exec", running, "sh", "-c", "exit 3").code == 3
    assert pod.run("exec", running, "sh", "-c", "kill -9 $$").code == 137
    assert pod.run("exec", running, "/nothere").code == 127
    assert pod.run("exec", running, "/etc").code == 126
    assert f"/{host.prefix}podman/libpod-" in pod("exec", running, "grep", ":memory:", "/proc/self/cgroup")


def test_limits(show):
    values = show(
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max cpuset/cpuset.cpus",
        "--memory", "32m", "--memory-swap", "32m", "--cpus", "0.5", "--pids-limit", "50", "--cpuset-cpus", "0").split()
    assert values == ["33554432", "50000", "50", "0"]


def test_out_of_memory(run):
    assert run("--memory", "16m", "--memory-swap", "16m", IMAGE, "tail", "/dev/zero").code == 137


def test_pause(pod, running):
    pod("pause", running)
    assert inspect(pod, running)["State"]["Status"] == "paused"
    assert pod.run("exec", running, "true").code != 0
    pod("unpause", running)
    assert inspect(pod, running)["State"]["Status"] == "running"
    pod("kill", "--signal", "USR1", running)
    wait_until(lambda: "usr1" in pod("logs", running), 10, "the signal's answer")


def test_watching(pod, running):
    usage = json.loads(pod("stats", "--no-stream", "--format", "json", running))[0]
    assert usage["mem_usage"].endswith("/ 67.11MB") and int(usage["pids"]) >= 1
    assert "trap" in pod("top", running)


def test_end_and_new_start(pod, running, runtime_path):
    pod("stop", "-t", "20", running)
    assert pod("wait", running) == "9"
    state = inspect(pod, running)
    assert state["State"]["ExitCode"] == 9 and state["OCIRuntime"] == runtime_path
    pod("start", running)
    pod("restart", "-t", "0", running)
    pod("kill", running)
    assert pod("wait", running) == "137"


def test_terminal(pod, options, running, terminal):
    tool = TerminalTool(pod)
    shell = terminal(tool, *tool.first, "run", "--rm", "-it", *options, IMAGE, "sh", rows=31, columns=97)
    shell.type("until stty size | grep '31 97'; do sleep 0.1; done; tty; exit 4\n")
    shell.expect("/dev/pts/0")
    assert shell.wait() == 4
    shell = terminal(tool, *tool.first, "exec", "-it", running, "sh")
    shell.type("tty; echo do''ne; exit 5\n")
    assert "/dev/pts/" in shell.expect("done")
    assert shell.wait() == 5


def test_user_namespace(run):
    result = run("--uidmap", "0:100000:5000", IMAGE, "sh", "-c", "cat /proc/self/uid_map; touch /x && stat -c %u /x")
    assert result.out.split() == ["0", "100000", "5000", "0"], result


def test_security(show):
    def status(*options):
        return dict(line.split(":\t", 1) for line in show("cat /proc/self/status", *options).splitlines() if ":\t" in line)

    assert status("--cap-drop", "all")["CapBnd"] == "0" * 16
    assert status()["Seccomp"] == "2"
    assert status("--security-opt", "seccomp=unconfined")["Seccomp"] == "0"
    assert status("--security-opt", "no-new-privileges")["NoNewPrivs"] == "1"
    assert show("cat /proc/cpuinfo", "--security-opt", "mask=/proc/cpuinfo") == ""


def test_root_and_mounts(show, run, host):
    result = run("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/t", IMAGE, "sh", "-c", "touch /t/x && echo made; touch /x")
    assert result.out == "made\n" and "Read-only" in result.err
    assert "group" in show("ls /etc", "--mount", "type=tmpfs,dst=/etc"), "tmpcopyup, podman's default for tmpfs"
    tree = host.scratch / "rootfs"
    if not tree.exists():
        tree.mkdir()
        base = show("tar cf - /bin 2>/dev/null | base64")
        import base64, subprocess
        subprocess.run(["tar", "xf", "-", "-C", str(tree)], input=base64.b64decode(base), check=True)
    assert run("--rootfs", tree, "sh", "-c", "echo mine").out == "mine\n"


def test_process_options(show):
    # With any --ulimit podman sets nproc as well, to more than a machine may allow.
    seen = show("umask; hostname; id -G; cat /proc/self/oom_score_adj; ulimit -n; cat /proc/sys/net/ipv4/ip_forward", "--umask", "077",
                "--hostname", "mine", "--group-add", "44", "--oom-score-adj", "50", "--ulimit", "nofile=100:200",
                "--ulimit", "nproc=1000:1000", "--sysctl", "net.ipv4.ip_forward=1").split("\n")
    assert seen[:2] + seen[3:] == ["0077", "mine", "50", "100", "1"] and "44" in seen[2].split()


def test_cgroup_modes(show, host):
    assert f":memory:/{host.prefix}podman/libpod-" in show("cat /proc/self/cgroup", "--cgroupns", "host")
    assert ":memory:/\n" in show("cat /proc/self/cgroup", "--cgroupns", "private") + "\n"


def test_health(pod, options, name):
    pod("run", "-d", "--name", name, *options, "--health-cmd", "test -e /ok", "--health-interval", "disable", IMAGE, "sleep", "1000")
    assert pod.run("healthcheck", "run", name).code == 1
    pod("exec", name, "touch", "/ok")
    assert pod.run("healthcheck", "run", name).code == 0


def test_restart_policy(pod, options, name):
    pod("run", "-d", "--name", name, *options, "--restart", "on-failure:2", IMAGE, "sh", "-c", "exit 3")
    wait_until(lambda: inspect(pod, name)["RestartCount"] == 2 and inspect(pod, name)["State"]["Status"] == "exited", 30, "two restarts")
    assert inspect(pod, name)["State"]["ExitCode"] == 3


def test_pod_shares_namespaces(pod, options, name):
    pod("pod", "create", "--name", name, *options, "--infra-image", IMAGE, "--infra-command", "sleep 1000")
    pod("run", "-d", "--pod", name, "--name", f"{name}-1", IMAGE, "sleep", "1000")
    namespaces = "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts"
    first = pod("exec", f"{name}-1", "sh", "-c", namespaces)
    assert pod("run", "--rm", "--pod", name, IMAGE, "sh", "-c", namespaces) == first
    pod("pod", "pause", name)
    assert inspect(pod, f"{name}-1")["State"]["Status"] == "paused"
    pod("pod", "unpause", name)
    pod("pod", "stop", "-t", "0", name)
    assert inspect(pod, f"{name}-1")["State"]["ExitCode"] == 137
