"""Processes started in running containers."""

import subprocess
import sys
import os
import time

import pytest

from harness import IMAGE, wait_until


def test_output_and_exit_code(cli, sleeper):
    result = cli.run("exec", sleeper, "sh", "-c", "echo out; echo err >&2; exit 9")
    assert (result.code, result.out, result.err) == (9, "out\n", "err\n")


def test_environment_user_and_directory(cli, name):
    cli("run", "-d", "--name", name, "-e", "A=1", "-e", "B=1", "-w", "/tmp", "-u", "nobody", IMAGE, "sleep", "1000")
    show = "echo $A $B $HOME; pwd; id -u; id -g"
    assert cli("exec", name, "sh", "-c", show).splitlines() == ["1 1 /home", "/tmp", "65534", "65534"]
    assert cli("exec", "-e", "B=2", "-w", "/etc", "-u", "33:1", name, "sh", "-c", show).splitlines() == ["1 2 /var/www", "/etc", "33", "1"]


def test_another_user(daemon, cli, name):
    """It has the groups that the container adds, and the home that somebody chose."""
    cli("run", "-d", "--name", name, "-e", "HOME=/chosen", "-u", "33", "--group-add", "wheel", IMAGE, "sleep", "1000")
    show = "id -G; echo $HOME"
    assert cli("exec", "-u", "nobody", name, "sh", "-c", show).splitlines() == ["65534 10", "/chosen"]
    assert cli("exec", "-u", "nobody", "-e", "HOME=/other", name, "sh", "-c", show).splitlines() == ["65534 10", "/other"]
    for given, shown in [({}, "33"), ({"User": "nobody"}, "nobody")]:
        identifier = daemon.request("POST", f"/containers/{name}/exec", {"Cmd": ["true"], **given})[1]["Id"]
        assert daemon.request("GET", f"/exec/{identifier}/json")[1]["ProcessConfig"]["user"] == shown


@pytest.mark.parametrize("terminal", [True, False])
def test_the_start_says_whether_output_comes_in_frames(daemon, sdk, sleeper, terminal):
    """The SDK creates with a terminal and starts without a word of it: the start's `Tty` is false, and frames are what it reads."""
    made = sdk.api.exec_create(sleeper, ["sh", "-c", "echo said"], tty=terminal)
    assert sdk.api.exec_start(made) == (b"said\r\n" if terminal else b"said\n")
    failing = sdk.api.exec_create(sleeper, ["nosuch"], tty=terminal)
    assert b"executable file not found" in sdk.api.exec_start(failing)
    raw = sdk.api.exec_create(sleeper, ["sh", "-c", "echo said"], tty=terminal)
    assert daemon.request("POST", f"/exec/{raw['Id']}/start", {"Tty": True})[1] == (b"said\r\n" if terminal else b"said\n")


def test_command_that_cannot_run(cli, sleeper):
    assert cli.run("exec", sleeper, "nothere").code == 127
    assert cli.run("exec", sleeper, "/etc/passwd").code == 126


def test_standard_input(cli, sleeper):
    data = os.urandom(3 << 20)
    result = cli.run("exec", "-i", sleeper, "cat", input=data)
    assert result.code == 0 and result.stdout == data


def test_terminal(cli, terminal, sleeper):
    tty = terminal(cli, "exec", "-it", sleeper, "sh", rows=33, columns=101)
    tty.type("stty size; tty\n")
    tty.expect("33 101")
    tty.resize(22, 66)
    time.sleep(0.3)
    tty.type("stty size\n")
    tty.expect("22 66")
    tty.type("\x03echo still $((40+2))\n")
    tty.expect("still 42")
    tty.type("exit 3\n")
    assert tty.wait() == 3


def test_detached(cli, sleeper):
    cli("exec", "-d", sleeper, "sh", "-c", "sleep 0.2; echo done >/tmp/flag")
    wait_until(lambda: cli.run("exec", sleeper, "cat", "/tmp/flag").out == "done\n")


def test_fifty_in_parallel(daemon, clipper, sleeper):
    """All at once: each has its own input, output and exit code."""
    running = [clipper.spawn("exec", "-i", "-e", f"N={i}", sleeper, "sh", "-c", "read line; echo $line $N; exit $N") for i in range(50)]
    wait_until(lambda: len(clipper.inspect(sleeper)["ExecIDs"]) == 50, 60, "fifty running execs")
    for i, process in enumerate(running):
        process.stdin.write(b"input %d\n" % i)
        process.stdin.close()
        process.stdin = None
    results = [(process.communicate(timeout=60)[0], process.returncode) for process in running]
    assert results == [(b"input %d %d\n" % (i, i), i) for i in range(50)]
    assert clipper.inspect(sleeper)["ExecIDs"] is None


def test_size_by_the_api(daemon, clipper, sleeper):
    """Given with the start, and changed while it runs."""
    wanted = {"Cmd": ["sh", "-c", "stty size >/tmp/size; read line; stty size >>/tmp/size"], "Tty": True, "AttachStdin": False}
    identifier = daemon.request("POST", f"/containers/{sleeper}/exec", wanted)[1]["Id"]
    status, body = daemon.request("POST", f"/exec/{identifier}/resize?h=10&w=20")
    assert status == 400 and "not started" in body["message"]
    assert daemon.request("POST", f"/exec/{identifier}/start", {"Detach": True, "Tty": True, "ConsoleSize": [41, 123]})[0] == 200
    wait_until(lambda: clipper.run("exec", sleeper, "cat", "/tmp/size").out == "41 123\n", what="the first size")
    assert daemon.request("POST", f"/exec/{identifier}/resize?h=10&w=20")[0] == 200
    terminal = clipper("exec", sleeper, "sh", "-c", "ps -o pid,args | grep 'stty size' | grep -v grep | head -n 1").split()[0]
    clipper("exec", sleeper, "sh", "-c", f"stty size </proc/{terminal}/fd/1 >/tmp/now")
    assert clipper("exec", sleeper, "cat", "/tmp/now") == "10 20"


def test_a_size_without_a_terminal_is_passed_over(daemon, sleeper):
    """As dockerd does: a client sends it before it knows."""
    made = daemon.request("POST", f"/containers/{sleeper}/exec", {"Cmd": ["sleep", "100"]})[1]["Id"]
    assert daemon.request("POST", f"/exec/{made}/start", {"Detach": True})[0] == 200
    assert daemon.request("POST", f"/exec/{made}/resize?h=10&w=20")[0] == 200
    assert daemon.request("POST", f"/containers/{sleeper}/resize?h=10&w=20")[0] == 200


@pytest.mark.parametrize("version", ["", "/v1.22"])
def test_a_command_is_a_list_of_words(daemon, sleeper, version):
    status, body = daemon.request("POST", f"{version}/containers/{sleeper}/exec", {"Cmd": "a b"})
    assert status == 400 and "Cmd" in str(body)
    assert daemon.request("POST", f"/containers/{sleeper}/exec", {"Cmd": []}) == (400, {"message": "No exec command specified"})


@pytest.mark.parametrize("user", ["99999999999", "0:99999999999", "-5"])
def test_ids_out_of_range(cli, sleeper, user):
    result = cli.run("exec", "-u", user, sleeper, "true")
    assert (result.code, result.out.strip()) == (126, "uids and gids must be in range 0-2147483647")


def test_an_empty_word_is_no_command(cli, sleeper):
    words = 'exec: "": executable file not found in $PATH'
    result = cli.run("exec", sleeper, "")
    assert (result.code, words in result.out) == (127, True), result
    result = cli.run("run", "--rm", IMAGE, "")
    assert (result.code, words in result.err) == (127, True), result


def test_one_that_was_never_started_goes_with_its_container(daemon, sleeper):
    made = daemon.request("POST", f"/containers/{sleeper}/exec", {"Cmd": ["true"]})[1]["Id"]
    assert daemon.request("GET", f"/exec/{made}/json")[0] == 200
    assert daemon.request("DELETE", f"/containers/{sleeper}?force=1")[0] == 204
    gone = (404, {"message": f"No such exec instance: {made}"})
    assert daemon.request("GET", f"/exec/{made}/json") == gone
    assert daemon.request("POST", f"/exec/{made}/start", {"Detach": True}) == gone


def test_what_cannot_be_asked_twice(daemon, sleeper):
    identifier = daemon.request("POST", f"/containers/{sleeper}/exec", {"Cmd": ["true"]})[1]["Id"]
    assert daemon.request("POST", f"/exec/{identifier}/start", {"Detach": True})[0] == 200
    wait_until(lambda: not daemon.request("GET", f"/exec/{identifier}/json")[1]["Running"], what="its end")
    assert daemon.request("POST", f"/exec/{identifier}/start", {"Detach": True})[0] == 409
    assert daemon.request("POST", f"/exec/{'0' * 64}/start", {"Detach": True})[0] == 404
    status, body = daemon.request("POST", f"/containers/{sleeper}/exec", {"Cmd": ["true"], "WorkingDir": "relative"})
    assert status == 400, body


def test_a_detached_command_that_cannot_run_says_so(daemon, sleeper):
    identifier = daemon.request("POST", f"/containers/{sleeper}/exec", {"Cmd": ["/not/there"]})[1]["Id"]
    status, body = daemon.request("POST", f"/exec/{identifier}/start", {"Detach": True})
    assert status >= 400 and "/not/there" in body["message"]
    assert daemon.request("GET", f"/exec/{identifier}/json")[1]["ExitCode"] == 127


def test_not_running(cli, name):
    cli("create", "--name", name, IMAGE, "true")
    result = cli.run("exec", name, "true")
    assert result.code == 1 and "is not running" in result.err


def test_paused(cli, sleeper):
    cli("pause", sleeper)
    result = cli.run("exec", sleeper, "true")
    assert result.code == 1 and "paused" in result.err
    cli("unpause", sleeper)


def test_inspect_through_the_sdk(sdk, sleeper):
    made = sdk.api.exec_create(sleeper, ["sh", "-c", "sleep 0.3; exit 4"])
    assert not sdk.api.exec_inspect(made["Id"])["Running"]
    sdk.api.exec_start(made["Id"], detach=True)
    during = sdk.api.exec_inspect(made["Id"])
    assert during["Running"] and during["Pid"] > 1
    wait_until(lambda: sdk.api.exec_inspect(made["Id"]).get("ExitCode") == 4)
    assert sdk.containers.get(sleeper).exec_run(["sh", "-c", "echo a; echo b >&2"], demux=True).output == (b"a\n", b"b\n")


def test_exit_code_is_null_before_the_end(sdk, sleeper):
    assert sdk.api.exec_inspect(sdk.api.exec_create(sleeper, "true")["Id"])["ExitCode"] is None


def test_ends_with_the_container(clipper, sleeper):
    process = clipper.spawn("exec", sleeper, "sleep", "555")
    wait_until(lambda: "sleep 555" in clipper("top", sleeper))
    clipper("kill", sleeper)
    process.communicate(timeout=5)
    assert process.returncode == 137


def test_privileged_and_capabilities(clipper, sleeper):
    def bits(*flags):
        return int(clipper("exec", *flags, sleeper, "sh", "-c", "grep CapEff /proc/self/status | cut -f2"), 16)

    assert bits() == 0xA80425FB
    assert bits("--privileged") & ~0xA80425FB
    assert bits("-u", "nobody") == 0


def test_output_of_short_commands_is_whole_however_slow_the_client(daemon, sleeper):
    """The SDK reads the answer's head through a buffer and the stream past it: nothing may come along with the head."""
    script = """if True:
        import docker, sys
        client = docker.DockerClient(base_url=sys.argv[1])
        container = client.containers.get(sys.argv[2])
        for _ in range(40):
            output = container.exec_run(["sh", "-c", "echo a; echo b >&2"], demux=True).output
            assert output == (b"a\\n", b"b\\n"), output
    """
    clients = [subprocess.Popen([sys.executable, "-c", script, daemon.host, sleeper]) for _ in range(6)]
    assert [client.wait(60) for client in clients] == [0] * 6
