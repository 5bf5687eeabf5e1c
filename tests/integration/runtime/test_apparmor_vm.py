"""Confinement by AppArmor, of clipper-runtime beside runc and of the daemon: in a virtual machine whose kernel has it (machine.py)."""

import json
import subprocess

import machine

from .harness import PROGRAM, REPOSITORY, in_machine

pytestmark = machine.marks
CURRENT = ["/busybox", "cat", "/proc/self/attr/current"]


def test_apparmor(scope, tmp_path):
    def write(name, profile, args=CURRENT, linux=(), mounts=(), **process):
        config = scope.config()
        config["process"].update(args=args, apparmorProfile=profile, **process)
        config["linux"].update(linux, cgroupsPath=f"/clp/{name}")
        config["mounts"] += mounts
        (tmp_path / f"{name}.json").write_text(json.dumps(config))

    write("one", "clp-mine", ["/busybox", "sleep", "1000"])
    write("sealed", "clp-mine", noNewPrivileges=True)
    write("unconfined", "unconfined")
    write("unknown", "clp-nothere")
    namespaces = [*scope.config()["linux"]["namespaces"], {"type": "user"}]
    ids = [{"containerID": 0, "hostID": 1000, "size": 1000}]
    write("mapped", "clp-mine", linux={"uidMappings": ids, "gidMappings": ids, "namespaces": namespaces})
    # As `spec --rootless`: what a user may not do is left out.
    config = json.loads((tmp_path / "mapped.json").read_text())
    config["mounts"] = [m for m in config["mounts"] if m["destination"] not in ("/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue")]
    config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] not in ("network", "cgroup")]
    config["linux"]["uidMappings"] = config["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 1000, "size": 1}]
    config["linux"].pop("cgroupsPath"), config["linux"].pop("resources", None)
    (tmp_path / "rootless.json").write_text(json.dumps(config))
    with (tmp_path / "base.tar").open("wb") as image:
        subprocess.run([REPOSITORY / "scripts/make-base-image"], stdout=image, check=True)
    daemon = PROGRAM.parent / "clipperd"
    files = [PROGRAM.parent / "clipper", daemon, *machine.libraries(daemon)]
    assert len(in_machine(tmp_path, "bash", "apparmor.sh", files=files)) > 50
