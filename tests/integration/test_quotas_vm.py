"""Disk limits of containers and volumes, on xfs and ext4 with project quotas: in a virtual machine (machine.py)."""

import pathlib
import subprocess

import machine
from harness import BIN, REPOSITORY

pytestmark = machine.marks


def test_quotas(tmp_path):
    with (tmp_path / "base.tar").open("wb") as base:
        subprocess.run([REPOSITORY / "scripts/make-base-image"], stdout=base, check=True)
    programs = [BIN / name for name in ("clipper", "clipperd", "clipper-runtime")]
    files = [pathlib.Path(__file__).parent / "vm/quotas.sh", *programs, *machine.libraries(BIN / "clipperd")]
    assert len(machine.run(tmp_path, "bash", "quotas.sh", files=files)) > 50
