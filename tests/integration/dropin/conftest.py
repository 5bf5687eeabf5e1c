"""Fixtures: a private host for the other engines, and the engines. See engines.py."""

import os

import pytest

from dropin.engines import CLIPPER_RUNTIME, RUNC, Containerd, Docker, PrivateHost, base_archive, buildah, podman



@pytest.fixture(scope="session")
def host():
    host = PrivateHost(f"clptdrop{os.getpid()}")
    try:
        base_archive(host.scratch / "base.tar")
        yield host
    finally:
        host.remove()


@pytest.fixture(params=["clipper-runtime", "runc"])
def runtime(request):
    """Each test runs under runc as well: what fails there is not clipper-runtime's, and what passes tests the test."""
    return request.param


@pytest.fixture
def runtime_path(runtime):
    return str(CLIPPER_RUNTIME) if runtime == "clipper-runtime" else RUNC


@pytest.fixture(scope="session")
def containerd(host):
    return Containerd(host, host.scratch / "base.tar")


@pytest.fixture(scope="session")
def docker_engine(host, containerd):
    return Docker(host, containerd, host.scratch / "base.tar")


@pytest.fixture(scope="session")
def remapped_engine(host, containerd):
    """dockerd whose containers have user namespaces."""
    return Docker(host, containerd, host.scratch / "base.tar", "remapped", ["--userns-remap", "daemon"])


@pytest.fixture
def remapped(remapped_engine):
    cli = remapped_engine.cli
    yield cli
    containers = cli("ps", "-aq").split()
    if containers:
        cli("rm", "-fv", *containers)


@pytest.fixture
def docker(docker_engine, host):
    """The docker client of Debian's dockerd; containers and volumes are removed afterwards, with all their control groups."""
    cli = docker_engine.cli
    yield cli
    containers = cli("ps", "-aq").split()
    if containers:
        cli("rm", "-fv", *containers)
    cli("volume", "prune", "-f")
    assert [c for c in host.containers_cgroups() if "docker" in str(c)] == []


@pytest.fixture
def ctr(containerd, host):
    yield containerd.ctr
    for line in containerd.ctr("task", "ls", "-q").split():
        containerd.ctr.run("task", "rm", "-f", line)
    for line in containerd.ctr("container", "ls", "-q").split():
        containerd.ctr("container", "rm", line)
    assert [c for c in host.containers_cgroups() if f"{host.prefix}ctr" in str(c)] == []


@pytest.fixture(scope="session")
def podman_storage(host):
    podman(host, RUNC)("load", "-q", "-i", host.scratch / "base.tar")


@pytest.fixture
def pod(podman_storage, host, runtime_path):
    """podman with this test's runtime."""
    tool = podman(host, runtime_path)
    yield tool
    tool("pod", "rm", "--force", "--all", "--time", "0")
    tool("rm", "--force", "--all", "--volumes", "--time", "0")
    assert [c for c in host.containers_cgroups() if c.name.startswith("libpod-")] == []


@pytest.fixture(scope="session")
def buildah_storage(host):
    tool = buildah(host)
    tool("pull", "-q", f"docker-archive:{host.scratch}/base.tar")
    return tool


@pytest.fixture
def build(buildah_storage):
    yield buildah_storage
    buildah_storage("rm", "-a")


@pytest.fixture
def name(request):
    """A container name of this test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[:50].strip("-").lower()
