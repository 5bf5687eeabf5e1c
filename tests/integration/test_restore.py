"""Containers outlive the daemon, and a host's reboot is answered by their restart policies."""

import os
import pathlib
import signal
import shutil
import time

import pytest

from conftest import PROGRAMS, clear, import_base
from harness import IMAGE, Client, Daemon, alive, free_port, wait_until
from test_networks import SERVE, page


@pytest.fixture
def own(request):
    """A daemon of this test's own with the image, and a client of it."""
    daemon = Daemon(f"clpr{os.getpid()}{len(request.node.name)}")
    daemon.start()
    import_base(daemon)
    yield daemon, Client("clipper", PROGRAMS["clipper"], daemon)
    clear(daemon)
    daemon.remove()


def state(clipper, name):
    return clipper.inspect(name)["State"]


def reboot(daemon):
    """What a power cut does to a daemon: every process gone at once, and all that is kept in memory."""
    processes = [c["State"]["Pid"] for c in (daemon.request("GET", f"/containers/{c['Id']}/json")[1]
                                             for c in daemon.request("GET", "/containers/json")[1])]
    shims = daemon.shims()
    daemon.kill()
    for pid in [*shims, *processes]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_until(lambda: not any(alive(pid) for pid in [*shims, *processes]), what="the end of all")
    for cgroup in daemon.cgroups():
        wait_until(lambda: cgroup.rmdir() is None, what="an empty cgroup")
    shutil.rmtree(daemon.scratch / "exec")
    daemon.start()


def test_after_a_reboot_policies_decide(own):
    daemon, clipper = own
    for name, options in {
            "always": ["--restart", "always"], "unless": ["--restart", "unless-stopped"], "failure": ["--restart", "on-failure"],
            "none": [], "once": ["--rm"], "always-stopped": ["--restart", "always"], "unless-stopped": ["--restart", "unless-stopped"]}.items():
        clipper("run", "-d", "--name", name, *options, "-v", f"v-{name}:/data", IMAGE, "sh", "-c", "date >>/data/starts; exec sleep 1000")
    clipper("create", "--name", "created", "--restart", "always", IMAGE, "sleep", "1000")
    clipper("stop", "-t", "0", "always-stopped", "unless-stopped")
    before = state(clipper, "none")
    reboot(daemon)
    for name in ["always", "unless", "always-stopped", "failure"]:
        # A container that waits for its restart counts as running, as in Docker; a process it has only after that.
        wait_until(lambda: state(clipper, name)["Pid"], what=f"the start of {name}")
        wait_until(lambda: clipper("exec", name, "wc", "-l", "/data/starts").split()[0] == "2", what=f"a second start of {name}")
    after = state(clipper, "none")
    assert (after["Status"], after["ExitCode"], after["Error"], after["OOMKilled"]) == ("exited", 255, "", False)
    assert after["StartedAt"] == before["StartedAt"] < after["FinishedAt"]
    assert clipper("ps", "-a", "--filter", "name=^none$", "--format", "{{.Status}}").startswith("Exited (255) ")
    assert state(clipper, "unless-stopped")["Status"] == "exited" and state(clipper, "created")["Status"] == "created"
    wait_until(lambda: "once" not in clipper("ps", "-a", "--format", "{{.Names}}").split(), what="the removal of the --rm container")
    clipper("start", "none")
    wait_until(lambda: clipper("exec", "none", "wc", "-l", "/data/starts").split()[0] == "2", what="a second start")


def test_what_ended_without_a_daemon_is_restarted_by_its_policy(own):
    """As dockerd with live-restore: the end is taken in at the next start, and the policy decides then."""
    daemon, clipper = own
    cases = {"on-failure": "3", "on-failure:2": "4", "always": "0", "unless-stopped": "7", "no": "5"}
    names = {policy: f"c-{policy.replace(':', '-')}" for policy in cases}
    # The first run ends when the daemon has.
    script = "echo run >>/data/runs; [ $(wc -l </data/runs) -gt 1 ] && exec sleep 1000; until [ -e /data/go ]; do sleep 0.05; done; exit {}"
    for policy, code in cases.items():
        clipper("run", "-d", "--name", names[policy], "--restart", policy, "-v", f"{names[policy]}:/data", IMAGE, "sh", "-c", script.format(code))
    clipper("run", "-d", "--name", "content", "--restart", "on-failure", "-v", "content:/data", IMAGE, "sh", "-c", script.format(0))
    processes = [state(clipper, name)["Pid"] for name in [*names.values(), "content"]]
    daemon.kill()
    for name in [*names.values(), "content"]:
        (daemon.scratch / "data/volumes" / name / "_data/go").touch()
    wait_until(lambda: not any(alive(pid) for pid in processes), what="the end of all")
    daemon.start()
    for policy, name in names.items():
        if policy == "no":
            continue
        wait_until(lambda: state(clipper, name)["Pid"], what=f"the restart of {name}")
        assert clipper.inspect(name)["RestartCount"] == 1
    assert (state(clipper, "c-no")["Status"], state(clipper, "c-no")["ExitCode"]) == ("exited", 5)
    assert (state(clipper, "content")["Status"], state(clipper, "content")["ExitCode"]) == ("exited", 0)


def test_an_end_before_the_pause_of_a_restart_is_over(own):
    """The daemon dies while it waits to restart a container: the next one goes on with it."""
    daemon, clipper = own
    clipper("run", "-d", "--name", "flapping", "--restart", "unless-stopped", IMAGE, "sh", "-c", "exit 1")
    wait_until(lambda: clipper.inspect("flapping")["RestartCount"] >= 3, what="some restarts")
    wait_until(lambda: state(clipper, "flapping")["Restarting"], what="a pause")
    daemon.crash()
    count = clipper.inspect("flapping")["RestartCount"]
    wait_until(lambda: clipper.inspect("flapping")["RestartCount"] > count, what="another restart")
    # Whatever it is just at: once stopped it stays so.
    clipper("stop", "flapping")
    time.sleep(1)
    assert state(clipper, "flapping")["Status"] == "exited"
    daemon.crash()
    assert state(clipper, "flapping")["Status"] == "exited"


def test_health_checks_go_on(own):
    daemon, clipper = own
    clipper("run", "-d", "--name", "healthy", "--health-cmd", "test -e /ok", "--health-interval", "200ms", "--health-retries", "1", IMAGE,
            "sh", "-c", "touch /ok; exec sleep 1000")

    def health():
        return state(clipper, "healthy")["Health"]

    wait_until(lambda: health()["Status"] == "healthy", what="health")
    daemon.kill()
    daemon.start()
    wait_until(lambda: health()["Status"] == "healthy" and health()["Log"], what="health after the daemon's return")
    clipper("exec", "healthy", "rm", "/ok")
    wait_until(lambda: health()["Status"] == "unhealthy", what="ill health")


def test_a_supervisor_that_does_not_answer_holds_up_nobody_else(own):
    """Stopped from outside across a restart of the daemon: the others go on, and it is taken up once it goes on."""
    daemon, clipper = own
    port, other_port = free_port(), free_port()
    clipper("run", "-d", "--name", "stuck", "--restart", "always", "-p", f"{port}:80", "-h", "web", IMAGE, *SERVE)
    address = clipper.inspect("stuck")["NetworkSettings"]["IPAddress"]
    stuck, = daemon.shims()
    clipper("run", "-d", "--name", "fine", IMAGE, "sleep", "1000")
    os.kill(stuck, signal.SIGSTOP)
    try:
        daemon.kill()
        start = time.monotonic()
        daemon.start()
        assert time.monotonic() - start < 8
        assert "a container's supervisor does not answer" in daemon.log_tail()
        assert clipper("exec", "fine", "echo", "yes") == "yes"
        shown = state(clipper, "stuck")
        assert shown["Status"] == "running" and shown["Running"] and "does not answer" in shown["Error"]
        listed = dict(line.split("|") for line in clipper("ps", "--format", "{{.Names}}|{{.Status}}").splitlines())
        assert "(supervisor does not answer)" in listed["stuck"] and "not answer" not in listed["fine"]
        # Its address and port are its own still, and the port answers.
        assert page(port) == "web\n"
        clipper("run", "-d", "--name", "later", IMAGE, "sleep", "1000")
        assert clipper.inspect("later")["NetworkSettings"]["IPAddress"] != address
        assert clipper.run("run", "--rm", "-p", f"{port}:80", IMAGE, "true").code == 125
        for command in (["stop", "stuck"], ["kill", "stuck"], ["exec", "stuck", "true"], ["rm", "-f", "stuck"], ["restart", "stuck"],
                        ["pause", "stuck"], ["attach", "--no-stdin", "stuck"], ["network", "disconnect", "bridge", "stuck"]):
            start = time.monotonic()
            result = clipper.run(*command)
            assert result.code != 0 and "supervisor does not answer" in result.err, result
            assert time.monotonic() - start < 5
        assert clipper.run("logs", "stuck").code == 0
        assert set(clipper.inspect("stuck")["NetworkSettings"]["Networks"]) == {"bridge"}
    finally:
        os.kill(stuck, signal.SIGCONT)
    wait_until(lambda: not state(clipper, "stuck")["Error"])
    assert clipper("exec", "stuck", "echo", "yes") == "yes" and page(port) == "web\n"
    clipper("restart", "-t", "0", "stuck")
    assert wait_until(lambda: page(port)) == "web\n"
    # One that never goes on again is found lost, and what it had is given back.
    stuck = max(pid for pid in daemon.shims() if held(pid, port))
    os.kill(stuck, signal.SIGSTOP)
    daemon.crash()
    clipper("update", "--restart", "no", "stuck")
    assert "does not answer" in state(clipper, "stuck")["Error"]
    os.kill(stuck, signal.SIGKILL)
    wait_until(lambda: state(clipper, "stuck")["Status"] == "exited")
    clipper("start", "stuck")
    assert wait_until(lambda: page(port)) == "web\n"


def held(pid, port):
    """Whether a process has a socket that listens on this port."""
    listening = {line.split()[9] for table in ("tcp", "tcp6") for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
                 if line.split()[1].endswith(f":{port:04X}")}
    names = [os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    return any(name.removeprefix("socket:[").removesuffix("]") in listening for name in names)


def test_a_supervisor_that_falls_silent(own):
    """What is asked of it fails after a time, and nothing else waits that long."""
    daemon, clipper = own
    clipper("run", "-d", "--name", "stuck", IMAGE, "sh", "-c", "echo said; trap exit TERM; while :; do sleep 0.1; done")
    stuck, = daemon.shims()
    clipper("run", "-d", "--name", "fine", IMAGE, "sleep", "1000")
    os.kill(stuck, signal.SIGSTOP)
    try:
        start = time.monotonic()
        waiting = [clipper.spawn(*command) for command in (["stop", "stuck"], ["exec", "stuck", "true"], ["attach", "stuck"])]
        for _ in range(20):
            assert clipper("exec", "fine", "echo", "yes") == "yes"
            assert clipper("inspect", "-f", "{{.State.Status}}", "stuck") == "running" and clipper("logs", "stuck") == "said"
        assert time.monotonic() - start < 8
        for process in waiting:
            error = process.communicate(timeout=30)[1].decode()
            assert process.returncode != 0 and "supervisor does not answer" in error, error
        assert 9 < time.monotonic() - start < 20
    finally:
        os.kill(stuck, signal.SIGCONT)
    wait_until(lambda: state(clipper, "stuck")["Status"] == "exited", what="the stop that it was told of")
