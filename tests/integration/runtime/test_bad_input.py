"""Wrong input: one line that names the field, exit code 1, and nothing left behind."""

import json
import os
import re
import time

import pytest

from .harness import cgroup_directories, processes_of


def check_nothing_left(made):
    assert not (made.runtime.root / made.id).exists()
    assert cgroup_directories(made.id) == [] and processes_of(made.id) == []


def check_refusal(result, made, *words):
    """One line on standard error with these words in it, exit code 1, no trace."""
    assert result.code == 1, result
    lines = result.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("clipper-runtime: ") and result.out == "", result
    for word in words:
        assert word in lines[0], result
    assert len(lines[0]) < 5000 and lines[0].isprintable(), result
    check_nothing_left(made)


def set_field(config, path, value):
    """`linux.namespaces[0].type` and the like, with what is missing on the way."""
    parts = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]
    place = config
    for part, following in zip(parts, parts[1:]):
        empty = [] if isinstance(following, int) else {}
        if isinstance(part, int):
            while len(place) <= part:
                place.append({})
            place = place[part]
        else:
            place = place.setdefault(part, empty)
    if isinstance(parts[-1], int):
        while len(place) <= parts[-1]:
            place.append(None)
    place[parts[-1]] = value


@pytest.fixture(params=["create", "run"])
def attempt(request):
    """Tries both commands that read config.json."""
    return lambda made: made.runtime(request.param, "--bundle", made.bundle.path, made.id)


def write_config(made, content):
    (made.bundle.path / "config.json").write_bytes(content)


# MARK: config.json itself

def test_no_config(container, attempt):
    made = container()
    (made.bundle.path / "config.json").unlink()
    check_refusal(attempt(made), made, "config.json", "no such file")


def test_config_is_a_directory(container, attempt):
    made = container()
    (made.bundle.path / "config.json").unlink()
    (made.bundle.path / "config.json").mkdir()
    check_refusal(attempt(made), made, "config.json", "is a directory")


def test_no_bundle(container, clipper):
    made = container()
    check_refusal(clipper("create", "--bundle", made.bundle.path / "nothere", made.id), made, "nothere", "no such file")


@pytest.mark.parametrize("content", [
    b"", b" ", b"hello", b"{", b'{"ociVersion": "1.0.2"', b'{"ociVersion": "1.0.2",}', b'{"ociVersion": 1.0.2}', b"\xff\xfe{}",
    b'{"a": "\x01"}', b'{"a": 01}', b"{} {}", b'{"a": "\\x"}', b"\0" * 100, b"\x1b[2J", b'{"a": tru}', b"[1,]", b"'a'"])
def test_not_json(container, attempt, content):
    made = container()
    write_config(made, content)
    check_refusal(attempt(made), made, "config.json", "line 1")


@pytest.mark.parametrize("content", [b"[]", b"null", b"7", b'"x"', b"true"])
def test_no_object(container, attempt, content):
    made = container()
    write_config(made, content)
    check_refusal(attempt(made), made, "config.json: expected an object")


@pytest.mark.parametrize("bracket", [b"[", b'{"a":', b'{"linux":{"resources":{"x":[', b'{"annotations":{"a":' + b"[" * 400])
def test_nested_deeply(container, attempt, bracket):
    """Ten megabytes of it: no overflow of the stack, no long work."""
    made = container()
    write_config(made, bracket * ((10 << 20) // len(bracket)))
    started = time.monotonic()
    check_refusal(attempt(made), made, "config.json", "nested deeper than")
    assert time.monotonic() - started < 20


def test_nested_deeply_and_closed(container, attempt):
    made = container()
    write_config(made, b"[" * 100000 + b"]" * 100000)
    check_refusal(attempt(made), made, "nested deeper than")


# MARK: Fields of the wrong type or value

WRONG_TYPES = [
    ("ociVersion", 1), ("process", []), ("process", "sh"), ("process.args", "sh"), ("process.args[0]", 5), ("process.args[0]", None),
    ("process.cwd", {}), ("process.env", {}), ("process.env[0]", 1), ("process.user", 0), ("process.user.uid", "root"),
    ("process.user.uid", -1), ("process.user.uid", 1 << 32), ("process.user.uid", 1.5), ("process.user.additionalGids", 5),
    ("process.user.additionalGids[0]", "x"), ("process.terminal", "yes"), ("process.noNewPrivileges", 1),
    ("process.capabilities", []), ("process.capabilities.bounding", "CAP_KILL"), ("process.capabilities.effective[0]", 3),
    ("process.rlimits", {}), ("process.rlimits[0].soft", -5), ("process.rlimits[0].hard", "unlimited"), ("process.oomScoreAdj", "0"),
    ("root", "rootfs"), ("root.path", 5), ("root.readonly", "true"), ("hostname", 5), ("domainname", []), ("mounts", {}),
    ("mounts[0]", "proc"), ("mounts[0].destination", 1), ("mounts[0].options", "ro"), ("mounts[0].options[0]", True),
    ("annotations", []), ("annotations.x", 5), ("hooks", []), ("hooks.prestart", {}), ("hooks.poststop[0].path", 1),
    ("linux", []), ("linux.namespaces", {}), ("linux.namespaces[0].type", 1),
    ("linux.namespaces[0].path", 1), ("linux.uidMappings", {}), ("linux.uidMappings[0].containerID", -1), ("linux.devices", {}),
    ("linux.devices[0].path", 5), ("linux.sysctl", []), ("linux.sysctl.kernel", 5), ("linux.maskedPaths", "x"),
    ("linux.readonlyPaths[0]", 5), ("linux.cgroupsPath", 5), ("linux.rootfsPropagation", 5), ("linux.resources", []),
    ("linux.resources.memory", 5), ("linux.resources.memory.limit", "64m"), ("linux.resources.cpu.shares", -1),
    ("linux.resources.cpu.cpus", 0), ("linux.resources.pids.limit", "5"), ("linux.resources.devices[0].allow", 1),
    ("linux.resources.unified", []), ("linux.seccomp", []), ("linux.seccomp.defaultAction", 1),
]


@pytest.mark.parametrize("field, value", WRONG_TYPES, ids=[f"{f}={v!r}"[:50] for f, v in WRONG_TYPES])
def test_wrong_type(container, field, value):
    made = container(edit=lambda config: set_field(config, field, value))
    check_refusal(made.create(), made, f"config.json: {field}: expected ")


def mappings(*ones):
    return [{"containerID": one, "hostID": two, "size": size} for one, two, size in ones]


def in_user_namespace(uids, gids=None):
    def edit(config):
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"].update(uidMappings=uids, gidMappings=gids or mappings((0, 100000, 10)))
    return edit


def setting(field, value):
    return lambda config: set_field(config, field, value)


def without(*path):
    def edit(config):
        place = config
        for part in path[:-1]:
            place = place[part]
        del place[path[-1]]
    return edit


def append(path, value):
    def edit(config):
        place = config
        for part in path.split("."):
            place = place[part]
        place.append(value)
    return edit


WRONG_VALUES = {
    "no version": (without("ociVersion"), "ociVersion"), "empty version": (setting("ociVersion", ""), "ociVersion"),
    "version 2": (setting("ociVersion", "2.0.0"), "ociVersion"), "version 0": (setting("ociVersion", "0.9.0"), "ociVersion"),
    "version of words": (setting("ociVersion", "latest"), "ociVersion"),
    "no process": (without("process"), "process"), "no args": (setting("process.args", []), "process.args"),
    "empty arg": (setting("process.args[0]", ""), 'exec: "": executable file not found in $PATH'), "zero byte": (setting("process.args[0]", "a\0b"), "process.args[0]"),
    "no cwd": (without("process", "cwd"), "process.cwd"), "relative cwd": (setting("process.cwd", "tmp"), "process.cwd"),
    "unknown capability": (setting("process.capabilities.bounding[1]", "CAP_MOON"), "process.capabilities.bounding[1]"),
    "capability in small letters": (setting("process.capabilities.effective[0]", "cap_kill"), "process.capabilities.effective[0]"),
    "unknown limit": (setting("process.rlimits[0]", {"type": "RLIMIT_MOON", "soft": 1, "hard": 1}), "process.rlimits[0].type"),
    "limit twice": (append("process.rlimits", {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}), "process.rlimits[1].type"),
    "soft above hard": (setting("process.rlimits[0]", {"type": "RLIMIT_CORE", "soft": 2, "hard": 1}), "process.rlimits[0].soft"),
    "oom score": (setting("process.oomScoreAdj", 1001), "process.oomScoreAdj"),
    "umask": (setting("process.user.umask", 0o1000), "process.user.umask"),
    "no root": (without("root"), "root"), "no root path": (setting("root.path", ""), "root.path"),
    "root that is not there": (setting("root.path", "nothere"), "nothere"),
    "hostname too long": (setting("hostname", "x" * 65), "hostname"),
    "no destination": (setting("mounts[0].destination", ""), "mounts[0].destination"),
    "escaping destination": (setting("mounts[0].destination", "/a/../../etc"), "mounts[0].destination"),
    "bind without source": (append("mounts", {"destination": "/x", "type": "bind"}), "source"),
    "bind of nothing": (append("mounts", {"destination": "/x", "type": "bind", "source": "/nothere"}), "/nothere"),
    "unknown filesystem": (append("mounts", {"destination": "/tmp", "type": "moonfs", "source": "moon"}), "/tmp"),
    "namespace twice": (append("linux.namespaces", {"type": "pid"}), "linux.namespaces["),
    "unknown namespace": (append("linux.namespaces", {"type": "moon"}), "linux.namespaces["),
    "namespace of nothing": (append("linux.namespaces", {"type": "user", "path": "/nothere"}), "/nothere"),
    "namespace path is no namespace": (append("linux.namespaces", {"type": "user", "path": "/etc/hostname"}), "/etc/hostname"),
    "mappings without namespace": (setting("linux.uidMappings", mappings((0, 1, 1))), "linux.uidMappings"),
    "namespace without mappings": (append("linux.namespaces", {"type": "user"}), "linux.uidMappings"),
    "mapping of size 0": (in_user_namespace(mappings((0, 1000, 0))), "linux.uidMappings[0].size"),
    "mapping beyond the last id": (in_user_namespace(mappings((4294967295, 0, 2))), "linux.uidMappings[0]"),
    "overlap inside": (in_user_namespace(mappings((0, 1000, 10), (5, 5000, 1))), "linux.uidMappings[1]"),
    "overlap outside": (in_user_namespace(mappings((0, 1000, 10), (50, 1009, 1))), "linux.uidMappings[1]"),
    "too many mappings": (in_user_namespace(mappings(*((2 * n, 2 * n, 1) for n in range(341)))), "linux.uidMappings"),
    "wrong gid mapping": (in_user_namespace(mappings((0, 1, 1)), mappings((0, 1, 0))), "linux.gidMappings[0].size"),
    "root is not mapped": (in_user_namespace(mappings((1, 100000, 10))), "linux.uidMappings"),
    "user is not mapped": (
        lambda config: [in_user_namespace(mappings((0, 100000, 10)))(config), set_field(config, "process.user.uid", 10)] and None, "process.user.uid"),
    "escaping device": (setting("linux.devices[0]", {"path": "/dev/../x", "type": "c", "major": 1, "minor": 3}), "linux.devices[0].path"),
    "unknown kind of device": (setting("linux.devices[0]", {"path": "/dev/x", "type": "z", "major": 1, "minor": 3}), "linux.devices[0].type"),
    "device without numbers": (setting("linux.devices[0]", {"path": "/dev/x", "type": "c"}), "linux.devices[0].major"),
    "relative masked path": (setting("linux.maskedPaths[0]", "proc"), "linux.maskedPaths[0]"),
    "relative read-only path": (setting("linux.readonlyPaths[0]", "proc"), "linux.readonlyPaths[0]"),
    "unknown propagation": (setting("linux.rootfsPropagation", "sideways"), "linux.rootfsPropagation"),
    "host's sysctl": (lambda config: config["linux"].update(sysctl={"kernel.panic": "1"}), "linux.sysctl.kernel.panic"),
    "escaping sysctl": (lambda config: config["linux"].update(sysctl={"net.../../kernel/panic": "1"}), "net."),
    "sysctl that is not there": (lambda config: config["linux"].update(sysctl={"net.moon": "1"}), "net.moon"),
    "sysctl of nonsense": (lambda config: config["linux"].update(sysctl={"net.ipv4.ip_forward": "moon"}), "net.ipv4.ip_forward"),
    "escaping cgroup": (setting("linux.cgroupsPath", "/../../moon"), "cgroup"),
    "unknown seccomp action": (setting("linux.seccomp", {"defaultAction": "SCMP_ACT_MOON"}), "linux.seccomp.defaultAction"),
    "no seccomp action": (setting("linux.seccomp", {}), "linux.seccomp.defaultAction"),
    "unknown architecture": (
        setting("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_MOON"]}), "linux.seccomp.architectures[0]"),
    "relative hook": (setting("hooks", {"prestart": [{"path": "true"}]}), "hooks.prestart[0].path"),
    "hook without path": (setting("hooks", {"poststop": [{}]}), "hooks.poststop[0].path"),
    "hook with timeout 0": (setting("hooks", {"prestart": [{"path": "/bin/true", "timeout": 0}]}), "hooks.prestart[0].timeout"),
    "windows": (setting("windows", {"layerFolders": []}), "windows"), "vm": (setting("vm", {"kernel": {}}), "vm"),
    "negative weight": (setting("linux.resources.blockIO", {"weight": -5}), "linux.resources.blockIO.weight"),
    "cpus of nonsense": (setting("linux.resources.cpu", {"cpus": "moon"}), "cpu"),
    "terminal characters": (setting("process.cwd", "\x1b[2J\r\nno\x9b"), "process.cwd"),
}


@pytest.mark.parametrize("what", WRONG_VALUES)
def test_wrong_value(container, what):
    edit, field = WRONG_VALUES[what]
    made = container(edit=edit)
    check_refusal(made.create(), made, field)


# MARK: Much

def check_much(made):
    """Much is no reason to refuse: what is possible works, and what is not is told in one line, soon."""
    started = time.monotonic()
    result = made.run()
    assert time.monotonic() - started < 40
    if result.code != 0:
        check_refusal(result, made)
    check_nothing_left(made)
    return result


def test_ten_megabytes_of_annotation(container):
    made = container(["echo", "fine"], edit=lambda config: config.update(annotations={"x": "y" * (10 << 20)}))
    assert check_much(made).out == "fine\n"


def test_ten_megabytes_of_unknown_fields(container):
    made = container(["echo", "fine"], edit=lambda config: config.update(unknown=[{"n": n, "s": "x" * 80} for n in range(100000)]))
    assert check_much(made).out == "fine\n"


def test_ten_megabytes_of_white_space(container, clipper):
    made = container(["echo", "fine"])
    write_config(made, b" " * (10 << 20) + json.dumps(made.config).encode())
    assert clipper("run", "--bundle", made.bundle.path, made.id).out == "fine\n"


def test_ten_megabytes_of_arguments(container):
    made = container(["echo", *("x" * 100 for _ in range(100000))])
    assert "argument list too long" in check_much(made).err


def test_ten_megabytes_in_one_value(container):
    made = container(edit=setting("process.cwd", "x" * (10 << 20)))
    assert "process.cwd" in check_much(made).err


def test_many_masked_paths(container):
    made = container(["echo", "fine"], edit=lambda config: config["linux"].update(maskedPaths=[f"/nothere/{n}" for n in range(200000)]))
    assert check_much(made).out == "fine\n"


def test_many_namespaces(container):
    made = container(edit=lambda config: config["linux"].update(namespaces=[{"type": "pid"}] * 300000))
    assert "linux.namespaces[1]" in check_much(made).err


def test_many_mappings(container):
    made = container(edit=in_user_namespace(mappings(*((n, n, 1) for n in range(100000)))))
    assert "linux.uidMappings" in check_much(made).err


# MARK: Other documents

@pytest.mark.parametrize("content, word", [
    (b"", "line 1"), (b"[]", "expected an object"), (b'{"args": 5}', "args"), (b'{"args": ["true"]}', "cwd"),
    (b'{"args": ["true"], "cwd": "/", "user": {"uid": "x"}}', "user.uid"), (b"{" * 1000, "line 1"),
    (b'{"args": ["true"], "cwd": "/", "capabilities": {"bounding": ["CAP_MOON"]}}', "capabilities.bounding[0]")])
def test_process_of_exec(container, content, word):
    made = container(["sleep", "1000"]).up()
    path = made.bundle.path / "process.json"
    path.write_bytes(content)
    result = made.runtime("exec", "--process", path, made.id)
    assert result.code == 255 and len(result.err.splitlines()) == 1 and word in result.err, result
    assert made.status == "running"


@pytest.mark.parametrize("content, word", [
    (b"", "line 1"), (b"[]", "expected an object"), (b'{"memory": 5}', "memory"), (b'{"memory": {"limit": "64m"}}', "memory.limit"),
    (b'{"pids": {"limit": 1.5}}', "pids.limit"), (b"[" * 1000, "nested deeper")])
def test_resources_of_update(container, content, word):
    made = container(["sleep", "1000"]).up()
    path = made.bundle.path / "resources.json"
    path.write_bytes(content)
    result = made.runtime("update", "--resources", path, made.id)
    assert result.code == 1 and len(result.err.splitlines()) == 1 and word in result.err, result


@pytest.mark.parametrize("content", [
    b"", b"{}", b"{", b"[1]", b"\xff" * 100, b'{"id": 5}', pytest.param(b"[" * 1000000, id="brackets")])
def test_unreadable_state(container, clipper, content):
    """A state file that cannot be read is told of, hides nobody else, and delete --force takes it away."""
    made, other = container(["sleep", "1000"]).up(), container(["sleep", "1000"]).up()
    path = clipper.root / made.id / "state.json"
    pid = made.pid
    path.write_bytes(content)
    result = clipper("state", made.id)
    assert result.code == 1 and len(result.err.splitlines()) == 1 and made.id in result.err, result
    listed = clipper("list", "-q")
    assert listed.code == 0 and listed.out.split() == [other.id]
    assert clipper("delete", "--force", made.id).code == 0
    assert not (clipper.root / made.id).exists()
    # Which processes were its own was in that file alone: they are ended here.
    os.kill(pid, 9)


# MARK: Names

IDS = ["", ".", "..", "a/b", "/", "../x", "a b", " ", "ä", "a:b", "a%b", "a\nb", "a=b", "~", "@x", "$x", "a*", "x\\y", "\x1b[2J",
       "a", "A-b_c+d.e", "...", "_", "0", "-x", ".hidden", "x" * 255]


@pytest.mark.parametrize("identifier", IDS, ids=[repr(i)[:20] for i in IDS])
def test_ids_are_those_of_runc(scope, clipper, identifier):
    """Neither makes a container here; they only differ from "does not exist" for what can be no name."""
    runc = scope.runtime("runc")
    if runc is None:
        pytest.skip("runc is not installed")
    ours, theirs = (runtime("state", "--", identifier) for runtime in (clipper, runc))
    assert ours.code == theirs.code == 1 and len(ours.err.splitlines()) == 1, ours
    assert ("does not exist" in ours.err) == ("does not exist" in theirs.err), (ours, theirs)
    assert ours.err.strip().isprintable()


def test_id_too_long_for_a_directory(container, clipper):
    made = container()
    result = clipper("create", "--bundle", made.bundle.path, "x" * 256)
    assert result.code == 1 and "too long" in result.err and len(result.err.splitlines()) == 1, result
    assert clipper.ids() == []


def test_id_is_taken(container, clipper):
    made = container(["sleep", "1000"]).up()
    pid = made.pid
    result = made.create()
    assert result.code == 1 and "exists" in result.err and made.id in result.err, result
    assert (made.status, made.pid) == ("running", pid)


def test_list_shows_containers_alone(container, clipper):
    """What the runtime keeps beside its containers' directories is no container."""
    made = container(edit=setting("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW"}))
    assert made.run().code == 0
    listed = clipper("list")
    assert (listed.code, listed.err, len(listed.out.splitlines())) == (0, "", 1), listed


@pytest.mark.parametrize("arguments", [
    ["nosuch"], ["create"], ["create", "a", "b"], ["create", "--nosuch", "a"], ["state"], ["kill", "a", "SIGMOON"], ["list", "--format", "moon"],
    ["--log-format", "moon", "list"], ["create", "--preserve-fds", "moon", "a"], ["create", "--preserve-fds", "-1", "a"],
    ["run", "--bundle"], ["exec", "nosuch"], ["exec", "--user", "root", "nosuch", "true"], ["delete", "nosuch"], ["start", "nosuch"],
    ["ps", "nosuch"], ["pause", "nosuch"], ["resume", "nosuch"], ["update", "--memory", "moon", "nosuch"]])
def test_wrong_command_line(clipper, arguments):
    result = clipper(*arguments)
    assert result.code == (255 if "exec" in arguments else 1), result
    assert result.err.strip() and "Fatal error" not in result.err, result
