"""What only cgroup v2 shows, and scopes of a real systemd: in a virtual machine, where there is the tool that starts one.

CLIPPER_CGROUP2_VM names the tool (`TOOL PAYLOAD_DIRECTORY COMMAND…`); without it, ../shared/tools/cgroup2-vm.
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from .harness import PROGRAM, REPOSITORY, find_program

TOOL = pathlib.Path(os.environ.get("CLIPPER_CGROUP2_VM") or REPOSITORY.parent / "shared/tools/cgroup2-vm")
HERE = pathlib.Path(__file__).parent / "vm"
# The machine is emulated: on a loaded host it takes minutes.
pytestmark = [pytest.mark.skipif(not TOOL.exists(), reason=f"there is no {TOOL}"), pytest.mark.timeout(900)]


def write(scope, directory, name, path, resources, args=("sleep", "1000"), **changes):
    """A config.json for the script's `bundle NAME`."""
    config = scope.config()
    config["process"]["args"] = ["/busybox", *args]
    config["linux"].update(cgroupsPath=path, resources=resources, **changes.pop("linux", {}))
    config.update(changes)
    (directory / f"{name}.json").write_text(json.dumps(config))


def run(directory, *command, timeout=900):
    """Runs a script of `vm/` in the machine; its lines. Every check must be there and be ok."""
    for file in HERE.iterdir():
        shutil.copy(file, directory)
    shutil.copy(PROGRAM, directory / "clipper-runtime")
    shutil.copy(find_program("busybox"), directory / "busybox")
    environment = {**os.environ, "VM_PACKAGES": "systemd dbus criu", "VM_TIMEOUT": str(timeout - 100)}
    done = subprocess.run([TOOL, directory, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, timeout=timeout)
    lines = done.stdout.decode(errors="replace").replace("\r", "").splitlines()
    # What went wrong is told whole, what is all right is only counted.
    bad = [line for line in lines if not line.startswith("ok ")]
    assert bad == ["finished"] and done.returncode == 0, "\n".join(lines) + done.stderr.decode(errors="replace")[-1000:]
    return lines


def test_cgroup2(scope, tmp_path):
    write(scope, tmp_path, "one", "/clp/one", {
        "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}, "pids": {"limit": 21},
        "cpu": {"shares": 1024, "quota": 30000, "period": 60000, "burst": 1000, "cpus": "0", "mems": "0"},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}],
        "blockIO": {"weight": 500, "throttleReadBpsDevice": [{"major": 254, "minor": 0, "rate": 1 << 20}]},
        "unified": {"memory.high": "60000000"}})
    write(scope, tmp_path, "two", "/clp/two", {"devices": [{"allow": False, "access": "rwm"}]})
    # dd's buffer is what is too large for the limit.
    write(scope, tmp_path, "three", "/clp/three", {"memory": {"limit": 20 << 20, "swap": 20 << 20}},
          ["sh", "-c", "/busybox sleep 15; exec /busybox dd if=/dev/zero of=/dev/null bs=100M"])
    # In the host's cgroup namespace: the paths that are read inside are whole.
    config = scope.config()
    namespaces = [n for n in config["linux"]["namespaces"] if n["type"] != "cgroup"]
    write(scope, tmp_path, "five", "/clp/five", {}, linux={"namespaces": namespaces})
    writable = [{**m, "options": [o for o in m["options"] if o != "ro"]} if m["type"] == "cgroup" else m for m in config["mounts"]]
    leaving = "echo 1 >/sys/fs/cgroup/clp/away/cgroup.procs; exec /busybox sleep 1000"
    write(scope, tmp_path, "six", "/clp/six", {}, ["sh", "-c", leaving], mounts=writable, linux={"namespaces": namespaces})
    write(scope, tmp_path, "seven", "/clp/seven", {}, linux={"namespaces": namespaces})
    ids = [{"containerID": 0, "hostID": 10000, "size": 1000}]
    mounts = [m for m in config["mounts"] if m["type"] != "cgroup"]
    mounts.append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev"]})
    write(scope, tmp_path, "four", "/clp/four", {}, mounts=mounts, linux={
        "uidMappings": ids, "gidMappings": ids, "namespaces": namespaces + [{"type": "user"}, {"type": "cgroup"}]})
    assert len(run(tmp_path, "bash", "cgroup2.sh")) > 25


def test_systemd_scopes(scope, tmp_path):
    limits = {"memory": {"limit": 64 << 20}, "pids": {"limit": 33}, "cpu": {"shares": 1024, "quota": 25000, "period": 100000}}
    write(scope, tmp_path, "one", "mine-test.slice:clp:one", limits, annotations={"org.systemd.property.TimeoutStopSec": "uint64 7"})
    assert len(run(tmp_path, "bash", "systemd.sh", "bash", "/payload/scope.sh")) > 25
