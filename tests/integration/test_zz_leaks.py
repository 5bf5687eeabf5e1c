"""The last of the suite: after the daemon's end nothing of it is left on the machine. Counts, by name."""

import os
import pathlib
import subprocess

from harness import IMAGE, clear, named_namespaces, wait_until
from runtime.harness import leftovers, open_scope


def mounts(daemon):
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if daemon.prefix in line]


def tables():
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines()


def links():
    return sorted(os.listdir("/sys/class/net"))


def test_nothing_is_left(session_daemon, surroundings):
    daemon = session_daemon
    # What counts nothing shows nothing: with a container, the counts see it.
    identifier = daemon.request("POST", "/containers/create", {"Image": IMAGE, "Cmd": ["sleep", "1000"]})[1]["Id"]
    assert daemon.request("POST", f"/containers/{identifier}/start")[0] == 204
    assert daemon.shims() and len(daemon.cgroups()) > 1 and set(tables()) - set(surroundings["tables"]) and set(links()) - set(surroundings["links"])
    clear(daemon)
    wait_until(lambda: not daemon.shims(), 5, "the end of the supervisors")
    assert mounts(daemon) == []
    assert [c for c in daemon.cgroups() if c.name != daemon.cgroup_parent[1:]] == []
    assert [t for t in tables() if t not in surroundings["tables"]] == []
    assert [n for n in links() if n not in surroundings["links"]] == []
    assert named_namespaces() <= surroundings["namespaces"]
    assert not list((daemon.scratch / "exec").rglob("*.sock"))
    daemon.remove()


def test_nothing_of_the_runtime_is_left():
    """The runtime's tests have a session and a scope of their own, which a whole run has opened before this."""
    scope = open_scope()
    assert scope is None or leftovers(scope) == {}
