"""On which CPUs a container's processes run, and by what one that waits for its start is ended."""

import os

import pytest

from .harness import Runtime, call

AFFINITY = ["grep", "Cpus_allowed_list", "/proc/self/status"]
CPUS = sorted(os.sched_getaffinity(0))

two_cpus = pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")


def allowed(result):
    assert result.code == 0, result
    return result.out.split()[1]


def bound(runtime, cpu):
    """The same runtime, bound to one CPU."""
    return Runtime(runtime.name, ["taskset", "-c", cpu, *runtime.command], runtime.root)


@two_cpus
def test_affinity_of_the_runtime_is_not_the_containers(make_container, clipper):
    everywhere = allowed(call(AFFINITY))
    assert allowed(make_container(bound(clipper, CPUS[0]), AFFINITY).run()) == everywhere
    made = make_container(bound(clipper, CPUS[0]), ["sleep", "300"]).up()
    assert allowed(made.exec(*AFFINITY)) == everywhere


@two_cpus
def test_affinity_is_the_cpusets(make_container, clipper):
    """Also where the runtime's and the cpuset have no CPU in common."""
    def confined(config):
        config["linux"]["resources"]["cpu"] = {"cpus": str(CPUS[1]), "mems": "0"}

    assert allowed(make_container(bound(clipper, CPUS[0]), AFFINITY, confined).run()) == str(CPUS[1])
    made = make_container(bound(clipper, CPUS[0]), ["sleep", "300"], confined).up()
    assert allowed(made.exec(*AFFINITY)) == str(CPUS[1])


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM"])
def test_created_container_ends_by_signal(make_container, clipper, name):
    """Its first process is spared signals without a handler by the kernel: it has some while it waits."""
    made = make_container(clipper, ["sleep", "300"])
    assert made.create().code == 0
    assert made.kill(name).code == 0
    made.wait_for("stopped")
