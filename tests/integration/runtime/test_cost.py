"""What a container costs that asks for nothing special: a feature that nobody uses must be free."""

import pytest

from .harness import call, find_program

# Ten v1 hierarchies and a cgroup2 are the most that a machine has; crun needs about 1,040 here.
MOST_SYSTEM_CALLS = 700


def test_number_of_system_calls(container, tmp_path):
    if find_program("strace") is None:
        pytest.skip("strace is not installed")
    made = container(["true"])
    made.run()  # Fills caches, and checks the bundle.
    counts = tmp_path / "counts"
    arguments = made.runtime.arguments("run", "--bundle", made.bundle.path, made.id)
    result = call(["strace", "-f", "-c", "-U", "calls,name", "-o", counts, *arguments])
    assert result.code == 0, result
    total = int(counts.read_text().splitlines()[-1].split()[0])
    assert 100 < total <= MOST_SYSTEM_CALLS, counts.read_text()
