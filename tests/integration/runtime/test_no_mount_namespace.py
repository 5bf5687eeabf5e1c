"""Containers without a mount namespace of their own."""

import os
import subprocess

import pytest

from .harness import mounts_below


@pytest.fixture
def on_host(make_container, clipper, undo):
    """on_host(args): a container without a mount namespace; what it leaves mounted on its root filesystem goes away."""
    def make(args, **linux):
        def edit(config):
            config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "mount"]
            config["linux"].update(maskedPaths=[], readonlyPaths=[])
            config["linux"].update(linux)
        made = make_container(clipper, args, edit)
        rootfs = made.bundle.rootfs

        def unmount():
            made.remove()
            for _ in range(2):
                if mounts_below(rootfs.parent):
                    subprocess.run(["umount", "-R", "-l", rootfs])
        undo(unmount)
        return made
    return make


def propagation():
    """What the host's mounts have as optional fields, by mount point, without those of the tests."""
    lines = [line.split() for line in open("/proc/self/mountinfo")]
    return {line[4]: line[6:line.index("-")] for line in lines if "clprt" not in line[4] and line[4] == "/"}


def test_without_mount_namespace(on_host):
    before = propagation()
    made = on_host(["sh", "-c", "echo inside; ls /proc/self/mountinfo; touch /new 2>/dev/null || echo read-only; exec sleep 300"])
    assert made.create().code == 0 and made.start().code == 0
    made.wait_for("running")
    assert os.readlink(f"/proc/{made.pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    assert os.readlink(f"/proc/{made.pid}/root") == str(made.bundle.rootfs)
    # A further process is in the container's root directory too, not in the host's.
    inside = made.exec("ls", "/")
    assert inside.code == 0 and sorted(inside.out.split()) == sorted(os.listdir(made.bundle.rootfs)), inside
    assert made.exec("touch", "/new").code == 1
    assert propagation() == before


def test_without_mount_namespace_hooks_and_output(on_host):
    made = on_host(["echo", "Hello World"])
    made.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "touch made-by-hook"]}]}
    result = made.run()
    assert (result.code, result.out) == (0, "Hello World\n"), result
    assert (made.bundle.path / "made-by-hook").exists()


def test_failure_without_mount_namespace_leaves_nothing(on_host):
    made = on_host(["no-such-program"])
    assert made.run().code == 1
    assert mounts_below(made.bundle.path) == []


@pytest.mark.parametrize("field,value", [
    ("maskedPaths", ["/proc/acpi"]), ("readonlyPaths", ["/proc/sys"]), ("rootfsPropagation", "rslave")])
def test_refused_without_mount_namespace(on_host, field, value):
    result = on_host(["true"], **{field: value}).run()
    assert result.code == 1 and f"linux.{field}" in result.err and "mount namespace" in result.err, result
