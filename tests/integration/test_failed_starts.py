"""A container that cannot be started says why, and nothing of the attempt is left: no interface, port, address, mount or group."""

import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

from conftest import PROGRAMS, serving
from harness import IMAGE, Client, Daemon, free_port, wait_until


@pytest.fixture(scope="module")
def engine():
    """A daemon with a runtime that fails in the middle, and a network with a single address."""
    daemon = Daemon(f"clptfs{os.getpid()}")
    broken = daemon.scratch / "runtime"
    broken.write_text(f"#!/bin/sh\ncase \"$*\" in *\" start \"*) exit 1;; esac\nexec {shutil.which('runc')} \"$@\"\n")
    broken.chmod(0o755)
    daemon.options += ["--add-runtime", f"broken={broken}"]
    with serving(daemon):
        daemon.request("POST", "/networks/create", {
            "Name": f"{daemon.prefix}-narrow", "IPAM": {"Config": [{"Subnet": "10.213.7.0/30"}]}})
        # What the first run makes for all that follow.
        Client("clipper", PROGRAMS["clipper"], daemon)("run", "--rm", IMAGE, "true")
        yield daemon


def remains(daemon):
    """What a container has on the machine, as far as it can be counted from outside."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    tables = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    return {
        "interfaces": len(re.findall(r"veth\w+@", links)), "ports": re.findall(r"tcp \. \d+ : \S+ \. \d+", tables),
        "groups": [group for group in daemon.cgroups() if group.name != daemon.cgroup_parent[1:]],
        "mounts": [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if daemon.prefix in line],
        "supervisors": daemon.shims(), "run": os.listdir(daemon.scratch / "exec/containers"),
        "containers": os.listdir(daemon.scratch / "data/containers"), "volumes": daemon.request("GET", "/volumes")[1]["Volumes"],
        "runtimes": [str(path) for path in (daemon.scratch / "exec").glob("runtimes/*/*") if path.name != "seccomp"],
    }


# Options, command, exit code, what the error says. The codes are those of docker with dockerd.
FAILURES = {
    "port": (["-p", "{taken}:80"], ["true"], 125, "address already in use"),
    "second-port": (["-p", "{free}:80", "-p", "{taken}:81"], ["true"], 125, "address already in use"),
    "program": ([], ["nosuchprogram"], 127, "executable file not found in $PATH"),
    "no-program": ([], ["/etc/passwd"], 126, "permission denied"),
    "user": (["--user", "nosuchuser"], ["true"], 125, "unable to find user nosuchuser"),
    "directory": (["-w", "/etc/passwd"], ["true"], 125, "working directory /etc/passwd: not a directory"),
    "file-on-directory": (["-v", "/etc/passwd:/etc"], ["true"], 125, "a file cannot be mounted on a directory"),
    "directory-on-file": (["-v", "/etc:/etc/passwd"], ["true"], 125, "a directory cannot be mounted on a file"),
    "device": (["--device", "/dev/nosuch"], ["true"], 127, 'device "/dev/nosuch": no such file or directory'),
    "sysctl": (["--sysctl", "net.nonsense=1"], ["true"], 127, "net.nonsense"),
    "limit": (["--ulimit", "nofile=99999999999:99999999999"], ["true"], 125, "RLIMIT_NOFILE"),
    "log": (["--log-driver", "syslog", "--log-opt", "syslog-address=tcp://127.0.0.1:1"], ["true"], 125, "failed to initialize logging driver"),
    "runtime": (["--runtime", "broken"], ["true"], 125, "start failed"),
    "cgroup": (["--cgroup-parent", "../../x"], ["true"], 125, "leaves its hierarchy"),
    "other-network": (["--network", "nosuch"], ["true"], 125, "network nosuch not found"),
    "volume": (["-v", "/fresh", "-v", "named:/data"], ["nosuchprogram"], 127, "executable file not found"),
    "interface": (["--network", "name={narrow},driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.nonsense=1"], ["true"], 127,
               "nonsense"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_nothing_is_left_of_a_failed_start(engine, failure):
    clipper = Client("clipper", PROGRAMS["clipper"], engine)
    before = remains(engine)
    options, command, code, says = FAILURES[failure]
    narrow = f"{engine.prefix}-narrow"
    with socket.create_server(("", 0)) as taken:
        values = {"taken": taken.getsockname()[1], "free": free_port(), "narrow": narrow}
        options = [option.format(**values) for option in options]
        network = [] if "--network" in options else ["--network", narrow]
        for how in (["--rm"], ["-d"]):
            result = clipper.run("run", *how, "--name", "failing", *network, *options, IMAGE, *command)
            assert result.code == code and says in result.err, result
    shown = clipper.inspect("failing")
    assert shown["State"]["Status"] == "created" and says in shown["State"]["Error"] and shown["State"]["Pid"] == 0
    assert not shown["NetworkSettings"]["Ports"] and all(not place["IPAddress"] for place in shown["NetworkSettings"]["Networks"].values())
    # Its only address is there for the next, as is its name.
    assert clipper("run", "--rm", "--network", narrow, IMAGE, "hostname", "-i") == "10.213.7.2"
    clipper("rm", "-v", "failing")
    clipper.run("volume", "rm", "named")
    wait_until(lambda: remains(engine) == before, 5, f"a machine as before: {before}, {remains(engine)}")
