"""The same command lines with dockerd and with clipperd: the topics that the suite has time for. `scripts/compare-docker` has all."""

import subprocess

import pytest

from harness import REPOSITORY


@pytest.mark.timeout(600)
def test_every_difference_is_listed_and_every_listed_one_is_there():
    done = subprocess.run([REPOSITORY / "scripts/compare-docker", "--quick"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=580)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "0 not listed, 0 listed and gone" in done.stdout
