"""The last of the suite: after the daemon's end nothing of it is left on the machine. Counts, by name."""

import os
import pathlib
import subprocess

from conftest import clear
from harness import named_namespaces, wait_until


def mounts(daemon):
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if daemon.prefix in line]


def tables():
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines()


def links():
    return sorted(os.listdir("/sys/class/net"))


def processes(daemon):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(daemon.scratch).encode() in command and b"pytest" not in command:
                found.append((entry.name, command))
    return found


def test_nothing_is_left(session_daemon, surroundings):
    daemon = session_daemon
    clear(daemon)
    wait_until(lambda: not processes(daemon), 5, f"the end of {processes(daemon)}")
    assert mounts(daemon) == []
    assert [c for c in daemon.cgroups() if c.name != daemon.cgroup_parent[1:]] == []
    assert [t for t in tables() if t not in surroundings["tables"]] == []
    assert [n for n in links() if n not in surroundings["links"]] == []
    assert named_namespaces() <= surroundings["namespaces"]
    assert not list((daemon.scratch / "exec").rglob("*.sock"))
    daemon.remove()
