"""What builds keep to be faster the next time: its records, prunes with bounds, and the limits that it is kept to by itself."""

import json
import subprocess
import threading
import urllib.parse

import pytest

from conftest import serving
from harness import BIN, Daemon, Client, IMAGE, wait_until

MB = 1_000_000


def stage(name, size=MB, mount=""):
    """A build of a stage whose step makes a file, and of a small image from it: the step is held by no image."""
    return (f"FROM {IMAGE} AS large\nLABEL clptc={name}\nRUN {mount} head -c {size} /dev/urandom >/{name}\n"
            f"FROM {IMAGE}\nCOPY --from=large /etc/passwd /{name}\n").encode()


@pytest.fixture
def own():
    """A daemon whose cache is nobody else's."""
    with serving(Daemon("clpt-cache")) as daemon:
        yield daemon


@pytest.fixture
def build(own):
    client = Client("clipper", BIN / "clipper", own)
    return lambda name, *flags, **options: client("build", "-t", f"clptc/{name}", *flags, "-", input=stage(name, **options))


@pytest.fixture
def prune(own):
    def prune(version="1.50", **parameters):
        parameters = {name.replace("_", "-"): json.dumps(value) if name == "filters" else value for name, value in parameters.items()}
        status, body = own.request("POST", f"/v{version}/build/prune?{urllib.parse.urlencode(parameters)}")
        assert status == 200, body
        return body
    return prune


def records(daemon, **wanted):
    found = daemon.request("GET", "/system/df?type=build-cache")[1]["BuildCache"]
    return [r for r in found if all(r[key] == value for key, value in wanted.items())]


def kept(daemon):
    """Names of the stages whose large step is there."""
    return {name for name in "abcde" for r in records(daemon) if r["Description"].endswith(f"/dev/urandom >/{name}")}


def test_records(own, build):
    before = own.request("GET", "/system/df")[1]["LayersSize"]
    build("a")
    [step] = [r for r in records(own) if r["Size"] == MB]
    assert step["Type"] == "regular" and step["UsageCount"] == 1 and not step["Shared"] and not step["InUse"], step
    assert step["Description"].startswith("/bin/sh -c") and step["CreatedAt"] <= step["LastUsedAt"]
    [label] = [r for r in records(own) if r["ID"] == step["Parents"][0]]
    assert label["Size"] == 0 and not label["Shared"]
    # What an image holds is counted there, and only there.
    [copied] = [r for r in records(own, Shared=True)]
    usage = own.request("GET", "/system/df")[1]
    assert usage["LayersSize"] == before + copied["Size"] < before + MB
    assert step["ID"] not in [image["Id"] for image in usage["Images"]]
    build("a")
    [step] = [r for r in records(own) if r["Size"] == MB]
    assert step["UsageCount"] == 2


def test_system_df(own, build):
    build("a")
    for client in (Client("docker", "docker", own), Client("clipper", BIN / "clipper", own)):
        rows = dict(line.split("|", 1) for line in client("system", "df", "--format", "{{.Type}}|{{.TotalCount}} {{.Size}}").splitlines())
        assert rows["Build Cache"] == "3 1MB", rows
        assert "exec" not in client("system", "df", "-v") and "1MB" in client("system", "df", "-v").split("Build cache usage")[1]


def test_least_recently_used_first(own, build, prune):
    for name in "abca":
        build(name)
    [b] = [r["ID"] for r in records(own) if r["Description"].endswith(">/b")]
    report = prune(keep_storage=2 * MB + MB // 2)
    assert report == {"CachesDeleted": [b], "SpaceReclaimed": MB} and kept(own) == {"a", "c"}
    assert prune(reserved_space=2 * MB)["SpaceReclaimed"] == 0
    assert prune(max_used_space=MB)["SpaceReclaimed"] == MB and kept(own) == {"a"}
    assert "Using cache" in build("a")


def test_bounds_together(own, build, prune):
    for name in "abc":
        build(name)
    # There is never so much free; what is reserved stays nevertheless.
    assert prune(min_free_space=1 << 60, reserved_space=MB)["SpaceReclaimed"] == 2 * MB and kept(own) == {"c"}
    assert prune(min_free_space=1)["SpaceReclaimed"] == 0 and prune(max_used_space=5 * MB)["SpaceReclaimed"] == 0
    # Older versions know keep-storage alone.
    assert prune("1.47", keep_storage=5 * MB, max_used_space=1)["SpaceReclaimed"] == 0
    assert prune(reserved_space=0, keep_storage=1)["SpaceReclaimed"] == MB and kept(own) == set()


def test_by_the_client(own, build):
    for name in "abc":
        build(name)
    docker, clipper = Client("docker", "docker", own), Client("clipper", BIN / "clipper", own)
    assert "Total reclaimed space: 1MB" in docker("builder", "prune", "-f", "--keep-storage", "2mb") and kept(own) == {"b", "c"}
    assert "Total:\t0B" in docker("builder", "prune", "-f", "--filter", "until=1h") or kept(own) == {"b", "c"}
    assert "Total reclaimed space: 1MB" in clipper("builder", "prune", "-f", "--max-used-space", "1mb") and kept(own) == {"c"}
    clipper("builder", "prune", "-f", "--reserved-space", "1mb", "--min-free-space", "1000t")
    assert kept(own) == {"c"}
    assert "Total reclaimed space: 1MB" in clipper("builder", "prune", "-f", "--filter", "description=nothing") or kept(own) == {"c"}
    assert "Total reclaimed space: 1MB" in clipper("builder", "prune", "-f") and kept(own) == set()


def test_images_of_finished_builds_are_no_cache(own, build, prune):
    client = Client("clipper", BIN / "clipper", own)
    made = client("build", "-q", "-", input=stage("a")).strip()
    build("b")
    build("b", "--no-cache")
    prune(all=1)
    assert kept(own) == set() and client.inspect(made)["Id"] == made
    # An image that has lost its name is one still; images' prunes take it.
    assert len(client("images", "-q", "--filter", "dangling=true").splitlines()) == 2
    assert "Using cache" not in build("b")


def test_what_a_build_uses_stays(own, build, prune):
    """The cache is emptied while a build is between two steps, and in one."""
    client = Client("clipper", BIN / "clipper", own)
    source = f"FROM {IMAGE}\nRUN echo 1 >/1\nRUN --mount=type=cache,target=/c echo x >/c/x; sleep 3\nRUN test -e /1 && echo 2 >/2\n"
    result = {}
    thread = threading.Thread(target=lambda: result.update(done=client.run("build", "-", input=source.encode())))
    thread.start()
    wait_until(lambda: [r for r in records(own, Type="exec.cachemount") if r["InUse"]])
    assert prune(all=1)["SpaceReclaimed"] == 0
    while thread.is_alive():
        prune(all=1)
        client("image", "prune", "-f")
    assert result["done"].code == 0, result


def test_cache_mounts(own, build, prune):
    mount = "--mount=type=cache,id=packages,target=/c head -c 5000 /dev/zero >/c/x;"
    build("a", mount=mount)
    [record] = records(own, Type="exec.cachemount")
    assert record["Size"] == 5000 and record["UsageCount"] == 1 and record["Description"] == "cached mount /c with id packages"
    assert prune(filters={"type": ["exec.cachemount"], "until": ["1h"]})["CachesDeleted"] == []
    report = prune(filters={"type": ["exec.cachemount"]})
    assert report == {"CachesDeleted": [record["ID"]], "SpaceReclaimed": 5000}
    assert records(own, Type="exec.cachemount") == [] and kept(own) == {"a"}
    # The step that it was for does not need it; the next one makes it anew.
    assert "Using cache" in build("a", mount=mount)
    build("a", "--no-cache", mount=mount)
    assert records(own, Type="exec.cachemount")[0]["Size"] == 5000


@pytest.mark.parametrize("gc, left", [
    ({"policy": [{"maxUsedSpace": "2mb"}]}, {"b", "c"}),
    ({"policy": [{"filter": ["unused-for=1h"], "keepStorage": "1b"}, {"filter": {"type": {"exec.cachemount": True}}, "reservedSpace": "1b"}]},
     {"a", "b", "c"}),
    ({"defaultKeepStorage": "1mb", "defaultMaxUsedSpace": "1mb"}, {"c"}), ({"enabled": False, "defaultMaxUsedSpace": "1b"}, {"a", "b", "c"}),
    (None, {"a", "b", "c"}),
])
def test_limits_without_being_asked(gc, left):
    daemon = Daemon("clpt-gc")
    path = daemon.scratch / "daemon.json"
    path.write_text(json.dumps({"builder": {"gc": gc}} if gc else {}))
    daemon.options += ["--config-file", str(path)]
    with serving(daemon):
        client = Client("clipper", BIN / "clipper", daemon)
        # Once a minute, so one build.
        source = "".join(f"FROM {IMAGE} AS {name}\nRUN head -c {MB} /dev/urandom >/{name}\n" for name in "abc")
        source += f"FROM {IMAGE}\n" + "".join(f"COPY --from={name} /etc/passwd /{name}\n" for name in "abc")
        made = client("build", "-q", "-", input=source.encode()).strip()
        if left != {"a", "b", "c"}:
            wait_until(lambda: len(kept(daemon)) == len(left))
            wait_until(lambda: "build cache cut down" in daemon.log.read_text())
        assert len(kept(daemon)) == len(left) and client.inspect(made)["Id"] == made


@pytest.mark.parametrize("builder, text", [
    ({"gc": {"enabled": "yes"}}, "builder.gc.enabled: expected true or false, found string"),
    ({"gc": {"defaultKeepStorage": "much"}}, "builder.gc.defaultKeepStorage: invalid size: 'much'"),
    ({"gc": {"policy": [{"filter": ["colour=red"]}]}}, "builder.gc.policy.filter: invalid filter 'colour'"),
    ({"gc": {"policy": [{"keep": "1g"}]}}, "builder.gc.policy.keep: no such setting"),
    ({"entitlements": {}}, "not implemented: builder.entitlements"),
])
def test_refused_limits(builder, text, tmp_path):
    path = tmp_path / "daemon.json"
    path.write_text(json.dumps({"builder": builder}))
    done = subprocess.run([BIN / "clipperd", "--validate", "--config-file", path], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and text in done.stderr, done
