"""With a user namespace that is joined, the container's first process is cloned by another, which tells the runtime of it.
What it asks for must be done to it, however late that is told."""

import os
import subprocess

import pytest

from .harness import Runtime, find_program

STRACE = find_program("strace")
pytestmark = pytest.mark.skipif(STRACE is None, reason="strace is not installed")


@pytest.fixture
def user_namespace(undo):
    """The path of one in which the ids 0 to 65535 are the host's own."""
    process = subprocess.Popen(["unshare", "--user", "sleep", "1000"])
    undo(lambda: (process.kill(), process.wait()))
    home = os.readlink("/proc/self/ns/user")
    while os.readlink(f"/proc/{process.pid}/ns/user") == home:
        assert process.poll() is None
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{process.pid}/{name}", "w") as file:
            file.write("0 0 65536\n")
    return f"/proc/{process.pid}/ns/user"


@pytest.fixture
def interface(undo):
    name = f"cs{os.getpid() % 100000}a"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name[:-1]}b"], check=True)
    undo(lambda: subprocess.run(["ip", "link", "del", f"{name[:-1]}b"], stderr=subprocess.DEVNULL))
    return name


def late(runtime):
    """The runtime, and whoever else clones, comes back from it half a second late: the new process goes ahead."""
    return Runtime(
        runtime.name, [STRACE, "-f", "-qq", "-o", "/dev/null", "-e", "trace=clone3", "-e", "inject=clone3:delay_exit=500ms", *runtime.command],
        runtime.root)


def joining(path, **linux):
    def edit(config):
        config["linux"]["namespaces"].append({"type": "user", "path": path})
        config["linux"].update(linux)
    return edit


def test_interfaces_go_to_the_second_process(make_container, clipper, user_namespace, interface):
    made = make_container(late(clipper), ["ls", "/sys/class/net"], joining(user_namespace, netDevices={interface: {"name": "inner0"}}))
    result = made.run()
    assert result.code == 0 and "inner0" in result.out.split(), result


def test_hooks_hear_of_the_second_process(make_container, clipper, user_namespace, tmp_path):
    script = f"""p=$(sed 's/.*"pid"://; s/,.*//'); readlink /proc/$p/ns/net >{tmp_path}/network"""
    def edit(config):
        joining(user_namespace)(config)
        config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    result = make_container(late(clipper), ["readlink", "/proc/self/ns/net"], edit).run()
    assert result.code == 0 and result.out == (tmp_path / "network").read_text(), result
