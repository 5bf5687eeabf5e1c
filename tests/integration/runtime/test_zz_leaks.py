"""The last of the runtime's tests: nothing of them is left on the machine. Counts, by name."""

from .harness import leftovers


def test_nothing_is_left(scope, container):
    # What counts nothing shows nothing: with a container, the counts see it.
    made = container(["sleep", "1000"])
    made.up()
    seen = leftovers(scope)
    assert seen["states"] and seen["cgroups"] and seen["processes"], seen
    assert made.delete(force=True).code == 0
    assert leftovers(scope) == {}
