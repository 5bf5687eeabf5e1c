"""The six hook points (config.md, "POSIX-platform Hooks"): order, namespaces, state on standard input, environment.

Under runc too (crun 1.8 gives hooks other namespaces and another bundle). Time-outs and what a failing hook does are shown elsewhere.
"""

import json
import os

import pytest

POINTS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
NAMESPACES = ["mnt", "pid", "net", "uts", "ipc"]
# One line of JSON for each hook that runs: which, where, with what.
SCRIPT = """#!/bin/sh
state=$(cat)
out=$1
shift
ns() { readlink /proc/self/ns/$1; }
echo "{\\"args\\": \\"$0 $*\\", \\"state\\": $state, \\"mnt\\": \\"$(ns mnt)\\", \\"pid\\": \\"$(ns pid)\\", \\"net\\": \\"$(ns net)\\", \
\\"uts\\": \\"$(ns uts)\\", \\"ipc\\": \\"$(ns ipc)\\", \\"env\\": \\"$HOOK-$PATH\\", \\"fds\\": \\"$(ls /proc/self/fd | tr '\\n' ' ')\\"}" >>$out
"""


@pytest.fixture
def engine(runtime):
    """crun's hooks differ too much to test the tests with."""
    return runtime


class Hooked:
    """A container with one hook at each point, and what they wrote. `startContainer` runs in the container's root."""

    def __init__(self, make_container, engine, args=("sleep", "1000"), points=POINTS, edit=None):
        self.made = make_container(engine, args, lambda config: self.configure(config, points, edit))
        self.outside = self.made.bundle.path / "record"
        self.script = self.made.bundle.path / "hook"
        for path in (self.script, self.made.bundle.rootfs / "hook"):
            path.write_text(SCRIPT)
            path.chmod(0o755)
        for point, hooks in self.made.config["hooks"].items():
            for hook in hooks:
                inside = point == "startContainer"
                hook["path"] = "/hook" if inside else str(self.script)
                hook["args"] = [hook["path"], "/record" if inside else str(self.outside), point]
        self.inside = self.made.bundle.rootfs / "record"
        self.inside.write_text("")

    @staticmethod
    def configure(config, points, edit):
        config["root"]["readonly"] = False
        config["hooks"] = {point: [{"env": [f"HOOK={point}", "PATH=/usr/bin:/bin"]}] for point in points}
        if edit:
            edit(config)

    def records(self):
        texts = [path.read_text() for path in (self.outside, self.inside) if path.exists()]
        found = [json.loads(line) for text in texts for line in text.splitlines()]
        return {record["args"].split()[-1]: record for record in found}

    def order(self):
        return [json.loads(line)["args"].split()[-1] for line in self.outside.read_text().splitlines()]


def own(kind):
    return os.readlink(f"/proc/self/ns/{kind}")


def test_points_of_a_life(make_container, engine):
    hooked = Hooked(make_container, engine)
    made = hooked.made
    result = made.create()
    assert result.code == 0, result
    created = hooked.records()
    # runc 1.1 runs poststart already when it has created the container.
    early = ["poststart"] if engine.name == "runc" else []
    assert list(created) == ["prestart", "createRuntime", "createContainer", *early]
    pid = made.pid
    container = {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in NAMESPACES}
    assert made.start().code == 0
    started = hooked.records()
    assert set(started) - set(created) == {"startContainer", "poststart"} - set(early)
    assert made.kill().code == 0
    made.wait_for("stopped")
    assert set(hooked.records()) == set(started), "poststop is for delete"
    assert made.delete().code == 0
    seen = hooked.records()
    assert set(seen) == set(POINTS)
    assert hooked.order() == ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]

    # Where each runs: the runtime's namespaces or the container's.
    for point in ("prestart", "createRuntime", "poststart", "poststop"):
        assert {kind: seen[point][kind] for kind in NAMESPACES} == {kind: own(kind) for kind in NAMESPACES}, point
    for point in ("createContainer", "startContainer"):
        for kind in NAMESPACES:
            assert seen[point][kind] == container[kind] != own(kind), (point, kind)

    # Arguments and environment are the hook's alone.
    for point in POINTS:
        assert seen[point]["env"] == f"{point}-/usr/bin:/bin"
        # 3 is ls's own; runc 1.1 lets more through.
        assert engine.name == "runc" or set(seen[point]["fds"].split()) <= {"0", "1", "2", "3"}


def test_state_on_standard_input(make_container, engine):
    hooked = Hooked(make_container, engine, edit=lambda config: config.update(annotations={"one": "1"}))
    made = hooked.made
    assert made.create().code == 0
    pid = made.pid
    assert made.start().code == 0
    assert made.kill().code == 0
    made.wait_for("stopped")
    assert made.delete().code == 0
    seen = hooked.records()
    for point in POINTS:
        state = seen[point]["state"]
        assert state["id"] == made.id and state["bundle"] == str(made.bundle.path), point
        assert state["annotations"] == {"one": "1"} and state["ociVersion"].startswith("1."), point
    statuses = {point: seen[point]["state"]["status"] for point in POINTS}
    assert statuses["poststop"] == "stopped"
    assert statuses["poststart"] == ("created" if engine.name == "runc" else "running")
    assert statuses["startContainer"] in ("created", "creating")
    for point in ("prestart", "createRuntime", "createContainer"):
        assert statuses[point] == "creating"
    for point in ("prestart", "createRuntime", "poststart"):
        assert seen[point]["state"]["pid"] == pid, point
    assert seen["poststop"]["state"].get("pid", 0) == 0


def test_mounts_are_there_before_the_root_is(make_container, engine, tmp_path):
    """createContainer sees the container's mounts at their places on the host's paths: pivot_root comes after it."""
    made = make_container(engine, ["true"])
    root = made.bundle.rootfs
    command = f"cat >/dev/null; ls -d {root}/proc/self {root}/dev/null >{tmp_path}/seen"
    made.config["hooks"] = {"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", command], "env": ["PATH=/bin:/usr/bin"]}]}
    result = made.run()
    assert result.code == 0, result
    assert (tmp_path / "seen").read_text().split() == [f"{root}/dev/null", f"{root}/proc/self"]


@pytest.mark.parametrize("point", POINTS)
def test_several_hooks_run_in_their_order(make_container, engine, point, tmp_path):
    made = make_container(engine, ["sleep", "0.2"])
    made.config["root"]["readonly"] = False
    record = "/record" if point == "startContainer" else str(tmp_path / "record")
    made.config["hooks"] = {point: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {n} >>{record}"], "env": ["PATH=/bin:/usr/bin"]}
                                    for n in range(5)]}
    result = made.run()
    assert result.code == 0, result
    path = made.bundle.rootfs / "record" if point == "startContainer" else tmp_path / "record"
    assert path.read_text().split() == list("01234")


def test_hooks_of_a_run(make_container, engine):
    hooked = Hooked(make_container, engine, ["sh", "-c", "sleep 0.2; exit 9"])
    assert hooked.made.run().code == 9
    assert hooked.order() == ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    assert "startContainer" in hooked.records()


def test_poststop_after_a_forced_delete(make_container, engine):
    hooked = Hooked(make_container, engine, points=["poststop"])
    hooked.made.up()
    assert hooked.made.delete(force=True).code == 0
    assert hooked.order() == ["poststop"]
