"""containerd's own client with clipper-runtime in runc's place (`ctr run --runc-binary`), beside runc."""

import pytest

from dropin.engines import Containerd, TerminalTool
from harness import wait_until

IMAGE = Containerd.IMAGE
LOOP = "trap 'exit 9' TERM; while :; do sleep 0.05; done"


@pytest.fixture
def run(ctr, runtime_path, name):
    """`ctr run --rm`, whatever its end."""
    return lambda *options, command: ctr.run("run", "--rm", "--runc-binary", runtime_path, *options, IMAGE, name, *command)


def state(ctr, name):
    """The task's state; None when there is no such task."""
    states = {line.split()[0]: line.split()[2] for line in ctr("task", "ls").splitlines()[1:]}
    return states.get(name)


@pytest.fixture
def running(ctr, runtime_path, name):
    ctr("run", "-d", "--runc-binary", runtime_path, "--memory-limit", "33554432", "--cpu-quota", "50000", "--cpu-period", "100000",
        IMAGE, name, "sh", "-c", LOOP)
    return name


def test_streams_and_exit_code(run):
    result = run(command=["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (result.code, result.out) == (7, "out\n") and "err\n" in result.err


def test_program_that_cannot_run(run):
    result = run(command=["/nothere"])
    assert result.code == 1 and 'exec: "/nothere": stat /nothere: no such file or directory' in result.err


def test_life(ctr, running, host):
    assert state(ctr, running) == "RUNNING"
    result = ctr.run("task", "exec", "--exec-id", "one", running, "sh", "-c", "grep :memory: /proc/self/cgroup; exit 3")
    assert result.code == 3 and f":memory:/{host.prefix}ctr/{running}" in result.out
    ctr("task", "pause", running)
    assert state(ctr, running) == "PAUSED"
    ctr("task", "resume", running)
    assert state(ctr, running) == "RUNNING"
    assert len(ctr("task", "ps", running).splitlines()) >= 2
    metrics = dict(line.split(None, 1) for line in ctr("task", "metrics", running).splitlines()[2:] if line.strip())
    assert metrics["memory.limit_in_bytes"].strip() == "33554432" and int(metrics["memory.usage_in_bytes"]) > 0
    ctr("task", "kill", "-s", "TERM", running)
    wait_until(lambda: state(ctr, running) == "STOPPED", 10, "the end after SIGTERM")
    assert "non-zero exit code 9" in ctr.run("task", "delete", running).err
    ctr("container", "rm", running)


def test_killed(ctr, running):
    ctr("task", "kill", "-s", "KILL", running)
    wait_until(lambda: state(ctr, running) == "STOPPED", 10, "the end after SIGKILL")
    assert "non-zero exit code 137" in ctr.run("task", "delete", running).err


def test_removed_by_force(ctr, running):
    ctr.run("task", "rm", "-f", running)
    assert state(ctr, running) is None


def test_terminal(ctr, runtime_path, name, terminal):
    shell = terminal(TerminalTool(ctr), *TerminalTool(ctr).first, "run", "--rm", "-t", "--runc-binary", runtime_path, IMAGE, name, "sh",
                     rows=33, columns=91)
    shell.type("until stty size | grep '33 91'; do sleep 0.1; done; tty; exit 4\n")
    shell.expect("/dev/pts/0")
    assert shell.wait() == 4


def test_user_namespace(run):
    result = run("--uidmap", "0:100000:1000", "--gidmap", "0:100000:1000", command=["cat", "/proc/self/uid_map"])
    assert result.out.split() == ["0", "100000", "1000"], result


def test_seccomp_and_capabilities(run):
    lines = run("--seccomp", "--cap-drop", "CAP_CHOWN", command=["grep", "-E", "Seccomp:|CapEff|NoNewPrivs", "/proc/self/status"]).out
    assert "Seccomp:\t2" in lines and "NoNewPrivs:\t1" in lines
    effective = int(next(line for line in lines.splitlines() if "CapEff" in line).split()[1], 16)
    assert effective & 1 == 0 and effective & 2


def test_read_only_and_mounts(run, host):
    (host.scratch / "ctr").mkdir(exist_ok=True)
    (host.scratch / "ctr" / "file").write_text("theirs\n")
    result = run("--read-only", "--cwd", "/tmp", "--env", "A=b", "--mount", f"type=bind,src={host.scratch}/ctr,dst=/w,options=rbind:ro",
                 command=["sh", "-c", 'pwd; echo "$A"; cat /w/file; touch /w/x /x'])
    # The mount point is not in the image and the root is read-only from the start to ctr; made by the runtime all the same.
    assert result.out.split() == ["/tmp", "b", "theirs"] and result.err.count("Read-only file system") == 2, result


def test_joined_namespaces(ctr, runtime_path, running, name):
    pid = next(line.split()[1] for line in ctr("task", "ls").splitlines() if line.startswith(running + " "))
    own = ctr("task", "exec", "--exec-id", "ns", running, "readlink", "/proc/self/ns/net")
    assert ctr("run", "--rm", "--runc-binary", runtime_path, "--with-ns", f"network:/proc/{pid}/ns/net", IMAGE, f"{name}-2",
               "readlink", "/proc/self/ns/net") == own
