"""kill -9 of the daemon at any moment: containers go on, and the next daemon knows them."""

import random
import re
import subprocess
import time
import urllib.request

from conftest import PROGRAMS, clear, import_base
from harness import IMAGE, Client, Daemon, alive, free_port, wait_until


def numbers(text):
    return [int(line) for line in text.split()]


def test_logs_grow_while_the_daemon_is_dead(daemon, clipper, name):
    clipper("run", "-d", "--name", name, IMAGE, "sh", "-c", "i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); usleep 5000; done; sleep 1000")
    pid = clipper.inspect(name)["State"]["Pid"]
    time.sleep(0.3)
    for _ in range(3):
        daemon.kill()
        assert alive(pid)
        time.sleep(0.3)
        daemon.start()
        time.sleep(0.1)
    assert alive(pid)
    state = clipper.inspect(name)["State"]
    assert (state["Running"], state["Pid"]) == (True, pid)
    wait_until(lambda: clipper("logs", "--tail", "1", name) == "299", what="the last line")
    assert numbers(clipper("logs", name)) == list(range(300))


def test_ports_answer_while_the_daemon_is_dead(daemon, clipper, name):
    port = free_port()
    clipper("run", "-d", "--name", name, "-p", f"{port}:80", IMAGE, "sh", "-c", "mkdir /www; echo page >/www/index.html; exec httpd -f -p 80 -h /www")

    def page():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).read() == b"page\n"
        except OSError:
            return False

    wait_until(page, what="the page")
    before = clipper.inspect(name)
    daemon.kill()
    assert page()
    daemon.start()
    assert page()
    after = clipper.inspect(name)
    assert after["NetworkSettings"] == before["NetworkSettings"]
    assert f":{port}->80/tcp" in clipper("ps", "--filter", f"name={name}", "--format", "{{.Ports}}")
    # The next container gets an address of its own, and the port is still taken.
    other = clipper("run", "-d", IMAGE, "sleep", "1000")
    assert clipper.inspect(other)["NetworkSettings"]["IPAddress"] != after["NetworkSettings"]["IPAddress"]
    refused = clipper.run("run", "-d", "-p", f"{port}:81", IMAGE, "sleep", "1000")
    assert refused.code == 125 and "allocated" in refused.err, refused
    clipper("rm", "-f", name)
    assert not page()


def test_exit_code_of_what_ended_meanwhile(daemon, clipper, name):
    clipper("run", "-d", "--name", name, IMAGE, "sh", "-c", "sleep 0.5; exit 42")
    clipper("run", "-d", "--rm", "--name", name + "-rm", IMAGE, "sleep", "0.5")
    daemon.kill()
    time.sleep(0.8)
    daemon.start()
    assert clipper("wait", name) == "42"
    state = clipper.inspect(name)["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 42)
    assert state["FinishedAt"] > state["StartedAt"]
    wait_until(lambda: name + "-rm" not in clipper("ps", "-a", "--format", "{{.Names}}"), what="removal of the --rm container")


def test_exec_attach_stop_and_start_after_a_crash(daemon, clipper, name):
    clipper("run", "-d", "--name", name, "-v", name + ":/data", IMAGE, "sh", "-c", "trap 'exit 5' TERM; echo x >>/data/f; while :; do sleep 0.05; done")
    daemon.crash()
    assert clipper("exec", name, "cat", "/data/f") == "x"
    clipper("pause", name)
    daemon.crash()
    assert clipper.inspect(name)["State"]["Paused"]
    clipper("unpause", name)
    clipper("stop", name)
    assert clipper.inspect(name)["State"]["ExitCode"] == 5
    clipper("start", name)
    assert clipper("exec", name, "cat", "/data/f") == "x\nx"


def test_waiting_and_following_clients_end_when_the_daemon_dies(daemon, clipper, sleeper):
    waiting = clipper.spawn("wait", sleeper)
    following = clipper.spawn("logs", "-f", sleeper)
    time.sleep(0.3)
    daemon.kill()
    for process in (waiting, following):
        process.communicate(timeout=5)
        assert process.returncode != 0 or process is following


def test_restart_policy_after_a_crash(daemon, clipper, name):
    clipper("run", "-d", "--name", name, "--restart", "always", IMAGE, "sleep", "0.6")
    first = clipper.inspect(name)["State"]["Pid"]
    daemon.kill()
    wait_until(lambda: not alive(first))
    daemon.start()
    wait_until(lambda: clipper.inspect(name)["State"]["Pid"] not in (0, first), what="the restart")


def test_sigterm_leaves_containers_running(daemon, clipper, sleeper):
    pid = clipper.inspect(sleeper)["State"]["Pid"]
    assert daemon.stop() == 0
    assert alive(pid)
    daemon.start()
    assert clipper.inspect(sleeper)["State"]["Pid"] == pid


def test_kill_at_random_moments_leaves_nothing_half_made(daemon, clipper, name):
    """Each round begins create/start/rm of several containers and kills the daemon in the midst."""
    source = random.Random(2026)
    for round in range(16):
        clients = [clipper.spawn("run", "-d", "--name", f"{name}-{round}-{i}", "-v", f"/scratch{i}", IMAGE, "sleep", "1000") for i in range(2)]
        clients.append(clipper.spawn("run", "--rm", IMAGE, "true"))
        if round:
            clients.append(clipper.spawn("rm", "-f", f"{name}-{round - 1}-0"))
        time.sleep(source.uniform(0, 0.15))
        daemon.kill()
        for client in clients:
            client.communicate(timeout=10)
        daemon.start()
        for container in daemon.request("GET", "/containers/json?all=1")[1]:
            status, detail = daemon.request("GET", f"/containers/{container['Id']}/json")
            assert status == 200, (round, container, detail)
            state = detail["State"]
            assert state["Status"] in ("created", "running", "exited"), state
            assert state["Running"] == (state["Pid"] != 0 and alive(state["Pid"])), state
            place = detail["NetworkSettings"]["Networks"]["bridge"]
            if state["Running"] and detail["Name"].startswith(f"/{name}"):
                inside = subprocess.run(["nsenter", "-t", str(state["Pid"]), "-n", "ip", "-4", "-o", "addr", "show", "eth0"], capture_output=True, text=True)
                assert place["IPAddress"] and f" {place['IPAddress']}/" in inside.stdout, (place, inside)
            elif not state["Running"]:
                assert place["IPAddress"] == "", place
    assert daemon.shims(), "no container outlived its daemon: the rounds showed nothing"
    # The daemon still does its work, and everything can be removed.
    assert clipper("run", "--rm", IMAGE, "echo", "well") == "well"
    for container in daemon.request("GET", "/containers/json?all=1")[1]:
        status, answer = daemon.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        assert status == 204, answer
    wait_until(lambda: not daemon.shims(), what="the end of all supervisors")
    assert daemon.request("GET", "/containers/json?all=1")[1] == []
    data = daemon.scratch / "data" / "containers"
    wait_until(lambda: [p.name for p in data.rglob("*")] in ([], [".trash"]), what="removal of the containers' directories")
    assert not [p for p in (daemon.scratch / "exec").rglob("*") if re.fullmatch("[0-9a-f]{64}", p.name)]


def test_two_daemons_side_by_side(daemon, clipper, sleeper):
    """Each has its own bridge and subnet; the end of one leaves the other's ports alone."""
    other = Daemon(daemon.prefix + "b")
    try:
        other.start()
        import_base(other)
        second = Client("clipper", PROGRAMS["clipper"], other)
        assert second("ps", "-aq") == ""
        port = free_port()
        clipper("run", "-d", "--name", sleeper + "-web", "-p", f"{port}:80", IMAGE, "httpd", "-f", "-p", "80", "-h", "/etc")
        second("run", "-d", "--name", "twin", "-p", f"{free_port()}:80", IMAGE, "sleep", "1000")
        subnets = [c.inspect("bridge")["IPAM"]["Config"][0]["Subnet"] for c in (clipper, second)]
        assert subnets[0] != subnets[1]
        clear(other)
        assert b"root:" in urllib.request.urlopen(f"http://127.0.0.1:{port}/passwd", timeout=3).read()
        assert clipper.inspect(sleeper)["State"]["Running"]
    finally:
        if other.running():
            clear(other)
        other.remove()
