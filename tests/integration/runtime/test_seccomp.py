"""Filters of system calls: actions, architectures, arguments, flags, newer calls, and a listener that decides.

The same under runc and crun where they have it, which tests the tests.
"""

import array
import ctypes
import errno
import fcntl
import json
import os
import pathlib
import socket
import struct
import subprocess
import threading

import pytest

from .harness import wait_until

NATIVE = {"x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]}.get(os.uname().machine)
pytestmark = pytest.mark.skipif(NATIVE is None, reason="the numbers here are x86-64's")


def with_seccomp(rules, default="SCMP_ACT_ALLOW", **more):
    return lambda config: config["linux"].update(
        seccomp={"defaultAction": default, "architectures": NATIVE, "syscalls": rules, **more})


def rule(names, action="SCMP_ACT_ERRNO", **more):
    return {"names": [names] if isinstance(names, str) else names, "action": action, **more}


@pytest.fixture(scope="session")
def caller(scope):
    """A static program that makes one system call, given by number and arguments, and prints what came: `-ERRNO` or the result."""
    source = scope.scratch / "caller.c"
    source.write_text(r"""
        #include <errno.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <unistd.h>
        int main(int count, char **text) {
            long a[7] = {0};
            for (int i = 1; i < count && i < 8; i++) a[i - 1] = strtoul(text[i], 0, 0);
            long result = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
            printf("%ld\n", result < 0 ? -(long)errno : result);
            return 0;
        }""")
    made = {}
    for bits in ("64", "32"):
        program = scope.scratch / f"caller{bits}"
        built = subprocess.run(["gcc", f"-m{bits}", "-static", "-o", program, source], capture_output=True)
        if built.returncode == 0:
            made[bits] = program
    if "64" not in made:
        pytest.skip("no compiler for static programs")
    return made


def call_in(make, caller, edit, number, *arguments, bits="64"):
    made = make(["/caller", *map(str, (number, *arguments))], edit)
    (made.bundle.rootfs / "caller").write_bytes(caller[bits].read_bytes())
    (made.bundle.rootfs / "caller").chmod(0o755)
    return made.run()


@pytest.fixture
def answer(make_container, engine, caller):
    """answer(edit, number, *arguments): what a system call gives under the filter."""
    def ask(edit, number, *arguments):
        result = call_in(lambda args, edit: make_container(engine, args, edit), caller, edit, number, *arguments)
        assert result.code == 0, result
        return int(result.out)
    return ask


GETPRIORITY, PERSONALITY, ACCT = 140, 135, 163
NAME = {"personality": PERSONALITY}
OK = 0  # personality(0xffffffff) only asks: answers 0 for PER_LINUX.
ASK = 0xffffffff


def test_errno(answer):
    assert answer(with_seccomp([rule("personality", errnoRet=77)]), PERSONALITY, ASK) == -77


def test_errno_is_eperm(answer):
    assert answer(with_seccomp([rule("personality")]), PERSONALITY, ASK) == -errno.EPERM


def test_errno_zero_is_success_without_the_call(answer):
    assert answer(with_seccomp([rule("acct", errnoRet=0)]), ACCT, 1) == 0


COMPARISONS = [
    ("SCMP_CMP_EQ", 5, 0, 5, 6), ("SCMP_CMP_NE", 5, 0, 6, 5), ("SCMP_CMP_LT", 5, 0, 4, 5), ("SCMP_CMP_LE", 5, 0, 5, 6),
    ("SCMP_CMP_GT", 5, 0, 6, 5), ("SCMP_CMP_GE", 5, 0, 5, 4), ("SCMP_CMP_MASKED_EQ", 0xf0, 0x30, 0x3f, 0x4f),
    ("SCMP_CMP_EQ", 1 << 40, 0, 1 << 40, 1 << 41),
]


@pytest.mark.parametrize("op,value,second,matching,other", COMPARISONS)
def test_arguments(answer, op, value, second, matching, other):
    """getpriority(3, x): EINVAL from the kernel, the filter's error when it matches."""
    edit = with_seccomp([rule("getpriority", errnoRet=99, args=[{"index": 1, "value": value, "valueTwo": second, "op": op}])])
    assert answer(edit, GETPRIORITY, 3, matching) == -99
    assert answer(edit, GETPRIORITY, 3, other) == -errno.EINVAL


def test_all_arguments_must_match(answer):
    edit = with_seccomp([rule("getpriority", errnoRet=99, args=[
        {"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 7, "op": "SCMP_CMP_EQ"}])])
    assert answer(edit, GETPRIORITY, 3, 7) == -99
    assert answer(edit, GETPRIORITY, 3, 8) == -errno.EINVAL
    assert answer(edit, GETPRIORITY, 4, 7) == -errno.EINVAL


def allow_but(names, **more):
    """An allow list as Docker's: everything that Docker allows without a condition, but not these names."""
    profile = json.loads((pathlib.Path(__file__).parent / "seccomp-names.json").read_text())
    return with_seccomp([rule([n for n in profile if n not in names], "SCMP_ACT_ALLOW")], "SCMP_ACT_ERRNO", **more)


@pytest.mark.parametrize("more,wanted", [({}, errno.EPERM), ({"defaultErrnoRet": 88}, 88)])
def test_default_errno(answer, more, wanted):
    assert answer(allow_but(["personality"], **more), PERSONALITY, ASK) == -wanted


@pytest.mark.parametrize("number", [600, 5000, 0x3fffffff])
def test_newer_calls_are_unknown(make_container, caller, request, number, engine):
    """A library tries the new call, gets ENOSYS and falls back; on EPERM it would give up."""
    if engine.name == "crun":
        pytest.skip("crun 1.8 answers EPERM")
    result = call_in(lambda args, edit: make_container(engine, args, edit), caller, allow_but([]), number)
    assert result.out == f"-{errno.ENOSYS}\n", result


def test_other_architecture(container, caller):
    """32-bit calls have numbers of their own, and are filtered by name all the same."""
    if "32" not in caller:
        pytest.skip("no 32-bit compiler")
    edit = with_seccomp([rule("personality", errnoRet=66)])
    assert call_in(container, caller, edit, 136, ASK, bits="32").out == "-66\n"


@pytest.mark.parametrize("action,code", [("SCMP_ACT_KILL_PROCESS", 159), ("SCMP_ACT_KILL", 159), ("SCMP_ACT_TRAP", 159)])
def test_killed(make_container, engine, caller, action, code):
    result = call_in(lambda args, edit: make_container(engine, args, edit), caller, with_seccomp([rule("personality", action)]), PERSONALITY)
    assert result.code == code, result


@pytest.mark.parametrize("action,wanted", [("SCMP_ACT_LOG", OK), ("SCMP_ACT_TRACE", -errno.ENOSYS)])
def test_other_actions(answer, action, wanted):
    assert answer(with_seccomp([rule("personality", action)]), PERSONALITY, ASK) == wanted


FLAGS = {"TSYNC": 0, "LOG": 2, "SPEC_ALLOW": 4, "LOG SPEC_ALLOW TSYNC": 6}


@pytest.mark.parametrize("flags,bits", FLAGS.items())
def test_flags_reach_the_kernel(container, tmp_path, flags, bits):
    edit = with_seccomp([rule("personality")], flags=[f"SECCOMP_FILTER_FLAG_{name}" for name in flags.split()])
    made = container(["true"], edit)
    made.bundle.save()
    trace = tmp_path / "trace"
    subprocess.run(
        ["strace", "-f", "-o", trace, "-e", "trace=seccomp", "-e", "raw=seccomp", *made.runtime.arguments("run", "-b", made.bundle.path, made.id)],
        check=True, timeout=60)
    loads = [line for line in trace.read_text().splitlines() if "seccomp(0x1," in line]
    assert any(f"seccomp(0x1, {hex(bits) if bits else '0'}," in line for line in loads), loads


@pytest.mark.parametrize("edit,word", [
    (with_seccomp([rule("read", "SCMP_ACT_SMILE")]), "linux.seccomp.syscalls[0].action"),
    (with_seccomp([], "ALLOW"), "linux.seccomp.defaultAction"),
    (with_seccomp([], flags=["SECCOMP_FILTER_FLAG_FAST"]), "linux.seccomp.flags[0]"),
    (with_seccomp([], architectures=["SCMP_ARCH_Z80"]), "linux.seccomp.architectures[0]"),
    (with_seccomp([rule("read", args=[{"index": 0, "value": 1, "op": "SCMP_CMP_LIKE"}])]), "linux.seccomp.syscalls[0].args"),
    (with_seccomp([rule("read", args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}])]), "index"),
    (with_seccomp([rule("read", "SCMP_ACT_KILL", errnoRet=5)]), "errnoRet"),
    (with_seccomp([rule("read", errnoRet=5000)]), "errnoRet 5000"),
    (with_seccomp([], "SCMP_ACT_NOTIFY", listenerPath="/l"), "SCMP_ACT_NOTIFY"),
    (with_seccomp([rule("write", "SCMP_ACT_NOTIFY")], listenerPath="/l"), "SCMP_ACT_NOTIFY"),
    (with_seccomp([rule("acct", "SCMP_ACT_NOTIFY")]), "linux.seccomp.listenerPath"),
    (with_seccomp([rule("acct", "SCMP_ACT_NOTIFY")], listenerPath="l"), "linux.seccomp.listenerPath"),
    (with_seccomp([], listenerMetadata="m"), "linux.seccomp.listenerMetadata"),
    (with_seccomp([], flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]), "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
])
def test_bad_filter(container, edit, word):
    made = container(["true"], edit)
    result = made.run()
    assert result.code == 1 and word in result.err and len(result.err.splitlines()) == 1, result
    assert made.state() is None


# Listeners

RECEIVE, SEND = 0xC0502100, 0xC0182101
CONTINUE = 1


class Listener:
    """Takes filters' descriptors on a socket and answers their system calls."""

    def __init__(self, path, answer):
        self.path, self.answer = str(path), answer
        self.states, self.calls, self.names = [], [], []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(self.path)
        self.socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                data, control, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(64))
                descriptors = array.array("i", b"".join(c[2] for c in control))
                threading.Thread(target=self._serve, args=(descriptors[0],), daemon=True).start()
                # One state for each connection, which ends with it.
                while more := connection.recv(1 << 16):
                    data += more
            self.states.append(json.loads(data))

    def _serve(self, descriptor):
        while True:
            request = bytearray(80)
            try:
                fcntl.ioctl(descriptor, RECEIVE, request)
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                os.close(descriptor)
                return
            identifier, pid, _, number = struct.unpack_from("QIIi", request)
            self.calls.append((pid, number))
            value, code, flags = self.answer(number)
            try:
                fcntl.ioctl(descriptor, SEND, struct.pack("QqiI", identifier, value, -code, flags))
            except OSError:  # The process has gone.
                pass


@pytest.fixture
def listener(undo, tmp_path):
    def make(answer):
        made = Listener(tmp_path / "listener", answer)
        undo(made.close)
        return made
    return make


def notifying(path, names="acct", **more):
    return with_seccomp([rule(names, "SCMP_ACT_NOTIFY")], listenerPath=str(path), **more)


def test_listener_decides(make_container, engine, caller, listener):
    if engine.name == "crun":
        pytest.skip("crun 1.8 under unshare cannot reach the listener")
    mine = listener(lambda number: (0, 55, 0))
    def edit(config):
        notifying(mine.path, listenerMetadata="the metadata")(config)
        config["annotations"] = {"a": "b"}
    result = call_in(lambda args, edit: make_container(engine, args, edit), caller, edit, ACCT, 1)
    assert result.out == "-55\n", result
    assert [number for _, number in mine.calls] == [ACCT]
    [state] = wait_until(lambda: mine.states)
    assert state["fds"] == ["seccompFd"] and state["metadata"] == "the metadata"
    assert state["pid"] == state["state"]["pid"] > 0
    assert state["state"]["status"] == "creating" and state["state"]["annotations"] == {"a": "b"}
    assert state["ociVersion"] == state["state"]["ociVersion"]


def held_notify_descriptors(pid):
    """Somebody who holds its own descriptor would wait for ever for a listener that has gone."""
    links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
    return [link for link in links if "seccomp" in link]


@pytest.mark.parametrize("privileges", [True, False])
def test_listener_of_a_created_container(container, caller, listener, privileges):
    """The filter is loaded by `create`, which hands it over (config-linux.md, "The Container Process State"; as runc does)."""
    mine = listener(lambda number: (1234, 0, 0))
    def edit(config):
        notifying(mine.path)(config)
        config["process"]["noNewPrivileges"] = privileges
        config["root"]["readonly"] = False
    made = container(["sh", "-c", f"/caller {ACCT} 1 > /tmp/answer; exec sleep 300"], edit)
    (made.bundle.rootfs / "caller").write_bytes(caller["64"].read_bytes())
    (made.bundle.rootfs / "caller").chmod(0o755)
    result = made.create()
    assert result.code == 0, result
    pid = made.pid
    wait_until(lambda: mine.states)
    assert [(s["pid"], s["state"]["status"]) for s in mine.states] == [(pid, "creating")]
    assert made.state()["status"] == "created"
    assert held_notify_descriptors(pid) == []
    result = made.start()
    assert result.code == 0, result
    path = made.bundle.rootfs / "tmp/answer"
    assert wait_until(lambda: path.exists() and path.read_text()) == "1234\n"
    # A further process has a filter of its own.
    result = made.exec("/caller", str(ACCT), "1")
    assert result.out == "1234\n", result
    wait_until(lambda: len(mine.states) == 2)
    assert mine.states[1]["state"]["pid"] == pid != mine.states[1]["pid"] and mine.states[1]["state"]["status"] == "running"


def test_listener_decides_about_calls_between_filter_and_program(container, listener):
    """Whatever the process itself still does after the filter is loaded, but write(2), can be asked about."""
    mine = listener(lambda number: (0, 0, CONTINUE))
    names = ["read", "close", "execve", "capset", "prctl", "sendmsg", "recvmsg", "close_range", "fcntl", "mmap", "brk"]
    result = container(["echo", "through"], notifying(mine.path, names)).run()
    assert result.out == "through\n", result
    assert {number for _, number in mine.calls} >= {0, 59}


@pytest.mark.parametrize("kind", ["missing", "not listening", "no socket"])
def test_listener_that_is_not_there(container, tmp_path, kind):
    path = tmp_path / "listener"
    if kind == "not listening":
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).bind(str(path))
    elif kind == "no socket":
        path.write_text("")
    made = container(["echo", "ran"], notifying(path))
    result = made.run()
    assert result.code == 1 and "seccomp listener" in result.err and result.out == "", result
    result = made.create()
    assert result.code == 1 and "seccomp listener" in result.err, result
    assert made.state() is None


def test_listener_decides_while_the_container_waits(container, listener):
    """What a created container does between its filter and its program can be asked about."""
    mine = listener(lambda number: (0, 0, CONTINUE))
    names = ["read", "close", "execve", "capset", "prctl", "sendmsg", "recvmsg", "close_range", "fcntl", "mmap", "brk", "accept4"]
    made = container(["sleep", "300"], notifying(mine.path, names))
    assert made.create().code == 0
    assert made.start().code == 0
    made.wait_for("running")
    assert {number for _, number in mine.calls} >= {0, 59, 288}


@pytest.mark.parametrize("privileges", [True, False])
@pytest.mark.parametrize("steps", ["run", "create"])
def test_start_container_hooks_are_filtered(container, privileges, steps):
    """Their programs are the image's: they get no more of the kernel than the container's own."""
    def edit(config):
        with_seccomp([rule("acct", "SCMP_ACT_KILL_PROCESS"), rule("mkdir", "SCMP_ACT_KILL_PROCESS")])(config)
        config["process"]["noNewPrivileges"] = privileges
        config["process"]["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
        config["hooks"] = {"startContainer": [{"path": "/bin/mkdir", "args": ["mkdir", "/dev/shm/made"]}]}
    made = container(["echo", "ran"], edit)
    result = made.run() if steps == "run" else made.create()
    if steps == "create":
        assert result.code == 0, result
        result = made.start()
    assert result.code == 1 and result.out == "", result
    assert "error running startContainer hook #0: /bin/mkdir: killed by SIGSYS (bad system call)" in result.err


def test_hooks_under_dockers_profile(container):
    """It hides clone3; the hook is started all the same."""
    def edit(config):
        with_seccomp([{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}])(config)
        config["hooks"] = {"startContainer": [{"path": "/bin/touch", "args": ["touch", "/dev/shm/touched"]}]}
    result = container(["ls", "/dev/shm"], edit).run()
    assert result.out == "touched\n", result


def test_listener_is_ignored_without_a_rule(container):
    """config-linux.md: without SCMP_ACT_NOTIFY the value is ignored."""
    assert container(["true"], with_seccomp([rule("acct")], listenerPath="/nowhere/l", listenerMetadata="m")).run().code == 0


def test_killable_listener(container, caller, listener):
    mine = listener(lambda number: (7, 0, 0))
    result = call_in(container, caller, notifying(mine.path, flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]), ACCT)
    assert result.out == "7\n", result
