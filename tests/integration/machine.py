"""A virtual machine for what this host's kernel does not show, where there is the tool that starts one.

CLIPPER_CGROUP2_VM names the tool (`TOOL PAYLOAD_DIRECTORY COMMAND…`); without it, ../shared/tools/cgroup2-vm.
"""

import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
TOOL = pathlib.Path(os.environ.get("CLIPPER_CGROUP2_VM") or HERE.parents[2] / "shared/tools/cgroup2-vm")
# One list for all tests: the machine's disk is made once.
PACKAGES = "systemd dbus criu apparmor runc xfsprogs"
# The machine is emulated: on a loaded host it takes minutes.
marks = [pytest.mark.skipif(not TOOL.exists(), reason=f"there is no {TOOL}"), pytest.mark.timeout(900)]


def libraries(program):
    """What a program is linked with and the machine need not have: all but the C library, which has to fit the machine."""
    lines = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    found = [pathlib.Path(line.split("=> ")[1].split()[0]) for line in lines if "=> /" in line]
    return [path for path in found if path.name.split(".")[0] not in ("libc", "libm")]


def run(directory, *command, files, timeout=900):
    """Runs a command in the machine, with `files` beside it in its working directory /payload; its lines. Every check must be ok."""
    for file in [HERE / "vm/common.sh", *files]:
        shutil.copy(file, directory)
    environment = {**os.environ, "VM_PACKAGES": PACKAGES, "VM_TIMEOUT": str(timeout - 100)}
    done = subprocess.run([TOOL, directory, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, timeout=timeout)
    lines = done.stdout.decode(errors="replace").replace("\r", "").splitlines()
    # What went wrong is told whole, what is all right is only counted.
    bad = [line for line in lines if not line.startswith("ok ")]
    assert bad == ["finished"] and done.returncode == 0, "\n".join(lines) + done.stderr.decode(errors="replace")[-1000:]
    return lines
