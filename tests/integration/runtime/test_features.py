"""`features` (features.md) says what the runtime takes: each word of it is taken, others are refused by name."""

import pytest


@pytest.fixture(scope="module")
def features(scope):
    return scope.runtime("clipper").ok("features").json


@pytest.fixture
def created(container):
    """created(edit): the result of `create` with the config that `edit` changes."""
    return lambda edit: container(["true"], edit).create()


def profile(**members):
    return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], **members}


def seccomp(**members):
    def edit(config):
        config["linux"]["seccomp"] = profile(**members)
    return edit


def rule(action="SCMP_ACT_ERRNO", op="SCMP_CMP_EQ"):
    return {"names": ["personality"], "action": action, "args": [{"index": 0, "value": 77, "op": op}]}


def test_no_less_than_runc(features, scope):
    runc = scope.runtime("runc") or pytest.skip("runc is not installed")
    theirs = runc.ok("features").json
    for kind in ("hooks", "mountOptions"):
        assert set(theirs[kind]) <= set(features[kind]), kind
    for kind in ("namespaces", "capabilities"):
        assert set(theirs["linux"][kind]) <= set(features["linux"][kind]), kind
    for kind in ("actions", "operators", "archs"):
        assert set(theirs["linux"]["seccomp"][kind]) <= set(features["linux"]["seccomp"][kind]), kind
    for switch in ("v1", "v2", "rdma"):
        assert features["linux"]["cgroup"][switch] is True


def test_capabilities(features, created):
    names = features["linux"]["capabilities"]
    assert created(lambda c: c["process"]["capabilities"].update(bounding=names)).code == 0
    result = created(lambda c: c["process"]["capabilities"].update(bounding=["CAP_NOSUCH"]))
    assert result.code == 1 and "CAP_NOSUCH" in result.err and "process.capabilities.bounding[0]" in result.err


def test_namespaces(features, created):
    result = created(lambda c: c["linux"]["namespaces"].append({"type": "nosuch"}))
    assert result.code == 1 and "nosuch" in result.err
    for name in features["linux"]["namespaces"]:
        def edit(config):
            kinds = {n["type"] for n in config["linux"]["namespaces"]}
            if name not in kinds:
                config["linux"]["namespaces"].append({"type": name})
            if name == "user":
                mappings = [{"containerID": 0, "hostID": 100000, "size": 65536}]
                config["linux"].update(uidMappings=mappings, gidMappings=mappings)
        result = created(edit)
        assert result.code == 0, result


def test_hooks(features, created):
    for point in features["hooks"]:
        result = created(lambda c: c.update(hooks={point: [{"path": "relative"}]}))
        assert result.code == 1 and f"hooks.{point}[0].path" in result.err


@pytest.mark.parametrize("kind", ["actions", "operators", "archs", "knownFlags"])
def test_words_of_seccomp_are_taken(features, created, kind):
    for word in features["linux"]["seccomp"][kind]:
        if word == "SCMP_ACT_NOTIFY":
            continue  # Needs somebody who listens.
        edit = {"actions": lambda: seccomp(syscalls=[rule(action=word)]), "operators": lambda: seccomp(syscalls=[rule(op=word)]),
                "archs": lambda: seccomp(architectures=[word]), "knownFlags": lambda: seccomp(flags=[word])}[kind]()
        result = created(edit)
        assert f'"{word}"' not in result.err and "unknown" not in result.err, result


@pytest.mark.parametrize("edit", [
    seccomp(syscalls=[rule(action="SCMP_ACT_NOSUCH")]), seccomp(syscalls=[rule(op="SCMP_CMP_NOSUCH")]),
    seccomp(architectures=["SCMP_ARCH_NOSUCH"]), seccomp(flags=["SECCOMP_FILTER_FLAG_NOSUCH"])])
def test_other_words_of_seccomp_are_refused(created, edit):
    result = created(edit)
    assert result.code == 1 and "linux.seccomp" in result.err and "NOSUCH" in result.err, result


IDMAPPED = {"destination": "/data", "type": "bind", "source": "/tmp", "options": ["bind"],
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}], "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]}


@pytest.mark.parametrize(("path", "field", "edit"), [
    (["intelRdt"], "intelRdt", lambda c: c["linux"].update(intelRdt={"closID": "x"})),
    (["netDevices"], "netDevices", lambda c: c["linux"].update(netDevices={"nosuch0": {}})),
    (["mountExtensions", "idmap"], "uidMappings", lambda c: c["mounts"].append(IDMAPPED)),
])
def test_switches(features, created, path, field, edit):
    switch = features["linux"]
    for name in path:
        switch = switch[name]
    result = created(edit)
    if not switch["enabled"]:
        assert result.code == 1 and field in result.err, result
    assert ("not implemented" in result.err) == (not switch["enabled"]), result


def test_annotations(features):
    assert "org.systemd.property." in features["potentiallyUnsafeConfigAnnotations"]
    assert "org.criu.config" in features["potentiallyUnsafeConfigAnnotations"]
    assert features["annotations"]["io.github.seccomp.libseccomp.version"].count(".") == 2
