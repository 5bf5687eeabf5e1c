"""What a container was to have and cannot get is a warning, not a failure (config.md, "capabilities"; runtime.md, "Warnings")."""

import json

import pytest

from .harness import Runtime


def capabilities(**sets):
    return lambda config: config["process"]["capabilities"].update(sets)


def test_ambient_without_inheritable(container):
    sets = capabilities(inheritable=["CAP_KILL"], permitted=["CAP_KILL", "CAP_CHOWN"], bounding=["CAP_KILL", "CAP_CHOWN"],
                        effective=["CAP_KILL"], ambient=["CAP_KILL", "CAP_CHOWN"])
    result = container(["grep", "CapAmb", "/proc/self/status"], sets).run()
    assert result.code == 0 and result.out.split()[1] == "0000000000000020", result
    assert result.err.splitlines() == [
        "clipper-runtime: process.capabilities.ambient: can't raise ambient capability CAP_CHOWN: it is not permitted and inheritable"]


@pytest.mark.parametrize("steps", ["run", "create", "exec"])
def test_what_the_host_cannot_grant(make_container, clipper, tmp_path, steps):
    log = tmp_path / "log"
    poor = Runtime("clipper", ["setpriv", "--bounding-set", "-sys_time,-sys_boot", "--inh-caps", "-all", *clipper.command, "--log", log, "--log-format", "json"], clipper.root)
    def every(config):
        for kind in ("bounding", "permitted"):
            config["process"]["capabilities"][kind] += ["CAP_SYS_TIME", "CAP_SYS_BOOT"]
    if steps == "exec":
        made = make_container(clipper, ["sleep", "1000"]).up()
        result = poor("exec", "--cap", "CAP_SYS_TIME", made.id, "true")
        assert result.code == 0, result
    else:
        made = make_container(poor, ["true"], every)
        assert (made.run() if steps == "run" else made.create()).code == 0
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    names = "CAP_SYS_TIME" if steps == "exec" else "CAP_SYS_BOOT, CAP_SYS_TIME"
    assert [(e["level"], e["msg"]) for e in entries] == [("warning", f"process.capabilities: this host cannot grant {names}")]


def test_a_user_namespace_grants_all(container):
    def edit(config):
        ids = [{"containerID": 0, "hostID": 0, "size": 65536}]
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"].update(uidMappings=ids, gidMappings=ids)
        config["process"]["capabilities"]["bounding"].append("CAP_SYS_RESOURCE")
    result = container(["true"], edit).run()
    assert (result.code, result.err) == (0, ""), result
