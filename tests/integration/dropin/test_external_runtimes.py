"""clipperd in turn runs containers through runc and crun (`--add-runtime`, `runtimes` of daemon.json), beside its own."""

import json
import os
import shutil
import signal

import pytest

from conftest import PROGRAMS, serving
from harness import IMAGE, Client, Daemon, alive, wait_until

LOOP = "trap 'exit 9' TERM; trap 'echo usr1' USR1; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done"
# crun 1.8 refuses hybrid control groups with a cgroup2 mount that it does not expect: it sees none.
BEFORE = ["unshare", "--mount", "--net", "sh", "-c",
          'mountpoint -q /sys/fs/cgroup/unified && umount /sys/fs/cgroup/unified; ip link set lo up; exec "$0" "$@"']


@pytest.fixture(scope="module")
def engine():
    daemon = Daemon(f"clptext{os.getpid()}", ["--add-runtime", f"runc={shutil.which('runc')}"], BEFORE)
    (daemon.scratch / "daemon.json").write_text(json.dumps({"runtimes": {"crun": {"path": shutil.which("crun")}}}))
    daemon.options += ["--config-file", str(daemon.scratch / "daemon.json")]
    with serving(daemon):
        yield daemon


@pytest.fixture(params=["clipper", "runc", "crun"])
def runtime(request):
    return request.param


@pytest.fixture
def clipper(engine, runtime):
    client = Client("clipper", PROGRAMS["clipper"], engine)
    if not engine.running():
        engine.start()
    yield client
    for container in client("ps", "-aq").split():
        client("rm", "-fv", container)
    # The runtime has forgotten them all, and their control groups are gone.
    state = engine.scratch / "exec" / "runtime" / runtime
    assert [entry.name for entry in state.glob("*") if entry.name != "seccomp"] == []
    assert [c for c in engine.cgroups() if c.name != engine.cgroup_parent[1:]] == []
    wait_until(lambda: not engine.shims(), 10, "the end of the supervisors")


@pytest.fixture
def run(clipper, runtime):
    return lambda *arguments, **options: clipper.run("run", "--rm", "--runtime", runtime, *arguments, **options)


@pytest.fixture
def running(clipper, runtime, name):
    clipper("run", "-d", "--name", name, "--runtime", runtime, "--memory", "64m", IMAGE, "sh", "-c", LOOP)
    wait_until(lambda: "line 1" in clipper("logs", name), 10, "the container's first line")
    return name


def test_streams_and_exit_code(run):
    result = run(IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.code, result.out, result.err) == (7, "out\n", "err\n")
    assert run("-i", IMAGE, "cat", input=b"given\n").out == "given\n"


@pytest.mark.parametrize("program, code", [("/nothere", 127), ("nothere", 127), ("/etc", 126)])
def test_program_that_cannot_run(run, program, code):
    result = run(IMAGE, program)
    assert result.code == code, result


def test_named_in_inspect_and_info(engine, clipper, runtime, running):
    assert clipper.inspect(running)["HostConfig"]["Runtime"] == runtime
    assert runtime in engine.request("GET", "/info")[1]["Runtimes"]


def test_unknown_runtime(clipper):
    result = clipper.run("run", "--rm", "--runtime", "youki", IMAGE, "true")
    assert result.code == 125 and "unknown or invalid runtime name: youki" in result.err


def test_limits(run):
    result = run("--memory", "32m", "--cpus", "0.5", "--pids-limit", "44", IMAGE, "sh", "-c",
                 "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max")
    assert result.out.split() == ["33554432", "50000", "44"], result


def test_out_of_memory(clipper, runtime, name):
    ended = clipper.run("run", "--name", name, "--runtime", runtime, "--memory", "16m", "--memory-swap", "16m", IMAGE, "tail", "/dev/zero")
    assert ended.code == 137
    state = clipper.inspect(name)["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)


def test_exec(clipper, running):
    assert clipper("exec", "-u", "33", "-w", "/tmp", "-e", "A=b", running, "sh", "-c", 'id -u; pwd; echo "$A"') == "33\n/tmp\nb"
    assert clipper("exec", "-i", running, "cat", input=b"given") == "given"
    assert clipper.run("exec", running, "sh", "-c", "exit 3").code == 3
    assert clipper.run("exec", running, "/nothere").code == 127
    assert clipper.run("exec", running, "/etc").code == 126
    own = clipper("exec", running, "grep", ":memory:", "/proc/self/cgroup")
    assert own == clipper("exec", running, "grep", ":memory:", "/proc/1/cgroup")


def test_pause(clipper, running):
    clipper("pause", running)
    lines = clipper("logs", running)
    assert clipper.inspect(running)["State"]["Paused"] and clipper("logs", running) == lines
    clipper("unpause", running)
    wait_until(lambda: clipper("logs", running) != lines, 10, "more lines")


def test_signals_and_end(clipper, running):
    clipper("kill", "-s", "USR1", running)
    wait_until(lambda: "usr1" in clipper("logs", running), 10, "the signal's answer")
    clipper("stop", "-t", "20", running)
    state = clipper.inspect(running)["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 9)
    clipper("start", running)
    clipper("restart", "-t", "0", running)
    clipper("kill", running)
    assert clipper("wait", running) == "137"


def test_terminal(clipper, runtime, running, terminal):
    shell = terminal(clipper, "run", "--rm", "-it", "--runtime", runtime, IMAGE, "sh", rows=31, columns=97)
    shell.type("until stty size | grep '31 97'; do sleep 0.1; done; tty; exit 4\n")
    shell.expect("/dev/pts/0")
    assert shell.wait() == 4
    shell = terminal(clipper, "exec", "-it", running, "sh")
    shell.type("tty; echo do''ne; exit 5\n")
    assert "/dev/pts/" in shell.expect("done")
    assert shell.wait() == 5


def test_network(clipper, run):
    result = run(IMAGE, "sh", "-c", "ip -4 addr show eth0; ip route")
    assert "inet 172." in result.out and "default via" in result.out, result
    assert "eth0" not in run("--network", "none", IMAGE, "ip", "addr").out


def test_survives_the_daemon(engine, clipper, running):
    """kill -9 of clipperd: the container goes on, its log is complete, and the next daemon has it in hand."""
    pid = clipper.inspect(running)["State"]["Pid"]
    engine.crash()
    assert alive(pid) and clipper.inspect(running)["State"]["Pid"] == pid
    assert clipper.run("exec", running, "sh", "-c", "exit 3").code == 3
    count = len(clipper("logs", running).splitlines())
    wait_until(lambda: len(clipper("logs", running).splitlines()) > count, 10, "more lines")
    clipper("stop", "-t", "20", running)
    assert clipper.inspect(running)["State"]["ExitCode"] == 9
    lines = clipper("logs", running).splitlines()
    assert lines == [f"line {n + 1}" for n in range(len(lines))]


def test_ends_while_there_is_no_daemon(engine, clipper, running):
    pid = clipper.inspect(running)["State"]["Pid"]
    engine.kill()
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not alive(pid), 10, "the container's end")
    engine.start()
    wait_until(lambda: clipper.inspect(running)["State"]["Status"] == "exited", 10, "exited")
    assert clipper.inspect(running)["State"]["ExitCode"] == 9


@pytest.mark.parametrize("daemon_runs", [True, False])
def test_lost_supervisor(engine, clipper, running, daemon_runs):
    """The container goes with its supervisor; the runtime is told so that the container can start again."""
    pid = clipper.inspect(running)["State"]["Pid"]
    [shim] = engine.shims()
    if not daemon_runs:
        engine.kill()
    os.kill(shim, signal.SIGKILL)
    if not daemon_runs:
        engine.start()
    wait_until(lambda: not alive(pid), 10, "the container's end")
    wait_until(lambda: clipper.inspect(running)["State"]["Status"] == "exited", 10, "exited")
    clipper("start", running)
    assert clipper.run("exec", running, "sh", "-c", "exit 3").code == 3


def test_a_runtime_that_hangs(tmp_path):
    """A runtime that does not come back from a command is killed, with what it had started, and the error says so."""
    program = tmp_path / "hangs"
    program.write_text(f"""#!/bin/sh
for word; do
    if [ "$word" = create ]; then sleep 1000 & echo $! >{tmp_path}/pid; wait; fi
done
exec {shutil.which("runc")} "$@"
""")
    program.chmod(0o755)
    daemon = Daemon(f"clpthang{os.getpid()}", ["--add-runtime", f"hangs={program}", "--runtime-timeout", "1"])
    with serving(daemon):
        client = Client("clipper", PROGRAMS["clipper"], daemon)
        result = client.run("run", "--name", "hung", "--runtime", "hangs", IMAGE, "true")
        assert result.code == 125 and f"{program} create did not end within 1 second and was killed" in result.err, result
        wait_until(lambda: not alive(int((tmp_path / "pid").read_text())), 10, "the end of what the runtime had started")
        assert client.inspect("hung")["State"]["Status"] == "created"
        client("rm", "hung")
        wait_until(lambda: not daemon.shims(), 10, "the end of the supervisor")
        assert client("run", "--rm", IMAGE, "echo", "others run") == "others run"
