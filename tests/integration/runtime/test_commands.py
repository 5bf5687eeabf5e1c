"""The command line: help, flags, output, logs, descriptors, exit codes. Under runc too, where it has the same."""

import array
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from .harness import find_program, wait_until

COMMANDS = ["checkpoint", "create", "delete", "events", "exec", "features", "kill", "list", "pause", "ps", "restore", "resume",
            "run", "spec", "start", "state", "update"]
# Flags that runc has got since Debian's 1.1.5 (up to 1.3).
NEWER = {"create": ["--pidfd-socket"], "run": ["--pidfd-socket"], "exec": ["--pidfd-socket"], "update": ["--cpu-burst", "--cpu-idle"],
         "checkpoint": ["--tcp-skip-in-flight", "--link-remap"]}


def options_of(text):
    """The options that a help text names, short ones too."""
    part = text[re.search(r"^(GLOBAL )?OPTIONS:$", text, re.M).start():] if "OPTIONS:" in text else ""
    found = set()
    for line in part.splitlines():
        if line.startswith("   -"):
            synopsis = re.split(r"  +", line.strip())[0]
            found |= set(re.findall(r"(?:^|\s)(--?[a-z][a-z0-9-]*)", synopsis))
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_of_runc_is_there(clipper, scope, command):
    own = clipper.ok(command, "--help").out
    assert own.startswith(f"NAME:\n   clipper-runtime {command} - "), own
    assert clipper.ok("help", command).out == own == clipper.ok(command, "-h").out
    runc = scope.runtime("runc")
    wanted = set(NEWER.get(command, []))
    if runc:
        theirs = options_of(runc.ok(command, "--help").out)
        assert theirs or command in ("features", "pause", "resume", "start", "state")
        wanted |= theirs
    assert wanted <= options_of(own), wanted - options_of(own)


def test_global_help(clipper, scope):
    own = clipper.ok("--help").out
    assert clipper.ok("help").out == own == clipper.ok().out
    assert [line.split()[0] for line in own[own.index("COMMANDS:"):].splitlines()[1:len(COMMANDS) + 1]] == COMMANDS
    runc = scope.runtime("runc")
    if runc:
        assert options_of(runc.ok("--help").out) <= options_of(own)


def test_version(clipper):
    lines = clipper.ok("--version").out.splitlines()
    assert re.fullmatch(r"clipper-runtime version \d+\.\d+\.\d+", lines[0])
    assert [line for line in lines if re.fullmatch(r"spec: 1\.\d+\.\d+", line)]


@pytest.mark.parametrize(("arguments", "words"), [
    (["nosuch"], "no such command: nosuch"), (["--nosuch", "list"], "unknown option --nosuch"),
    (["state", "--nosuch", "x"], "unknown option --nosuch"), (["state"], "container id cannot be empty"),
    (["state", "a", "b"], 'unexpected argument "b"'), (["state", "../x"], "invalid container id"),
    (["state", "absent"], "container does not exist"), (["delete", "absent"], "container does not exist"),
    (["kill", "absent"], "container does not exist"), (["start", "absent"], "container does not exist"),
    (["list", "--format", "yaml"], "invalid format option"), (["list", "x"], 'unexpected argument "x"'),
    (["--log-format", "xml", "list"], "unknown log-format"), (["--rootless", "maybe", "list"], "--rootless"),
    (["--log", "/no/such/directory/log", "list"], "/no/such/directory/log"), (["list", "--quiet=maybe"], "neither true nor false"),
    (["create", "--bundle"], "needs a value"), (["create", "--bundle", "/no/such", "x"], "/no/such"),
])
def test_wrong_usage(clipper, arguments, words):
    result = clipper(*arguments)
    assert result.code == 1 and words in result.err and len(result.err.splitlines()) == 1, result
    assert result.out == ""


def test_delete_force_of_nothing(runtime):
    assert runtime("delete", "--force", "absent").code == 0


@pytest.mark.skipif(" - resctrl " in open("/proc/self/mountinfo").read(), reason="resctrl is mounted")
@pytest.mark.parametrize("refused", ["--l3-cache-schema", "--mem-bw-schema"])
def test_update_of_cache_without_resctrl(container, refused):
    made = container(["sleep", "1000"]).up()
    result = made.runtime("update", refused, "x", made.id)
    assert result.code == 1 and f"option {refused}: no resctrl filesystem is mounted" in result.err, result


# MARK: state, list, ps, spec, features

def test_state_and_list(make_container, runtime):
    """The same members, of the same kinds, in the same order as runc."""
    made = make_container(runtime, ["sleep", "1000"], lambda config: config.update(annotations={"b": "2", "a": "1"}))
    assert made.create().code == 0
    state = made.state()
    assert list(state) == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"]
    assert (state["id"], state["status"], state["bundle"]) == (made.id, "created", str(made.bundle.path))
    assert (state["rootfs"], state["annotations"], state["owner"]) == (str(made.bundle.rootfs), {"a": "1", "b": "2"}, "")
    assert os.path.exists(f"/proc/{state['pid']}") and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", state["created"])
    listed = runtime.ok("list", "--format", "json").json
    assert listed == [{**state, "owner": "root"}]
    assert runtime.ok("list", "-q").out == made.id + "\n"
    header, row = runtime.ok("list").out.splitlines()
    assert header.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert row.split() == [made.id, str(state["pid"]), "created", state["bundle"], state["created"], "root"]
    # Columns stand under their names.
    assert row.index("created") == header.index("STATUS") and row.index(state["bundle"]) == header.index("BUNDLE")
    assert made.start().code == 0 and made.status == "running"
    assert made.kill().code == 0
    made.wait_for("stopped")
    assert made.state()["pid"] == 0
    assert made.kill().code == 1


def test_list_of_nothing(runtime):
    assert runtime.ok("list", "-f", "json").out == "null\n"
    assert runtime.ok("list", "-q").out == ""


def test_ps(make_container, runtime):
    made = make_container(runtime, ["sh", "-c", "sleep 1000 & exec sleep 2000"]).up()
    wait_until(lambda: len(runtime.ok("ps", "-f", "json", made.id).json) == 2, what="two processes")
    pids = runtime.ok("ps", "--format", "json", made.id).json
    assert made.pid in pids
    lines = runtime.ok("ps", made.id).out.splitlines()
    assert lines[0].split()[:3] == ["UID", "PID", "PPID"] and len(lines) == 3
    lines = runtime.ok("ps", made.id, "-o", "pid,args").out.splitlines()
    assert lines[0].split()[0] == "PID"
    assert sorted(int(line.split()[0]) for line in lines[1:]) == sorted(pids)
    assert {"sleep 1000", "sleep 2000"} == {line.split(maxsplit=1)[1] for line in lines[1:]}
    assert runtime("ps", made.id, "-o", "args").code == 1, "without a column of pids nothing can be picked"


def test_spec(runtime, tmp_path):
    runtime.ok("spec", "--bundle", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["process"]["args"] == ["sh"] and config["process"]["terminal"] is True
    assert runtime("spec", "--bundle", tmp_path).code == 1, "an existing file stays"


def test_spec_rootless_is_as_runc_has_it(clipper, scope, tmp_path):
    runc = scope.runtime("runc") or pytest.skip("runc is not installed")
    configs = []
    for runtime in (clipper, runc):
        place = tmp_path / runtime.name
        place.mkdir()
        runtime.ok("spec", "--rootless", cwd=place)
        configs.append(json.loads((place / "config.json").read_text()))
    own, theirs = configs
    # A cgroup namespace needs no rights: runc 1.1.5 on v1 hosts alone has none in its template.
    kinds = [{n["type"] for n in config["linux"]["namespaces"]} - {"cgroup"} for config in configs]
    assert kinds[0] == kinds[1] and "user" in kinds[0] and "network" not in kinds[0]
    assert own["linux"]["uidMappings"] == theirs["linux"]["uidMappings"]
    assert own["linux"]["gidMappings"] == theirs["linux"]["gidMappings"]
    assert "resources" not in own["linux"] and "resources" not in theirs["linux"]
    for config in configs:
        sys = next(m for m in config["mounts"] if m["destination"] == "/sys")
        assert sys["source"] == "/sys" and "rbind" in sys["options"]
        assert not [o for m in config["mounts"] for o in m.get("options", []) if o.startswith(("uid=", "gid="))]


# MARK: logs

def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_log(make_container, runtime, tmp_path):
    """containerd's shim takes `msg` of the last entry whose level is error."""
    made = make_container(runtime, ["/no/such/program"])
    log = tmp_path / "log.json"
    result = made.run(globals=["--log", log, "--log-format", "json"])
    assert result.code == 1
    last = [e for e in entries(log) if e["level"] == "error"][-1]
    assert set(last) >= {"level", "msg", "time"}
    assert "/no/such/program" in last["msg"] and "no such file or directory" in last["msg"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", last["time"])
    assert "/no/such/program" in result.err


def test_debug_log(make_container, runtime, tmp_path):
    made = make_container(runtime, ["true"])
    log = tmp_path / "log.json"
    assert made.run(globals=["--log", log, "--log-format", "json"]).code == 0
    assert not log.exists() or entries(log) == []
    result = made.run(globals=["--debug", "--log", log, "--log-format", "json"])
    assert result.code == 0 and result.err == ""
    assert {e["level"] for e in entries(log)} == {"debug"}


def test_json_on_standard_error(clipper):
    result = clipper("state", "absent", options=["--log-format", "json"])
    entry = json.loads(result.err)
    assert (entry["level"], entry["msg"]) == ("error", "container does not exist: absent")


# MARK: exit codes and exec

def test_exit_codes(make_container, runtime):
    assert make_container(runtime, ["sh", "-c", "exit 42"]).run().code == 42
    # The first process of a pid namespace ignores what it sends itself; its parent namespace does it.
    made = make_container(runtime, ["sh", "-c", "echo ready; exec sleep 1000"])
    process = runtime.spawn("run", "--bundle", made.bundle.path, made.id, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
    assert made.kill("KILL").code == 0
    assert process.wait(60) == 137
    made = make_container(runtime, ["sleep", "1000"]).up()
    assert made.exec("sh", "-c", "exit 43").code == 43
    assert made.exec("sh", "-c", "kill -15 $$").code == 143
    assert made.exec("no-such-program").code == 255
    assert made.exec().code != 0
    assert runtime("exec", "absent", "true").code == 255


def test_kill_reaches_who_outlives_the_first_process(make_container, clipper):
    """In a pid namespace of others nobody ends with it. (runc does so since 1.2.)"""
    runtime = clipper
    shared = lambda config: config["linux"].update(namespaces=[n for n in config["linux"]["namespaces"] if n["type"] != "pid"])
    made = make_container(runtime, ["sleep", "1000"], shared).up()
    first = made.pid
    for _ in range(2):
        runtime.ok("exec", "--detach", made.id, "sleep", "1000")
    members = made.cgroup("pids") / "cgroup.procs"
    os.kill(first, signal.SIGKILL)
    made.wait_for("stopped")
    assert len(members.read_text().split()) == 2
    assert made.kill("TERM").code == 1
    assert made.kill("KILL").code == 0
    wait_until(lambda: members.read_text() == "")
    result = made.kill("KILL")
    assert result.code == 1 and "not running" in result.err, result


def test_a_container_named_like_a_command(clipper, scope):
    assert clipper("state", "exec").code == 1


def test_exec_options(make_container, runtime):
    made = make_container(runtime, ["sleep", "1000"]).up()
    script = "pwd; id -u; id -g; echo $A-$B; grep -E 'NoNewPrivs|CapBnd|Groups' /proc/self/status"
    options = ["--cwd", "/tmp", "-u", "33:44", "-e", "A=1", "-e", "B=x=y", "--no-new-privs", "-g", "7", "-g", "8",
               "--cap", "CAP_NET_RAW"]
    result = made.exec("sh", "-c", script, options=options)
    assert result.code == 0, result
    lines = result.out.split("\n")
    assert lines[:4] == ["/tmp", "33", "44", "1-x=y"]
    status = dict(line.split(":\t") for line in lines[4:] if line)
    assert status["NoNewPrivs"] == "1"
    assert {"7", "8"} <= set(status["Groups"].split())
    assert int(status["CapBnd"], 16) >> 13 & 1 == 1, "CAP_NET_RAW"
    result = made.exec("sh", "-c", "grep CapBnd /proc/self/status")
    assert int(result.out.split()[1], 16) >> 13 & 1 == 0


def test_exec_process_file(make_container, runtime, tmp_path):
    made = make_container(runtime, ["sleep", "1000"]).up()
    path = tmp_path / "process.json"
    path.write_text(json.dumps({
        "args": ["sh", "-c", "pwd; id -u; echo $ONLY; exit 5"], "cwd": "/bin", "env": ["PATH=/bin", "ONLY=this"],
        "user": {"uid": 9, "gid": 9}, "capabilities": {}}))
    result = made.exec(options=["--process", path])
    assert (result.code, result.out) == (5, "/bin\n9\nthis\n"), result


def test_exec_labels_are_not_ignored(container):
    """No AppArmor, no SELinux here: what cannot be given is refused."""
    if os.path.exists("/sys/module/apparmor") or os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("this kernel has them")
    made = container(["sleep", "1000"]).up()
    for option in ("--apparmor", "--process-label"):
        result = made.exec("true", options=[option, "profile"])
        assert result.code == 255 and len(result.err.splitlines()) == 1, result


def test_detached_exec_and_pid_file(make_container, runtime, tmp_path):
    made = make_container(runtime, ["sleep", "1000"]).up("--pid-file", tmp_path / "init")
    assert int((tmp_path / "init").read_text()) == made.pid
    result = made.exec("sleep", "500", options=["--detach", "--pid-file", tmp_path / "exec"])
    assert result.code == 0
    pid = int((tmp_path / "exec").read_text())
    assert pid in runtime.ok("ps", "-f", "json", made.id).json


def test_keep(make_container, runtime):
    made = make_container(runtime, ["true"])
    assert made.run("--keep").code == 0
    assert made.status == "stopped"
    assert made.delete().code == 0


@pytest.mark.parametrize("options", [[], ["--no-subreaper"]])
def test_subreaper(make_container, runtime, options):
    """An orphan of a container without a pid namespace is a child of the runtime, unless it does not want it."""
    def edit(config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]
        config["mounts"] = [m for m in config["mounts"] if m["destination"] != "/proc"]
        config["mounts"].append({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]})
        config["linux"].pop("maskedPaths"), config["linux"].pop("readonlyPaths")
    made = make_container(runtime, ["sh", "-c", "sh -c 'sleep 301 & echo $! $$'; sleep 1000"], edit)
    process = runtime.spawn("run", *options, "--bundle", made.bundle.path, made.id, stdin=subprocess.DEVNULL)
    try:
        orphan, former = map(int, process.stdout.readline().split())

        def parent():
            with open(f"/proc/{orphan}/stat") as file:
                return int(file.read().rsplit(")", 1)[1].split()[1])
        wait_until(lambda: parent() != former, what="another parent")
        assert (parent() == process.pid) == (options == [])
    finally:
        made.remove()
        process.wait(30)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


# MARK: descriptors

def receive_descriptor(listener):
    connection, _ = listener.accept()
    with connection:
        data, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
    numbers = array.array("i")
    for _, kind, content in ancillary:
        assert kind == socket.SCM_RIGHTS
        numbers.frombytes(content)
    assert len(numbers) == 1
    return data, numbers[0]


@pytest.fixture
def listener(tmp_path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        listening.settimeout(30)
        yield listening


def test_pidfd_socket(container, listener, tmp_path):
    made = container(["sleep", "1000"])
    assert made.create("--pidfd-socket", tmp_path / "socket").code == 0
    data, pidfd = receive_descriptor(listener)
    text = open(f"/proc/self/fdinfo/{pidfd}").read()
    os.close(pidfd)
    assert data == b"standard" and int(re.search(r"^Pid:\s+(\d+)$", text, re.M)[1]) == made.pid
    assert made.start().code == 0
    assert made.exec("sleep", "100", options=["-d", "--pid-file", tmp_path / "pid", "--pidfd-socket", tmp_path / "socket"]).code == 0
    data, pidfd = receive_descriptor(listener)
    text = open(f"/proc/self/fdinfo/{pidfd}").read()
    os.close(pidfd)
    assert data == b"setns" and re.search(r"^Pid:\s+(\d+)$", text, re.M)[1] == (tmp_path / "pid").read_text()


def test_failing_pidfd_socket_leaves_nothing(container, tmp_path):
    made = container(["sleep", "1000"])
    result = made.create("--pidfd-socket", tmp_path / "absent")
    assert result.code == 1 and "connect to pidfd socket" in result.err
    assert made.status is None


@pytest.mark.parametrize("command", ["run", "exec"])
def test_preserve_fds(make_container, runtime, command, tmp_path):
    """Descriptors 3 and 4 come in, 5 does not; a log file changes nothing of it."""
    paths = [tmp_path / name for name in ("three", "four", "five")]
    for path in paths:
        path.write_text(path.name)

    def open_them():
        for number, path in zip((3, 4, 5), paths):
            opened = os.open(path, os.O_RDONLY)
            os.dup2(opened, number)
    script = "for n in 3 4 5; do cat <&$n; echo; done 2>/dev/null; ls /proc/self/fd | wc -l"
    logged = ["--log", tmp_path / "log", "--log-format", "json"]
    how = {"preexec_fn": open_them, "pass_fds": (3, 4, 5), "globals": logged}
    if command == "run":
        result = make_container(runtime, ["sh", "-c", script]).run("--preserve-fds", "2", **how)
    else:
        result = make_container(runtime, ["sleep", "1000"]).up().exec("sh", "-c", script, options=["--preserve-fds", "2"], **how)
    lines = result.out.split()
    assert lines[:2] == ["three", "four"] and "five" not in lines, result


@pytest.mark.parametrize("command", ["run", "exec"])
@pytest.mark.parametrize("count", ["1", "3", "20"])
def test_missing_preserved_descriptor(container, command, count):
    """Nothing of the runtime's own takes the place of a descriptor that was not handed over."""
    if command == "run":
        result = container().run("--preserve-fds", count)
    else:
        result = container(["sleep", "1000"]).up().exec("ls", "/proc/self/fd", options=["--preserve-fds", count])
    assert result.code == (1 if command == "run" else 255)
    assert "descriptor 3 is not open" in result.err and result.out == "", result


def test_listen_fds(make_container, runtime, tmp_path):
    """Socket activation: LISTEN_FDS descriptors from 3 on belong to the container's first process."""
    (tmp_path / "given").write_text("given")

    def open_it():
        os.dup2(os.open(tmp_path / "given", os.O_RDONLY), 3)
    made = make_container(runtime, ["sh", "-c", "echo $LISTEN_FDS $LISTEN_PID; cat <&3"])
    # Only the process that is meant by LISTEN_PID takes them; a shell that becomes the runtime is one.
    bundle = made.bundle
    bundle.save()
    command = " ".join(runtime.arguments("run", "--bundle", bundle.path, made.id))
    result = subprocess.run(["sh", "-c", f"LISTEN_PID=$$ LISTEN_FDS=1 exec {command}"], preexec_fn=open_it, pass_fds=(3,),
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert result.stdout == "1 1\ngiven", result
