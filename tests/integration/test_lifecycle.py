"""From create to remove, with every client."""

import hashlib
import json
import os
import signal
import subprocess
import threading
import time

import docker.errors
import pytest

from harness import IMAGE, UnixConnection, leave_groups, wait_until


def test_run_prints_and_returns_the_exit_code(cli):
    result = cli.run("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.code, result.out, result.err) == (7, "out\n", "err\n")


def test_create_start_wait_remove(cli, name):
    identifier = cli("create", "--name", name, IMAGE, "sh", "-c", "exit 3")
    assert len(identifier) == 64
    assert cli.inspect(name)["State"]["Status"] == "created"
    assert cli("start", name) == name
    assert cli("wait", name) == "3"
    state = cli.inspect(name)["State"]
    assert (state["Status"], state["ExitCode"], state["Running"]) == ("exited", 3, False)
    assert state["StartedAt"] < state["FinishedAt"]
    assert cli("rm", name) == name
    assert cli.run("inspect", name).code == 1


def test_wait_before_the_end(cli, name):
    cli("run", "-d", "--name", name, IMAGE, "sh", "-c", "sleep 0.4; exit 9")
    assert cli("wait", name) == "9"


def test_run_detached_stop_and_start_again(cli, name):
    cli("run", "-d", "--name", name, IMAGE, "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
    first = cli.inspect(name)["State"]["Pid"]
    assert first > 1
    cli("stop", name)
    state = cli.inspect(name)["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 5, 0)
    cli("start", name)
    assert cli.inspect(name)["State"]["Pid"] not in (0, first)
    cli("restart", "-t", "1", name)
    assert cli.inspect(name)["State"]["Running"]


def test_stop_kills_what_does_not_listen(clipper, name):
    clipper("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    begin = time.monotonic()
    clipper("stop", "-t", "1", name)
    assert 0.9 < time.monotonic() - begin < 5
    assert clipper.inspect(name)["State"]["ExitCode"] == 137


def test_stop_signal_of_the_container(clipper, name):
    clipper("run", "-d", "--name", name, "--stop-signal", "USR1", IMAGE, "sh", "-c", "trap 'exit 11' USR1; while :; do sleep 0.05; done")
    time.sleep(0.2)
    clipper("stop", name)
    assert clipper.inspect(name)["State"]["ExitCode"] == 11


def test_kill_with_a_signal(cli, name):
    cli("run", "-d", "--name", name, IMAGE, "sh", "-c", "trap 'echo got; exit 4' HUP; echo ready; while :; do sleep 0.05; done")
    wait_until(lambda: "ready" in cli("logs", name))
    cli("kill", "-s", "HUP", name)
    assert cli("wait", name) == "4"
    assert cli("logs", name) == "ready\ngot"
    refused = cli.run("kill", name)
    assert refused.code == 1 and "is not running" in refused.err


def test_remove_needs_force_while_running(cli, sleeper):
    refused = cli.run("rm", sleeper)
    assert refused.code == 1 and "running" in refused.err
    assert cli("rm", "-f", sleeper) == sleeper
    assert sleeper not in cli("ps", "-a", "--format", "{{.Names}}")


def test_rm_option_leaves_nothing(cli, name):
    cli("run", "--rm", "--name", name, IMAGE, "true")
    wait_until(lambda: name not in cli("ps", "-a", "--format", "{{.Names}}"))


def test_rename(cli, name, sleeper):
    cli("rename", sleeper, name + "-new")
    assert cli.inspect(name + "-new")["Name"] == "/" + name + "-new"
    assert cli.run("inspect", sleeper).code == 1


def test_short_identifier(cli, sleeper):
    identifier = cli.inspect(sleeper)["Id"]
    assert cli.inspect(identifier[:12])["Id"] == identifier


def test_cidfile(cli, tmp_path):
    path = tmp_path / "cid"
    identifier = cli("run", "-d", "--cidfile", path, IMAGE, "true")
    assert path.read_text().strip() == identifier


def test_stdin_half_close(cli):
    """The container sees the end of standard input and can still answer."""
    result = cli.run("run", "--rm", "-i", IMAGE, "sh", "-c", "cat; sleep 0.2; echo after", input=b"one\ntwo\n")
    assert (result.code, result.out) == (0, "one\ntwo\nafter\n"), result


def test_stdin_is_empty_without_i(cli):
    assert cli("run", "--rm", IMAGE, "cat", input=b"not for it") == ""


def test_twenty_megabytes_pass_unchanged(cli):
    data = os.urandom(20 << 20)
    result = cli.run("run", "--rm", "-i", IMAGE, "cat", input=data, timeout=60)
    assert result.code == 0, result.err
    assert len(result.stdout) == len(data)
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


def test_attach_sees_output_and_exit_code(cli, name):
    cli("run", "-d", "-i", "--name", name, IMAGE, "sh", "-c", "read line; echo got $line; exit 6")
    process = cli.spawn("attach", name)
    # Its input stays open: the end of it would detach the client, as with dockerd, perhaps before the answer.
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    assert process.stdout.read() == b"got hello\n"
    process.stdin.close()
    assert process.wait(10) == 6


def test_start_attached(cli, name):
    cli("create", "--name", name, IMAGE, "sh", "-c", "echo here; exit 2")
    result = cli.run("start", "-a", name)
    assert (result.code, result.out) == (2, "here\n"), result


def test_signals_reach_the_container_through_the_client(cli, name):
    process = cli.spawn("run", "--rm", "--name", name, IMAGE, "sh", "-c", "trap 'exit 8' TERM; echo ready; while :; do sleep 0.05; done")
    try:
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(10) == 8
    finally:
        process.kill()
        process.communicate()


def test_terminal_with_resize(cli, terminal):
    tty = terminal(cli, "run", "--rm", "-it", IMAGE, "sh", rows=31, columns=97)
    tty.type("tty\n")
    tty.expect("/dev/pts/0")
    # docker 20.10 tells the size after the start: until then the terminal has none, as with dockerd.
    tty.type("until stty size 2>/dev/null; do sleep 0.1; done\n")
    tty.expect("31 97")
    tty.type("until stty size | grep -q '^40 12.$'; do sleep 0.1; done; echo re''sized\n")
    # docker 20.10 does not look at its terminal in its first moment: it is told until it has heard.
    for columns in (120, 121) * 20:
        tty.resize(40, columns)
        if tty.sees("resized", 0.5):
            break
    tty.expect("resized")
    tty.type("exit 5\n")
    assert tty.wait() == 5


def test_detach_keys_and_attach_again(cli, terminal, name):
    tty = terminal(cli, "run", "-it", "--name", name, IMAGE, "sh")
    tty.type("echo a$((1+1))b\n")
    tty.expect("a2b")
    tty.type("\x10\x11")
    assert tty.wait() == 0
    assert cli.inspect(name)["State"]["Running"]
    again = terminal(cli, "attach", "--detach-keys", "ctrl-x,x", name)
    again.type("echo c$((1+2))d\n")
    again.expect("c3d")
    again.type("\x18x")
    again.wait()
    assert cli.inspect(name)["State"]["Running"]


def test_restart_policy(clipper, name):
    clipper("run", "-d", "--name", name, "--restart", "on-failure:2", IMAGE, "sh", "-c", "echo go; exit 1")
    wait_until(lambda: clipper.inspect(name)["State"]["Status"] == "exited" and clipper.inspect(name)["RestartCount"] == 2)
    assert clipper("logs", name) == "go\n" * 2 + "go"


def test_sdk_lifecycle(sdk, name):
    assert sdk.containers.run(IMAGE, ["echo", "hello"], remove=True) == b"hello\n"
    container = sdk.containers.run(IMAGE, ["sh", "-c", "sleep 0.2; exit 3"], detach=True, name=name)
    assert container.wait()["StatusCode"] == 3
    container.reload()
    assert container.status == "exited"
    container.remove()
    with pytest.raises(docker.errors.NotFound):
        sdk.containers.get(name)
    with pytest.raises(docker.errors.ContainerError) as failed:
        sdk.containers.run(IMAGE, ["sh", "-c", "echo oops >&2; exit 2"], remove=True)
    assert failed.value.exit_status == 2 and b"oops" in failed.value.stderr


def test_sdk_attach_socket(sdk, name):
    container = sdk.containers.create(IMAGE, ["cat"], stdin_open=True, name=name)
    sock = sdk.api.attach_socket(container.id, params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    sock._sock.sendall(b"ping\n")
    sock._sock.settimeout(5)
    received = b""
    while len(received) < 13:
        received += sock._sock.recv(100)
    assert received == b"\x01\0\0\0\0\0\0\x05ping\n"
    sock.close()


def test_twelve_at_once(clipper, name):
    started = [clipper.spawn("run", "--rm", IMAGE, "echo", i) for i in range(12)]
    outputs = [process.communicate(timeout=30)[0] for process in started]
    assert outputs == [b"%d\n" % i for i in range(12)]
    assert all(process.returncode == 0 for process in started)


def test_a_start_that_is_asked_for_counts_anew(clipper, name):
    """The policy's attempts are used up; `start` gives it all of them again."""
    clipper("run", "-d", "--name", name, "--restart", "on-failure:2", IMAGE, "sh", "-c", "echo go; exit 1")
    for runs in (3, 6):
        wait_until(lambda: clipper("logs", name).count("go") == runs and clipper.inspect(name)["State"]["Status"] == "exited", what="the last attempt")
        assert clipper.inspect(name)["RestartCount"] == 2
        if runs == 3:
            clipper("start", name)


def test_restart_of_one_that_is_removed_at_its_end(cli, name):
    cli("run", "-d", "--rm", "--name", name, IMAGE, "sh", "-c", "trap 'exit 3' TERM; date >>/count; while :; do sleep 0.1; done")
    first = cli.inspect(name)
    cli("restart", "-t", "5", name)
    again = cli.inspect(name)
    assert again["Id"] == first["Id"] and again["State"]["Running"] and again["HostConfig"]["AutoRemove"]
    wait_until(lambda: len(cli("exec", name, "cat", "/count").splitlines()) == 2, what="the second run in the same files")
    cli("stop", "-t", "5", name)
    wait_until(lambda: cli.run("inspect", name).code == 1, what="the removal")


def test_a_stop_of_a_paused_container_sends_its_own_signal(clipper, name):
    clipper("run", "-d", "--name", name, "--stop-signal", "INT", IMAGE, "sh", "-c", "trap 'exit 5' INT; echo on; while :; do sleep 0.1; done")
    wait_until(lambda: clipper("logs", name) == "on", what="the trap")
    clipper("pause", name)
    clipper("stop", "-t", "20", name)
    assert clipper.inspect(name)["State"]["ExitCode"] == 5


def test_between_two_restarts(clipper, daemon, name):
    """It counts as running: a start has nothing to do, and what needs a process is told to wait."""
    clipper("run", "-d", "--name", name, "--restart", "always", IMAGE, "false")
    wait_until(lambda: clipper.inspect(name)["RestartCount"] >= 5 and clipper.inspect(name)["State"]["Status"] == "restarting", what="a long pause")
    assert daemon.request("POST", f"/containers/{name}/start")[0] == 304
    for method, path in [("POST", "pause"), ("GET", "top")]:
        status, answer = daemon.request(method, f"/containers/{name}/{path}")
        assert status == 409 and answer["message"].endswith("is restarting, wait until the container is running"), answer
    running = waiter(daemon, name, "not-running")
    clipper("stop", name)
    assert running() == 1


def test_a_wait_ends_when_the_restart_fails(clipper, daemon, name, tmp_path):
    place = tmp_path / "there"
    place.mkdir()
    clipper("run", "-d", "--name", name, "--restart", "always", "--mount", f"type=bind,source={place},target=/there", IMAGE, "false")
    wait_until(lambda: clipper.inspect(name)["RestartCount"] >= 4 and clipper.inspect(name)["State"]["Status"] == "restarting", what="a long pause")
    running = waiter(daemon, name, "not-running")
    place.rmdir()
    assert running() != 0 and "bind source path does not exist" in clipper.inspect(name)["State"]["Error"]


def test_a_wait_tells_why_the_start_failed(daemon, clipper, name):
    clipper("create", "--name", name, IMAGE, "/no/such")
    assert daemon.request("POST", f"/containers/{name}/start")[0] == 400
    status, answer = daemon.request("POST", f"/containers/{name}/wait")
    assert (status, answer["StatusCode"]) == (200, 127)
    assert answer["Error"] == {"Message": clipper.inspect(name)["State"]["Error"]} and "no such file" in answer["Error"]["Message"]


def test_start_and_removal_at_once(daemon, name):
    """Whichever is first, the other is told, and nothing is left of the container; a list with sizes is whole meanwhile."""
    answers = []

    def ask(method, path, body=None):
        answers.append((daemon.request(method, path, body), path))
    for count in range(25):
        status, made = daemon.request("POST", f"/containers/create?name={name}", {"Image": IMAGE, "Cmd": ["sleep", "1000"]})
        assert status == 201, made
        calls = [("POST", f"/containers/{name}/start"), ("DELETE", f"/containers/{name}?force=1"), ("GET", "/containers/json?all=1&size=1"),
                 ("POST", f"/containers/{name}/restart?t=0")]
        threads = [threading.Thread(target=ask, args=call) for call in calls[count % 4:] + calls[:count % 4]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        daemon.request("DELETE", f"/containers/{name}?force=1")
        assert daemon.request("GET", f"/containers/{made['Id']}/json")[0] == 404
        for place in ("data", "exec"):
            assert not (daemon.scratch / place / "containers" / made["Id"]).exists()
    for (status, answer), path in answers:
        assert status < 500, (path, answer)


def test_restart_of_what_cannot_be_removed(daemon, cli, name):
    identifier = cli("create", "--name", name, IMAGE, "true")
    directory = daemon.scratch / "data/containers" / identifier
    # What something is mounted on cannot be moved away.
    subprocess.run(["mount", "--bind", directory, directory], check=True)
    try:
        assert daemon.request("DELETE", f"/containers/{name}")[0] == 500
        assert cli.inspect(name)["State"]["Dead"]
        assert daemon.request("POST", f"/containers/{name}/restart?t=0") == (
            409, {"message": f"Cannot restart container {name}: container is dead and cannot be started"})
    finally:
        subprocess.run(["umount", directory], check=True)
    assert daemon.request("DELETE", f"/containers/{name}")[0] == 204


def test_what_meets_the_end_of_a_container(daemon, clipper, name):
    """Its first process is gone, but its output is still open: in a process that has left its control group."""
    identifier = clipper("run", "-d", "--name", name, "--pid", "host", IMAGE, "sh", "-c", "sleep 1000 & echo $!; exec sleep 1000")
    other = int(wait_until(lambda: clipper("logs", name)))
    try:
        leave_groups(other)
        made = daemon.request("POST", f"/containers/{name}/exec", {"Cmd": ["true"]})[1]["Id"]
        os.kill(clipper.inspect(name)["State"]["Pid"], signal.SIGKILL)
        answers = [daemon.request(*call) for call in (
            ("POST", f"/containers/{name}/pause"), ("GET", f"/containers/{name}/top"),
            ("POST", f"/exec/{made}/start", {"Detach": True}), ("POST", f"/containers/{name}/resize?h=1&w=1"))]
        assert clipper.inspect(name)["State"]["Status"] == "running", "its end was noted too early for this test"
    finally:
        os.kill(other, signal.SIGKILL)
    assert answers == [(409, {"message": f"container {identifier} is not running"})] * 4
    assert clipper("wait", name) == "137" and clipper.inspect(name)["State"]["Status"] == "exited"


def waiter(daemon, container, condition):
    """A wait that has begun when this returns; its answer when called."""
    connection = UnixConnection(daemon.socket, timeout=60)
    connection.request("POST", f"/v1.50/containers/{container}/wait?condition={condition}")
    response = connection.getresponse()  # The head comes at once: the daemon waits from then on.
    answer = {}

    def read():
        answer.update(json.loads(response.read()))
        connection.close()
    thread = threading.Thread(target=read)
    thread.start()

    def finish(timeout=20):
        thread.join(timeout)
        assert not thread.is_alive(), f"wait for {condition} did not end"
        return answer["StatusCode"]
    finish.is_waiting = thread.is_alive
    return finish


def test_conditions_of_wait(daemon, clipper, name):
    clipper("create", "--name", name, IMAGE, "sh", "-c", "sleep 1000 & trap 'exit 7' TERM; wait")
    # It does not run: that is the condition. The next end and the removal are still to come.
    assert waiter(daemon, name, "not-running")() == 0
    following, removed = waiter(daemon, name, "next-exit"), waiter(daemon, name, "removed")
    clipper("start", name)
    running = waiter(daemon, name, "not-running")
    assert following.is_waiting() and running.is_waiting()
    clipper.run("exec", name, "kill", "1")
    assert (following(), running()) == (7, 7) and removed.is_waiting()
    clipper("rm", "-f", name)
    assert removed() == 7
    status, answer = daemon.request("POST", f"/containers/{name}/wait?condition=never")
    assert status in (400, 404), answer
