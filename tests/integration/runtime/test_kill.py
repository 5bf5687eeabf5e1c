"""kill -9 of the runtime, or of the container's process, at any step: what is left, `delete --force` takes away.

strace ends the process when it enters its n-th system call. A sample of the steps is tried; with CLIPPER_KILL_STEPS=all
each of them.
"""

import os
import re

import pytest

from .harness import Runtime, cgroup_directories, find_program, processes_of, wait_until

STRACE = find_program("strace")
ALL = os.environ.get("CLIPPER_KILL_STEPS") == "all"
# What only the container's process calls, never the runtime itself.
CHILDS = "unshare,setsid,mount,move_mount,open_tree,mount_setattr,pivot_root,umount2,mknodat,setgroups,setresgid,setresuid,capset,keyctl"

pytestmark = pytest.mark.skipif(STRACE is None, reason="strace is not installed")


def killed_at(runtime, call, follow=False):
    """The same runtime, killed as it enters the n-th call of that name; with `follow` its child is, if that makes the call."""
    name, count = call
    options = ["-f"] if follow else []
    return Runtime(
        runtime.name,
        [STRACE, "-qq", "-o", "/dev/null", *options, "-e", f"inject={name}:signal=KILL:when={count}", *runtime.command], runtime.root)


def calls_of(runtime, *arguments, calls="all", follow=False):
    """The calls of one run that must succeed, in their order, each with its count among those of its name."""
    log = runtime.root.parent / "calls"
    options = ["-f"] if follow else []
    traced = Runtime(runtime.name, [STRACE, "-qq", "-o", log, *options, "-e", f"trace={calls}", "-e", "signal=none", *runtime.command], runtime.root)
    result = traced(*arguments)
    assert result.code == 0, result
    names = [match[1] for line in log.read_text().splitlines() if (match := re.match(r"(?:\d+ +)?(\w+)\(", line))]
    return [(name, names[:place + 1].count(name)) for place, name in enumerate(names)]


def sample(calls, count):
    """All of them, or so many, evenly, the first and the last included."""
    if ALL or len(calls) <= count:
        return calls
    return [calls[round(n * (len(calls) - 1) / (count - 1))] for n in range(count)]


def check_cleaned(made, step):
    """delete --force once; then there is nothing, and the name is free."""
    result = made.runtime("delete", "--force", made.id)
    assert result.code == 0, (step, result)
    assert not (made.runtime.root / made.id).exists(), step
    wait_until(lambda: processes_of(made.id) == [], 20, f"the end of what step {step} left")
    assert cgroup_directories(made.id) == [], step


@pytest.mark.parametrize("command", [["create"], ["run", "--detach"], ["run"]], ids=["create", "run-detached", "run"])
def test_making(container, clipper, command):
    """The runtime dies; its container goes on or not."""
    made = container(["sleep", "1000"] if command != ["run"] else ["true"])
    arguments = [*command, "--bundle", made.bundle.path, made.id]
    made.create()  # The first makes the groups above its own, too.
    made.remove()
    calls = calls_of(clipper, *arguments)
    made.remove()
    assert len(calls) > 50
    survivors = []
    for call in sample(calls, 24):
        if killed_at(clipper, call)(*arguments).code != -9:
            survivors.append(call)
        check_cleaned(made, call)
    # One run may make a call less than another; but most must have died.
    assert len(survivors) < 4, survivors


def test_container_dies_in_the_making(container, clipper):
    """The container's process dies: the runtime says so, and leaves nothing itself."""
    made = container(["true"])
    arguments = ["run", "--bundle", made.bundle.path, made.id]
    calls = calls_of(clipper, *arguments, calls=CHILDS, follow=True)
    assert len(calls) > 20
    for call in sample(calls, 12):
        result = killed_at(clipper, call, follow=True)(*arguments)
        # Once it has said that it becomes its program, it dies as that.
        isProgram = result.code == 137 and call in calls[calls.index(("setresuid", 1)) + 1:]
        assert isProgram or result.code == 1 and "SIGKILL" in result.err and len(result.err.splitlines()) == 1, (call, result)
        assert not (clipper.root / made.id).exists(), call
        assert processes_of(made.id) == [] and cgroup_directories(made.id) == [], call


def test_starting(container, clipper):
    made = container(["sleep", "1000"])
    assert made.create().code == 0
    calls = calls_of(clipper, "start", made.id)
    made.remove()
    for call in sample(calls, 10):
        assert made.create().code == 0
        killed_at(clipper, call)("start", made.id)
        assert made.status in ("created", "running", "stopped"), call
        check_cleaned(made, call)


def test_deleting(container, clipper):
    """A delete that was killed half-way is ended by the next one."""
    made = container(["sleep", "1000"])
    calls = calls_of(made.up().runtime, "delete", "--force", made.id)
    for call in sample(calls, 20):
        made.up()
        killed_at(clipper, call)("delete", "--force", made.id)
        check_cleaned(made, call)


def test_executing(container, clipper):
    """The container is as before, and what was left in it goes with it."""
    made = container(["sleep", "1000"]).up()
    arguments = ["exec", "--detach", made.id, "sleep", "2000"]
    for call in sample(calls_of(clipper, *arguments), 12):
        killed_at(clipper, call)(*arguments)
        assert made.status == "running", call
        inside = made.exec("echo", "fine")
        assert (inside.code, inside.out) == (0, "fine\n"), (call, inside)
    check_cleaned(made, "exec")


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_pausing(container, clipper, command):
    """Whether it is frozen by then or not."""
    made = container(["sleep", "1000"])

    def prepare():
        made.up()
        if command == "resume":
            assert clipper("pause", made.id).code == 0
    prepare()
    calls = calls_of(clipper, command, made.id)
    made.remove()
    for call in sample(calls, 6):
        prepare()
        killed_at(clipper, call)(command, made.id)
        check_cleaned(made, call)


def test_the_name_stays_taken(container, clipper):
    """What a killed runtime left behind is nobody else's, until it is deleted."""
    made = container(["sleep", "1000"])
    arguments = ["create", "--bundle", made.bundle.path, made.id]
    calls = calls_of(clipper, *arguments)
    made.remove()
    killed_at(clipper, calls[-1])(*arguments)
    again = made.create()
    assert again.code == 1 and "exists" in again.err, again
    check_cleaned(made, calls[-1])
    assert made.create().code == 0
