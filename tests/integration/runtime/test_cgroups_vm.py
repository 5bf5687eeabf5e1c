"""What only cgroup v2 shows, and scopes of a real systemd: in a virtual machine (machine.py)."""

import json
import subprocess

import machine

from .harness import PROGRAM, REPOSITORY, in_machine

pytestmark = machine.marks


def write(scope, directory, name, path, resources, args=("sleep", "1000"), **changes):
    """A config.json for the script's `bundle NAME`."""
    config = scope.config()
    config["process"]["args"] = ["/busybox", *args]
    config["linux"].update(cgroupsPath=path, resources=resources, **changes.pop("linux", {}))
    config.update(changes)
    (directory / f"{name}.json").write_text(json.dumps(config))


def test_cgroup2(scope, tmp_path):
    write(scope, tmp_path, "one", "/clp/one", {
        "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}, "pids": {"limit": 21},
        "cpu": {"shares": 1024, "quota": 30000, "period": 60000, "burst": 1000, "cpus": "0", "mems": "0"},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}],
        "blockIO": {"weight": 500, "throttleReadBpsDevice": [{"major": 254, "minor": 0, "rate": 1 << 20}]},
        "unified": {"memory.high": "60000000"}})
    write(scope, tmp_path, "two", "/clp/two", {"devices": [{"allow": False, "access": "rwm"}]})
    write(scope, tmp_path, "eight", "/clp/eight", {"rdma": {"mlx5_9": {"hcaHandles": 3, "hcaObjects": 10000}}})
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
    assert len(in_machine(tmp_path, "bash", "cgroup2.sh")) > 25


def test_systemd_scopes(scope, tmp_path):
    limits = {"memory": {"limit": 64 << 20}, "pids": {"limit": 33}, "cpu": {"shares": 1024, "quota": 25000, "period": 100000}}
    write(scope, tmp_path, "one", "mine-test.slice:clp:one", limits, annotations={"org.systemd.property.TimeoutStopSec": "uint64 7"})
    assert len(in_machine(tmp_path, "bash", "systemd.sh", "bash", "/payload/scope.sh")) > 25


def test_daemon_with_systemd_as_cgroup_driver(tmp_path):
    with (tmp_path / "base.tar").open("wb") as image:
        subprocess.run([REPOSITORY / "scripts/make-base-image"], stdout=image, check=True)
    daemon = PROGRAM.parent / "clipperd"
    files = [PROGRAM.parent / "clipper", daemon, *machine.libraries(daemon)]
    assert len(in_machine(tmp_path, "bash", "systemd.sh", "bash", "/payload/driver.sh", files=files)) > 40
