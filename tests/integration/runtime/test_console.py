"""Terminals: --console-socket, --tty, the caller's own terminal. Under runc too."""

import array
import fcntl
import os
import pty
import select
import socket
import struct
import subprocess
import termios
import time

import pytest


@pytest.fixture
def console(tmp_path):
    """A console socket: its path, and a function that answers the master's descriptor."""
    masters = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen()
        listener.settimeout(30)

        def master():
            connection, _ = listener.accept()
            with connection:
                data, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
            numbers = array.array("i")
            numbers.frombytes(ancillary[0][2])
            masters.append(numbers[0])
            assert data and len(numbers) == 1
            return numbers[0]
        yield tmp_path / "console", master
    for number in masters:
        os.close(number)


def read_until(descriptor, word, timeout=30):
    seen, deadline = b"", time.monotonic() + timeout
    while word not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([descriptor], [], [], 1)[0]:
            try:
                more = os.read(descriptor, 4096)
            except OSError:
                break
            if not more:
                break
            seen += more
    assert word in seen, seen
    return seen


def terminal(config):
    config["process"]["terminal"] = True
    config["process"]["consoleSize"] = {"height": 33, "width": 77}


def test_console_socket_of_a_container(make_container, runtime, console):
    path, master = console
    made = make_container(runtime, ["sh", "-c", "tty; stty size; read line; echo got-$line; sleep 1000"], terminal)
    result = made.create("--console-socket", path)
    assert result.code == 0, result
    number = master()
    assert made.start().code == 0
    seen = read_until(number, b"33 77")
    assert b"/dev/console" in seen or b"/dev/pts/0" in seen
    os.write(number, b"word\n")
    read_until(number, b"got-word")


def test_console_socket_of_an_exec(make_container, runtime, console):
    path, master = console
    made = make_container(runtime, ["sleep", "1000"]).up()
    result = made.exec("sh", "-c", "tty; echo done; sleep 1000", options=["--tty", "--detach", "--console-socket", path])
    assert result.code == 0, result
    assert b"/dev/pts/0" in read_until(master(), b"done")


def test_terminal_is_a_controlling_one(make_container, runtime, console):
    """^C reaches the foreground process."""
    path, master = console
    made = make_container(runtime, ["sh", "-c", "trap 'echo interrupted' INT; echo ready; while true; do sleep 0.1; done"], terminal)
    made.up("--console-socket", path)
    number = master()
    read_until(number, b"ready")
    os.write(number, b"\x03")
    read_until(number, b"interrupted")


@pytest.mark.parametrize(("wants", "options"), [
    (True, ["--detach"]), (False, ["--detach", "--console-socket", "/nowhere"]), (True, ["--detach", "--console-socket", "/nowhere"])])
def test_terminal_and_socket_belong_together(make_container, runtime, wants, options):
    made = make_container(runtime, ["sleep", "1000"], terminal if wants else None)
    result = made.run(*options)
    assert result.code == 1 and result.err, result
    assert made.status is None


def run_in_terminal(arguments, body):
    """Runs a program with a terminal of its own; `body` gets the master. Answers the exit code."""
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 99, 0, 0))
        before = termios.tcgetattr(slave)
        process = subprocess.Popen(arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        try:
            body(master)
            code = process.wait(60)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        assert termios.tcgetattr(slave) == before, "the caller's terminal is as it was"
        return code
    finally:
        os.close(master)
        os.close(slave)


def read_size(runtime, master):
    try:
        read_until(master, b"44 99", 30 if runtime.name == "clipper" else 5)
    except AssertionError as error:
        if runtime.name == "clipper":
            raise
        pytest.skip(f"{runtime.name} sets a terminal's size when the program runs already: {error}")


def test_foreground_run_has_the_callers_terminal(make_container, runtime):
    made = make_container(runtime, ["sh", "-c", "tty; stty size; read line; echo got-$line; exit 6"], lambda c: c["process"].update(terminal=True))
    made.bundle.save()

    def talk(master):
        read_size(runtime, master)
        os.write(master, b"word\n")
        read_until(master, b"got-word")
    assert run_in_terminal(runtime.arguments("run", "--bundle", made.bundle.path, made.id), talk) == 6


def test_foreground_exec_has_the_callers_terminal(make_container, runtime):
    made = make_container(runtime, ["sleep", "1000"]).up()

    def talk(master):
        read_size(runtime, master)
        os.write(master, b"word\n")
        read_until(master, b"got-word")
    command = runtime.arguments("exec", "-t", made.id, "sh", "-c", "stty size; read line; echo got-$line; exit 4")
    assert run_in_terminal(command, talk) == 4


def test_exec_without_terminal_has_none(make_container, runtime):
    made = make_container(runtime, ["sleep", "1000"]).up()
    result = made.exec("tty")
    assert (result.code, result.out) == (1, "not a tty\n")
