"""Containers of a user who is not root: one id of their own, and ranges of /etc/subuid by newuidmap(1).

The user has a number that the machine knows no name for until these tests lay files over /etc/passwd, /etc/subuid and
/etc/subgid in a mount namespace of their own. No control group is theirs to write.
"""

import json
import os
import pathlib
import pty
import shutil
import subprocess

import pytest

from .harness import Container, PROGRAM, Runtime, call, find_program, wait_until

UID = 61234
GID = 61235
FIRST = 3_000_000
MAPPED = find_program("newuidmap") and find_program("newgidmap")


class RootlessRuntime(Runtime):
    """The runtime as that user, in a mount namespace that knows them."""

    def __init__(self, scope, place):
        self.place = place
        etc = place / "etc"
        etc.mkdir(parents=True)
        (etc / "passwd").write_text(pathlib.Path("/etc/passwd").read_text() + f"clprt:x:{UID}:{GID}::/nowhere:/bin/sh\n")
        (etc / "subuid").write_text(f"clprt:{FIRST}:65536\n")
        (etc / "subgid").write_text(f"clprt:{FIRST}:65536\n")
        overlay = " && ".join(f"mount --bind {etc}/{name} /etc/{name}" for name in ["passwd", "subuid", "subgid"] if pathlib.Path(f"/etc/{name}").exists())
        # What the program is called is looked at by nobody; where it lies must be open to the user.
        program = place / "clipper-runtime"
        shutil.copy(PROGRAM, program)
        program.chmod(0o755)
        root = place / "root"
        root.mkdir()
        os.chown(root, UID, GID)
        super().__init__("clipper", ["unshare", "-m", "sh", "-c", f'{overlay} && exec setpriv --reuid {UID} --regid {GID} --clear-groups "$0" "$@"', program], root)


@pytest.fixture(scope="module")
def rootless(scope):
    place = scope.scratch / "rootless"
    place.mkdir(mode=0o755)
    return RootlessRuntime(scope, place)


@pytest.fixture
def make(rootless, scope, undo, request):
    def made(args=("true",), edit=None, ids="one"):
        name = scope.name(request.node.name)
        bundle = scope.bundle(name, args)
        config = bundle.config
        config["linux"].pop("cgroupsPath")
        config["linux"].pop("resources", None)
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"]] + [{"type": "user"}]
        one = [{"containerID": 0, "hostID": UID, "size": 1}]
        config["linux"]["uidMappings"] = one
        config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": GID, "size": 1}]
        if ids == "range":
            for key in ("uidMappings", "gidMappings"):
                config["linux"][key] = config["linux"][key] + [{"containerID": 1, "hostID": FIRST, "size": 65535}]
        for mount in config["mounts"]:
            if mount["type"] == "devpts" and ids == "one":
                mount["options"] = [o for o in mount["options"] if not o.startswith("gid=")]
        # The groups of this user's container belong to others.
        config["mounts"] = [m for m in config["mounts"] if m["type"] != "cgroup"]
        config["root"]["readonly"] = False
        if edit:
            edit(config)
        subprocess.run(["chown", "-hR", f"{UID}:{GID}", str(bundle.path)], check=True)
        undo(bundle.remove)
        container = Container(rootless, name, bundle)
        undo(container.remove)
        return container
    return made


KINDS = ["one", pytest.param("range", marks=pytest.mark.skipif(not MAPPED, reason="needs newuidmap"))]


@pytest.mark.parametrize("ids", KINDS)
def test_run(make, ids):
    made = make(["sh", "-c", "id -u; id -g; cat /proc/self/uid_map; echo $$; hostname; cat /proc/self/setgroups"], ids=ids)
    result = made.run()
    assert result.code == 0, result
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[:2] == [["0"], ["0"]]
    assert lines[2] == ["0", str(UID), "1"]
    rest = lines[3:] if ids == "one" else lines[4:]
    if ids == "range":
        assert lines[3] == ["1", str(FIRST), "65535"]
    assert rest == [["1"], [made.config["hostname"]], ["deny" if ids == "one" else "allow"]]
    assert made.state() is None


@pytest.mark.parametrize("ids", KINDS)
def test_life(make, ids):
    made = make(["sh", "-c", "echo $$ > /tmp/up; exec sleep 300"], ids=ids)
    assert made.create().code == 0
    assert made.status == "created"
    assert os.stat(f"/proc/{made.pid}").st_uid in (0, UID)
    assert made.start().code == 0
    wait_until(lambda: (made.bundle.rootfs / "tmp/up").exists())
    assert made.status == "running"
    result = made.exec("sh", "-c", "id -u; readlink /proc/self/ns/pid; readlink /proc/self/ns/user; readlink /proc/self/ns/mnt; exit 9")
    assert result.code == 9, result
    assert result.out.split() == ["0", *(os.readlink(f"/proc/{made.pid}/ns/{kind}") for kind in ["pid", "user", "mnt"])]
    assert made.kill("TERM").code == 0 and made.kill("KILL").code == 0
    made.wait_for("stopped")
    assert made.delete().code == 0
    assert made.state() is None


def test_everything_in_the_container_is_the_users(make):
    made = make(["sleep", "300"]).up()
    assert os.stat(f"/proc/{made.pid}").st_uid == UID
    status = pathlib.Path(f"/proc/{made.pid}/status").read_text()
    assert f"Uid:\t{UID}\t{UID}\t{UID}\t{UID}" in status
    # Root in there, with what the config gives and no more.
    assert made.exec("sh", "-c", "grep CapEff /proc/self/status").out.split()[1] == "0000000020000420"


@pytest.mark.skipif(not MAPPED, reason="needs newuidmap")
def test_other_users_and_groups(make):
    def edit(config):
        config["process"]["user"] = {"uid": 33, "gid": 34, "additionalGids": [5, 7]}
    made = make(["sh", "-c", "id -u; id -g; id -G; touch /tmp/mine"], edit, ids="range")
    result = made.run()
    assert result.code == 0, result
    assert result.out.split() == ["33", "34", "34", "5", "7"]
    status = (made.bundle.rootfs / "tmp/mine").stat()
    assert (status.st_uid, status.st_gid) == (FIRST + 32, FIRST + 33)


def test_groups_that_cannot_be_given_are_refused(make):
    """The user namespace of one id forbids setgroups: no container runs with fewer groups than asked for."""
    result = make(["true"], lambda config: config["process"]["user"].update(additionalGids=[0])).run()
    assert result.code == 1 and "setgroups" in result.err, result


@pytest.mark.skipif(not MAPPED, reason="needs newuidmap")
@pytest.mark.parametrize("first,size", [(FIRST - 10, 5), (FIRST, 65537), (0, 1)])
def test_ids_of_others_are_refused(make, first, size):
    def edit(config):
        config["linux"]["uidMappings"] = [{"containerID": 0, "hostID": first, "size": size}]
    result = make(["true"], edit, ids="range").run()
    assert result.code == 1 and "newuidmap" in result.err and len(result.err.splitlines()) == 1, result


def test_ranges_need_newuidmap(make, rootless):
    made = make(["true"], ids="range")
    made.bundle.save()
    arguments = rootless.arguments("run", "-b", made.bundle.path, made.id)
    # Programs for the way in by their paths; the runtime finds nothing in its own.
    arguments = [find_program(arguments[0]), *arguments[1:]]
    arguments[4] = arguments[4].replace("exec setpriv", f"exec env PATH=/nowhere {find_program('setpriv')}")
    result = call(arguments)
    assert result.code == 1 and "newuidmap is not installed" in result.err, result


def test_no_user_namespace_is_refused(make):
    def edit(config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "user"]
        config["linux"].pop("uidMappings"), config["linux"].pop("gidMappings")
    result = make(["true"], edit).run()
    assert result.code == 1 and "needs a user namespace" in result.err, result


def test_limits_without_a_control_group_are_refused(make):
    result = make(["true"], lambda config: config["linux"].update(resources={"pids": {"limit": 10}})).run()
    assert result.code == 1 and "control group" in result.err, result


def test_control_group_by_name_is_refused(make):
    result = make(["true"], lambda config: config["linux"].update(cgroupsPath="/somewhere")).run()
    assert result.code == 1 and "cgroup" in result.err and "permission denied" in result.err, result


@pytest.mark.parametrize("word", ["auto", "true", "1", "false", "F"])
def test_a_user_who_is_said_to_be_root(make, word):
    """With `--rootless false` nothing is done without."""
    result = make(["true"]).run(globals=["--rootless", word])
    if word in ("false", "F"):
        assert result.code == 1 and "cgroup" in result.err and "permission denied" in result.err, result
    else:
        assert result.code == 0 and result.err == "", result


@pytest.mark.parametrize("word", ["auto", "true", "false"])
def test_root_who_may_make_no_control_group(make_container, scope, word):
    """Whose rights end where somebody has mounted the hierarchies read-only: `--rootless true` makes do without a group."""
    lock = 'for group in /sys/fs/cgroup /sys/fs/cgroup/*; do ! mountpoint -q $group || mount -o remount,bind,ro $group; done; exec "$0" "$@"'
    root = Runtime("clipper", ["unshare", "-m", "sh", "-c", lock, PROGRAM], scope.scratch / f"root-{word}")

    def edit(config):
        for key in ("cgroupsPath", "resources"):
            config["linux"].pop(key, None)
        config["mounts"] = [m for m in config["mounts"] if m["type"] != "cgroup"]
    made = make_container(root, ["true"], edit)
    result = made.run(globals=["--rootless", word])
    if word == "true":
        assert result.code == 0 and result.err == "", result
    else:
        assert result.code == 1 and "read-only file system" in result.err and made.status is None, result


@pytest.mark.parametrize("command", ["pause", "ps"])
def test_commands_that_need_a_control_group_say_so(make, rootless, command):
    made = make(["sleep", "300"]).up()
    result = rootless(command, made.id)
    assert result.code == 1 and "control group" in result.err, result


@pytest.mark.parametrize("score,code", [(500, 0), (-500, 1)])
def test_oom_score(make, score, code):
    """Raising is everybody's right, lowering is not."""
    result = make(["cat", "/proc/self/oom_score_adj"], lambda config: config["process"].update(oomScoreAdj=score)).run()
    assert result.code == code, result
    assert (result.out == f"{score}\n") if code == 0 else ("oom score" in result.err), result


def test_terminal(make, rootless):
    made = make(["sh", "-c", "tty; test -c /dev/console && echo console"], lambda config: config["process"].update(terminal=True))
    made.bundle.save()
    master, slave = pty.openpty()
    process = subprocess.Popen(rootless.arguments("run", "-b", made.bundle.path, made.id), stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    assert process.wait(60) == 0
    assert b"/dev/pts/0" in (seen := os.read(master, 4096)) and b"console" in seen
    os.close(master)


def test_time_namespace(make):
    def edit(config):
        config["linux"]["namespaces"].append({"type": "time"})
        config["linux"]["timeOffsets"] = {"boottime": {"secs": 500_000}}
    made = make(["sleep", "300"], edit).up()
    assert float(made.exec("cat", "/proc/uptime").out.split()[0]) > 500_000


@pytest.mark.parametrize("point", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
def test_hooks(make, point):
    made = make(["true"])
    seen = made.bundle.rootfs / "tmp/seen"
    path = "/tmp/seen" if point == "startContainer" else seen
    made.config["hooks"] = {point: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > {path}; echo >> {path}; id -u >> {path}"]}]}
    result = made.run()
    assert result.code == 0, result
    state, uid = seen.read_text().splitlines()
    assert json.loads(state)["id"] == made.id and uid == (str(UID) if point in ("prestart", "createRuntime", "poststart", "poststop") else "0")


def test_inside_a_user_namespace(make, rootless, scope):
    """Root of somebody's user namespace (as under rootless Podman): the container needs none of its own."""
    def edit(config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "user"]
        config["linux"].pop("uidMappings"), config["linux"].pop("gidMappings")
    made = make(["sh", "-c", "id -u; cat /proc/self/uid_map"], edit)
    made.bundle.save()
    arguments = rootless.arguments("run", "-b", made.bundle.path, made.id)
    arguments[4] = arguments[4].replace('"$0" "$@"', 'unshare --user --map-root-user --mount "$0" "$@"')
    result = call(arguments)
    assert result.code == 0 and result.out.split() == ["0", "0", str(UID), "1"], result
