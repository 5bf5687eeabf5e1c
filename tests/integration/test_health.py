"""Health checks: what they run, when they count, what is kept of them."""

import json
import pathlib
import time

import pytest

from harness import IMAGE, alive, wait_until


def health(client, name):
    return client.inspect(name)["State"].get("Health")


def start(client, name, command, *options, main=("sleep", "1000")):
    client("run", "-d", "--name", name, "--health-cmd", command, "--health-interval", "100ms", *options, IMAGE, *main)


def test_healthy_and_what_is_kept(cli, name):
    start(cli, name, "echo line; echo error >&2")
    wait_until(lambda: len(health(cli, name)["Log"]) == 5, what="five results")
    time.sleep(0.5)
    found = health(cli, name)
    assert (found["Status"], found["FailingStreak"], len(found["Log"])) == ("healthy", 0, 5)
    for entry in found["Log"]:
        assert set(entry) == {"Start", "End", "ExitCode", "Output"} and entry["ExitCode"] == 0 and entry["Start"] < entry["End"]
        assert sorted(entry["Output"].splitlines()) == ["error", "line"]
    assert "(healthy)" in cli("ps", "--filter", f"name={name}", "--format", "{{.Status}}")
    assert cli("ps", "-q", "--filter", f"name={name}", "--filter", "health=healthy")


def test_output_is_cut(clipper, name):
    start(clipper, name, "head -c 100000 /dev/zero | tr '\\0' x")
    output = wait_until(lambda: health(clipper, name)["Log"], what="a result")[0]["Output"]
    assert output == "x" * 4096 + "..."


def test_retries_and_recovery(clipper, name):
    start(clipper, name, "test -e /ok", "--health-retries", "3")
    streak = wait_until(lambda: health(clipper, name)["FailingStreak"], what="a failure")
    assert streak >= 1
    wait_until(lambda: health(clipper, name)["Status"] == "unhealthy", what="ill health")
    assert health(clipper, name)["FailingStreak"] >= 3
    clipper("exec", name, "touch", "/ok")
    wait_until(lambda: health(clipper, name)["Status"] == "healthy", what="recovery")
    assert health(clipper, name)["FailingStreak"] == 0


def test_failures_of_the_start_period_do_not_count(clipper, name):
    start(clipper, name, "test -e /ok", "--health-retries", "1", "--health-start-period", "60s", "--health-start-interval", "100ms")
    wait_until(lambda: len(health(clipper, name)["Log"]) == 5, what="five results")
    assert {entry["ExitCode"] for entry in health(clipper, name)["Log"]} == {1}
    assert (health(clipper, name)["Status"], health(clipper, name)["FailingStreak"]) == ("starting", 0)
    clipper("exec", name, "touch", "/ok")
    wait_until(lambda: health(clipper, name)["Status"] == "healthy", what="health")
    # Once healthy, the period is over for it.
    clipper("exec", name, "rm", "/ok")
    wait_until(lambda: health(clipper, name)["Status"] == "unhealthy", what="ill health")


def test_a_check_that_takes_too_long_is_killed(clipper, name):
    start(clipper, name, "echo begun; exec sleep 77", "--health-timeout", "1500ms", "--health-retries", "1")
    entry = wait_until(lambda: health(clipper, name)["Log"], what="a result")[0]
    assert (entry["ExitCode"], entry["Output"]) == (-1, "Health check exceeded timeout (1.5s): begun\n")
    assert health(clipper, name)["Status"] == "unhealthy"
    # One may run now; none of those that were given up.
    assert clipper("top", name, "-eo", "pid,args").count("sleep 77") <= 1


def test_a_check_that_cannot_run_is_a_failure(sdk, clipper, name):
    sdk.containers.run(IMAGE, ["sleep", "1000"], detach=True, name=name,
                       healthcheck={"test": ["CMD", "/not/there"], "interval": 10**8, "retries": 1})
    wait_until(lambda: health(clipper, name)["Status"] == "unhealthy", what="ill health")
    entry = health(clipper, name)["Log"][0]
    assert entry["ExitCode"] != 0 and "/not/there" in entry["Output"]


def test_forms(sdk, clipper, name):
    def outcome(number, test):
        container = sdk.containers.create(IMAGE, ["sleep", "1000"], name=f"{name}-{number}", environment={"A": "b"}, user="nobody",
                                          healthcheck={"test": test, "interval": 10**8})
        container.start()
        return wait_until(lambda: health(clipper, container.name)["Log"], what="a result")[0]["Output"]

    assert outcome(1, ["CMD", "echo", "$A", "x y"]) == "$A x y\n"
    assert outcome(2, ["CMD-SHELL", "echo $A $(id -u)"]) == "b 65534\n"
    assert outcome(3, "echo $A | tr b c") == "c\n"
    clipper("build", "-t", f"{name}-image", "-", input=f"FROM {IMAGE}\nHEALTHCHECK --interval=100ms CMD echo of image\n".encode())
    clipper("run", "-d", "--name", f"{name}-image", f"{name}-image", "sleep", "1000")
    assert wait_until(lambda: health(clipper, f"{name}-image")["Log"], what="a result")[0]["Output"] == "of image\n"
    for number, options in enumerate([["--no-healthcheck"], ["--health-cmd", "none"]]):
        clipper("run", "-d", "--name", f"{name}-n{number}", *options, f"{name}-image", "sleep", "1000")
    assert health(clipper, f"{name}-n0") is None


def test_a_stopped_container_is_not_healthy(clipper, name):
    """As in Docker: the last results stay, the status is that of one whose checks have ended."""
    start(clipper, name, "true")
    wait_until(lambda: health(clipper, name)["Status"] == "healthy", what="health")
    clipper("stop", "-t", "0", name)
    assert health(clipper, name)["Status"] == "unhealthy" and health(clipper, name)["Log"]
    assert "healthy" not in clipper("ps", "-a", "--filter", f"name={name}", "--format", "{{.Status}}")
    clipper("start", name)
    wait_until(lambda: health(clipper, name)["Status"] == "healthy", what="health again")


def test_a_supervisor_answers_however_a_pause_meets_a_check(daemon, clipper, name):
    """A process that is frozen while it is being put into the container would keep the supervisor waiting."""
    clipper("run", "-dt", "--name", name, "--network", "none", "--health-cmd", "true", "--health-interval", "2ms", IMAGE, "sleep", "1000")
    for attempt in range(30):
        time.sleep(attempt * 0.0013)
        assert daemon.request("POST", f"/containers/{name}/pause")[0] == 204
        time.sleep(0.02)
        assert daemon.request("POST", f"/containers/{name}/resize?h=10&w={20 + attempt}")[0] == 200
        assert daemon.request("POST", f"/containers/{name}/unpause")[0] == 204
    assert health(clipper, name)["Status"] == "healthy" and {e["ExitCode"] for e in health(clipper, name)["Log"]} == {0}


def crash_and_see(daemon, *names):
    """Kills the daemon, and answers what its successor says first of all of the containers' health."""
    daemon.crash()
    return [daemon.request("GET", f"/containers/{name}/json")[1]["State"].get("Health") for name in names]


def test_what_was_found_outlives_the_daemon(daemon, clipper, name):
    """One is well, one is ill, one has failed once of ten times, one is in its start period: they all stay what they are."""
    options = {"well": [], "ill": ["--health-retries", "2"], "failing": ["--health-retries", "1000"],
               "early": ["--health-start-period", "1h", "--health-start-interval", "100ms"]}
    for kind, more in options.items():
        start(clipper, f"{name}-{kind}", "echo said; test -e /well", *more, main=("sh", "-c", "sleep 1000"))
        if kind == "well":
            clipper("exec", f"{name}-{kind}", "touch", "/well")
    names = [f"{name}-{kind}" for kind in options]
    wait_until(lambda: [health(clipper, n)["Status"] for n in names] == ["healthy", "unhealthy", "starting", "starting"], what="all kinds")
    wait_until(lambda: all(len(health(clipper, n)["Log"]) == 5 for n in names), what="full logs")
    for n in names:
        clipper("pause", n)  # No check comes between the two looks.
    time.sleep(0.3)
    before = [health(clipper, n) for n in names]
    begin = time.time()
    assert crash_and_see(daemon, *names) == before and before[2]["FailingStreak"] > 0
    for n in names:
        clipper("unpause", n)
    last = [found["Log"][-1] for found in before]
    for n, found, newest in zip(names, before, last):
        wait_until(lambda: health(clipper, n)["Log"][-1] != newest, what="checks that go on")
        assert health(clipper, n)["Status"] == found["Status"]
    assert health(clipper, names[2])["FailingStreak"] > before[2]["FailingStreak"]
    changes = daemon.request("GET", f"/events?since={begin}&until={time.time()}")[1]
    assert b"health_status" not in (changes if isinstance(changes, bytes) else json.dumps(changes).encode())


def test_health_of_a_run_that_is_over_stays_to_be_read(daemon, clipper, name):
    """Ended before the crash, ended while no daemon ran, and started again: what an earlier run had does not vouch for the next one."""
    for kind, command in [("stopped", "sleep 1000"), ("away", "while ! test -e /end; do sleep 0.1; done")]:
        start(clipper, f"{name}-{kind}", "echo said", main=("sh", "-c", command))
        wait_until(lambda: health(clipper, f"{name}-{kind}")["Status"] == "healthy", what="health")
    clipper("stop", "-t", "0", f"{name}-stopped")
    pid = clipper.inspect(f"{name}-away")["State"]["Pid"]
    daemon.kill()
    pathlib.Path(f"/proc/{pid}/root/end").touch()
    wait_until(lambda: not alive(pid), what="the end")
    daemon.start()
    for kind in ["stopped", "away"]:
        found = health(clipper, f"{name}-{kind}")
        assert found["Status"] == "unhealthy" and found["Log"][-1]["Output"] == "said\n"
    clipper("start", f"{name}-stopped")
    assert health(clipper, f"{name}-stopped")["Log"]
    wait_until(lambda: health(clipper, f"{name}-stopped")["Status"] == "healthy", what="health of the next run")


def test_a_paused_container_is_not_checked(clipper, name):
    start(clipper, name, "true")
    wait_until(lambda: health(clipper, name)["Status"] == "healthy", what="health")
    clipper("pause", name)
    time.sleep(0.3)
    before = health(clipper, name)["Log"]
    time.sleep(0.5)
    assert health(clipper, name)["Log"] == before and health(clipper, name)["Status"] == "healthy"
    clipper("unpause", name)
    wait_until(lambda: health(clipper, name)["Log"] != before, what="another check")


def test_fifty_checked_containers_work_beside_others(daemon, clipper, name):
    """Fifty containers, ten checks a second each wanted: all become healthy, and another starts meanwhile."""
    for number in range(50):
        start(clipper, f"{name}-{number}", "true", "--network", "none")
    threads_before = daemon.request("GET", "/info")[1]["NGoroutines"]
    assert clipper("run", "--rm", "--network", "none", IMAGE, "echo", "not delayed") == "not delayed"
    wait_until(lambda: len(clipper("ps", "-q", "--filter", "health=healthy").split()) >= 50, 60, "fifty healthy containers")
    assert daemon.request("GET", "/info")[1]["NGoroutines"] <= threads_before + 4, "no thread waits for a check"
