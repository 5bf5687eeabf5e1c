"""Devices by their names: the Container Device Interface, with specification files as vendors write them."""

import json
import os

import pytest

from conftest import PROGRAMS, serving
from harness import IMAGE, Client, Daemon

SPEC = {
    "cdiVersion": "0.6.0", "kind": "acme.com/unit",
    "containerEdits": {"env": ["ACME=all"]},
    "devices": [
        {"name": "zero", "containerEdits": {
            "env": ["UNIT=zero"], "additionalGids": [4444],
            "deviceNodes": [{"path": "/dev/unit0", "hostPath": "/dev/zero", "permissions": "rw"}]}},
        {"name": "lib", "containerEdits": {}},
        {"name": "empty", "containerEdits": {"env": ["UNIT=empty"]}},
    ],
}


@pytest.fixture(scope="module")
def engine():
    daemon = Daemon(f"clptcdi{os.getpid()}")
    specs, library = daemon.scratch / "cdi", daemon.scratch / "lib"
    specs.mkdir()
    library.mkdir()
    (library / "libunit").write_text("a library")
    hook = daemon.scratch / "hook"
    hook.write_text(f"#!/bin/sh\ncat >{daemon.scratch}/hooked\n")
    hook.chmod(0o755)
    SPEC["devices"][1]["containerEdits"] = {
        "mounts": [{"hostPath": str(library), "containerPath": "/usr/lib/acme", "options": ["ro", "bind"]}],
        "hooks": [{"hookName": "createRuntime", "path": str(hook)}]}
    (specs / "acme.json").write_text(json.dumps(SPEC))
    daemon.options += ["--cdi-spec-dir", str(specs)]
    with serving(daemon):
        yield daemon


@pytest.fixture(params=[program for program in sorted(PROGRAMS) if program != "docker-20.10"])
def cli(request, engine):
    client = Client(request.param, PROGRAMS[request.param], engine)
    yield client
    for container in client("ps", "-aq").split():
        client("rm", "-fv", container)


def test_a_device(cli):
    script = "head -c 4 /dev/unit0 | wc -c; echo $ACME $UNIT; id -G"
    assert cli("run", "--rm", "--device", "acme.com/unit=zero", IMAGE, "sh", "-c", script).splitlines() == ["4", "all zero", "0 10 4444"]


def test_mounts_and_hooks(cli, engine, name):
    flags = ["--device", "acme.com/unit=lib", "--device", "acme.com/unit=empty"]
    identifier = cli("run", "-d", "--name", name, *flags, IMAGE, "sleep", "1000")
    assert cli("exec", name, "cat", "/usr/lib/acme/libunit") == "a library"
    assert "Read-only" in cli.run("exec", name, "touch", "/usr/lib/acme/x").err
    assert json.loads((engine.scratch / "hooked").read_text())["id"] == identifier
    assert cli.inspect(name)["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == ["acme.com/unit=lib", "acme.com/unit=empty"]
    # What a command beside it sees is the same.
    assert cli("exec", name, "sh", "-c", "echo $UNIT") == "empty"


def test_what_is_not_there(cli):
    result = cli.run("run", "--rm", "--device", "acme.com/unit=nine", IMAGE, "true")
    assert result.code == 125 and "CDI device injection failed: unresolvable CDI devices acme.com/unit=nine" in result.err, result
    result = cli.run("run", "--rm", "--gpus", "all", IMAGE, "true")
    assert result.code == 125 and 'could not select device driver "" with capabilities: [[gpu]]' in result.err, result


def test_a_device_that_comes_later(cli, engine, name):
    """Files are read when a container starts."""
    late = engine.scratch / "cdi/late.json"
    late.write_text(json.dumps({"cdiVersion": "0.6.0", "kind": "acme.com/late", "devices": [{"name": "0", "containerEdits": {"env": ["LATE=1"]}}]}))
    try:
        assert cli("run", "--rm", "--device", "acme.com/late=0", IMAGE, "sh", "-c", "echo $LATE") == "1"
    finally:
        late.unlink()
