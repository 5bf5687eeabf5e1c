"""Lists and what narrows them: every filter of every list, limits, sizes, and the filters of prunes."""

import json
import time
import urllib.parse

import pytest

from harness import IMAGE, free_port, wait_until


def query(**parameters):
    return urllib.parse.urlencode({k: json.dumps(v) if k == "filters" else v for k, v in parameters.items()})


@pytest.fixture
def listed(daemon):
    """Asks for a list: `listed("/containers/json", filters={…}, all=1)`."""
    def ask(path, version="1.50", **parameters):
        status, body = daemon.request("GET", f"/v{version}{path}?{query(**parameters)}")
        assert status == 200, body
        return body
    return ask


@pytest.fixture
def names(listed, name):
    """The containers of this test that a list shows: what stands behind the test's name."""
    def ask(filters=None, **parameters):
        found = [c["Names"][0].removeprefix(f"/{name}-") for c in listed("/containers/json", filters=filters or {}, **parameters)]
        return [n for n in found if not n.startswith("/")]
    return ask


@pytest.fixture
def containers(clipper, daemon, name):
    """Three, the oldest first: `made` was never started, `ended` has ended with 3, `runs` runs."""
    port = free_port()
    clipper("volume", "create", f"{name}-v")
    clipper("network", "create", f"{name}-n")
    clipper("create", "--name", f"{name}-made", "--label", "tier=back", "--expose", "81", IMAGE, "true")
    clipper.run("run", "--name", f"{name}-ended", "--label", "tier=front", "-v", f"{name}-v:/data", IMAGE, "sh", "-c", "exit 3")
    clipper(
        "run", "-d", "--name", f"{name}-runs", "--label", "tier=front", "--label", "more", "--network", f"{name}-n",
        "-p", f"{port}:80", "--expose", "81", "--expose", "53/udp", "--health-cmd", "true", "--health-interval", "200ms", "-v", "/tmp:/host",
        IMAGE, "sleep", "1000")
    wait_until(lambda: clipper.inspect(f"{name}-runs")["State"]["Health"]["Status"] == "healthy", what="a healthy container")
    return port


def test_containers(clipper, names, listed, containers, name):
    port = containers
    network = clipper.inspect(f"{name}-n")["Id"]
    image = clipper.inspect(IMAGE)["Id"]
    identifier = clipper.inspect(f"{name}-ended")["Id"]
    assert names() == ["runs"] and names(all=1) == ["runs", "ended", "made"]
    rows = [
        ({"id": [identifier]}, ["ended"]), ({"id": [identifier[:12]]}, ["ended"]), ({"id": ["nothing"]}, []),
        ({"name": ["ended"]}, ["ended"]), ({"name": [f"^/{name}-(made|runs)$"]}, ["runs", "made"]), ({"name": ["["]}, []),
        ({"status": ["created"]}, ["made"]), ({"status": ["exited", "running"]}, ["runs", "ended"]),
        ({"exited": ["3"]}, ["ended"]), ({"exited": ["0"]}, []), ({"exited": ["0", "3"]}, ["ended"]),
        ({"label": ["tier"]}, ["runs", "ended", "made"]), ({"label": ["tier=front"]}, ["runs", "ended"]),
        ({"label": ["tier=front", "more"]}, ["runs"]), ({"label": ["none"]}, []),
        ({"before": [f"{name}-ended"]}, ["made"]), ({"since": [f"{name}-ended"]}, ["runs"]),
        ({"since": [f"{name}-made"], "before": [f"{name}-runs"]}, ["ended"]),
        ({"health": ["healthy"]}, ["runs"]), ({"health": ["none"]}, ["ended", "made"]),
        ({"network": [f"{name}-n"]}, ["runs"]), ({"network": [network]}, ["runs"]), ({"network": [network[:12]]}, ["runs"]),
        ({"volume": [f"{name}-v"]}, ["ended"]), ({"volume": ["/data"]}, ["ended"]), ({"volume": ["/tmp"]}, ["runs"]),
        ({"volume": ["/host"]}, ["runs"]),
        ({"publish": [str(port)]}, ["runs"]), ({"publish": [f"{port}/tcp"]}, ["runs"]), ({"publish": [f"{port}/udp"]}, []),
        ({"publish": [f"{port - 1}-{port + 1}"]}, ["runs"]), ({"publish": ["80"]}, []),
        # A container that doesn't run has no ports.
        ({"expose": ["81"]}, ["runs"]), ({"expose": ["80/tcp"]}, ["runs"]), ({"expose": ["50-60/udp"]}, ["runs"]), ({"expose": ["53"]}, []),
        ({"ancestor": [IMAGE]}, ["runs", "ended", "made"]), ({"ancestor": [image]}, ["runs", "ended", "made"]),
        ({"ancestor": [image.removeprefix("sha256:")[:12]]}, ["runs", "ended", "made"]), ({"ancestor": ["nothing"]}, []),
        ({"is-task": ["false"]}, ["runs", "ended", "made"]), ({"is-task": ["true"]}, []),
        ({"isolation": ["default"]}, ["runs", "ended", "made"]),
        ({"label": {"tier=front": True}}, ["runs", "ended"]),
    ]
    for filters, expected in rows:
        assert names(filters, all=1) == expected, filters
    # Of those that don't run only a status shows any by itself.
    assert names({"status": ["exited"]}) == ["ended"] and names({"exited": ["3"]}) == []
    assert names(limit=2) == ["runs", "ended"] and names({"label": ["tier=front"]}, limit=1) == ["runs"]
    assert "SizeRw" not in listed("/containers/json", all=1)[0]
    assert listed("/containers/json", all=1, size=1)[0]["SizeRootFs"] > 0


def test_ancestors_are_images_built_on_it_too(clipper, names, name):
    clipper("build", "-t", "clptf/child:1", "-", input=f"FROM {IMAGE}\nLABEL a=b\n".encode())
    clipper("create", "--name", f"{name}-child", "clptf/child:1", "true")
    assert names({"ancestor": [IMAGE]}, all=1) == ["child"] == names({"ancestor": ["clptf/child:1"]}, all=1)


def test_an_image_whose_name_went_elsewhere_is_shown_by_its_id(clipper, listed, name):
    clipper("tag", IMAGE, "clptf/moves:1")
    clipper("create", "--name", name, "clptf/moves:1", "true")
    [shown] = listed("/containers/json", all=1, filters={"name": [name]})
    assert shown["Image"] == "clptf/moves:1"
    clipper("build", "-t", "clptf/moves:1", "-", input=f"FROM {IMAGE}\nLABEL a=b\n".encode())
    [shown] = listed("/containers/json", all=1, filters={"name": [name]})
    assert shown["Image"] == shown["ImageID"] == clipper.inspect(IMAGE)["Id"]


@pytest.fixture
def images(clipper):
    """`old`, then `new` with a label, and one without a name."""
    clipper("build", "-t", "clptf/old:1", "-", input=f"FROM {IMAGE}\nLABEL age=old\n".encode())
    clipper("build", "-t", "clptf/new:1", "-t", "clptf/new:2", "-", input=f"FROM {IMAGE}\nLABEL age=new\n".encode())
    return clipper("build", "-q", "-", input=f"FROM {IMAGE}\nLABEL age=none\n".encode())


def test_images(clipper, listed, images, name):
    identifiers = {clipper.inspect("clptf/old:1")["Id"]: "old", clipper.inspect("clptf/new:1")["Id"]: "new", images: "none"}

    def found(filters, **parameters):
        return sorted(identifiers[i["Id"]] for i in listed("/images/json", filters=filters, **parameters) if i["Id"] in identifiers)

    rows = [
        ({}, ["new", "none", "old"]), ({"label": ["age"]}, ["new", "none", "old"]), ({"label": ["age=old"]}, ["old"]),
        ({"dangling": ["true"]}, ["none"]), ({"dangling": ["false"]}, ["new", "old"]), ({"dangling": ["1"]}, ["none"]),
        ({"reference": ["clptf/*"]}, ["new", "old"]), ({"reference": ["clptf/new"]}, ["new"]), ({"reference": ["clptf/*:2"]}, ["new"]),
        ({"reference": ["clptf/old", "clptf/new:1"]}, ["new", "old"]), ({"reference": ["new"]}, []),
        ({"before": ["clptf/new:1"]}, ["old"]), ({"since": ["clptf/old:1"]}, ["new", "none"]),
        ({"since": ["clptf/old:1"], "before": [images]}, ["new"]),
        ({"until": ["1h"]}, []), ({"until": [f"{time.time() + 5:.0f}"]}, ["new", "none", "old"]), ({"until": ["2020-01-01"]}, []),
    ]
    for filters, expected in rows:
        assert found(filters) == expected, filters
    [shown] = listed("/images/json", filters={"reference": ["clptf/*:2"]})
    assert shown["RepoTags"] == ["clptf/new:2"] and shown["SharedSize"] == shown["Containers"] == -1
    [shown] = [i for i in listed("/images/json", **{"shared-size": 1}) if identifiers.get(i["Id"]) == "old"]
    assert shown["SharedSize"] == shown["Size"] > 0
    [shown] = [i for i in listed("/images/json", "1.41", **{"shared-size": 1}) if identifiers.get(i["Id"]) == "old"]
    assert shown["SharedSize"] == -1 and shown["VirtualSize"] == shown["Size"]
    [shown] = [i for i in listed("/images/json", "1.42") if i["Id"] == images]
    assert shown["RepoTags"] == ["<none>:<none>"] and shown["RepoDigests"] == ["<none>@<none>"]
    [shown] = [i for i in listed("/images/json", "1.43") if i["Id"] == images]
    assert shown["RepoTags"] == shown["RepoDigests"] == []
    assert [i["RepoTags"] for i in listed("/images/json", "1.40", filter="clptf/old")] == [["clptf/old:1"]]


def test_volumes(clipper, listed, name):
    clipper("volume", "create", f"{name}-used", "--label", "a=b")
    clipper("volume", "create", f"{name}-free")
    clipper("create", "--name", name, "-v", f"{name}-used:/data", IMAGE, "true")

    def found(filters):
        return sorted(v["Name"].removeprefix(f"{name}-") for v in listed("/volumes", filters=filters)["Volumes"] if v["Name"].startswith(name))

    for filters, expected in [
        ({}, ["free", "used"]), ({"dangling": ["true"]}, ["free"]), ({"dangling": ["false"]}, ["used"]), ({"label": ["a"]}, ["used"]),
        ({"label": ["a=c"]}, []), ({"driver": ["local"]}, ["free", "used"]), ({"driver": ["other"]}, []),
        ({"name": ["use"]}, ["used"]), ({"name": [f"^{name}-f"]}, ["free"]), ({"name": ["^free"]}, []),
    ]:
        assert found(filters) == expected, filters


def test_networks(clipper, listed, name):
    clipper("network", "create", f"{name}-used", "--label", "a=b")
    clipper("network", "create", f"{name}-free")
    clipper("run", "-d", "--name", name, "--network", f"{name}-used", IMAGE, "sleep", "1000")
    identifier = clipper.inspect(f"{name}-free")["Id"]

    def found(filters):
        return sorted(n["Name"].removeprefix(f"{name}-") for n in listed("/networks", filters=filters))

    predefined = ["bridge", "host", "none"]
    for filters, expected in [
        ({}, sorted(["free", "used", *predefined])), ({"dangling": ["true"]}, ["free"]),
        ({"dangling": ["false"]}, sorted(["used", *predefined])),
        ({"label": ["a=b"]}, ["used"]), ({"driver": ["host"]}, ["host"]), ({"driver": ["bridge"]}, ["bridge", "free", "used"]),
        ({"type": ["builtin"]}, predefined), ({"type": ["custom"]}, ["free", "used"]), ({"type": ["custom", "builtin"]}, sorted(["free", "used", *predefined])),
        ({"scope": ["local"]}, sorted(["free", "used", *predefined])), ({"scope": ["swarm"]}, []),
        ({"id": [identifier]}, ["free"]), ({"id": [identifier[:10]]}, ["free"]), ({"name": ["ridg"]}, ["bridge"]), ({"name": ["^none$"]}, ["none"]),
    ]:
        assert found(filters) == expected, filters
    # A list shows what is on a network to old clients only; inspect to all.
    [new] = listed("/networks", filters={"name": [f"{name}-used"]})
    [old] = listed("/networks", "1.27", filters={"name": [f"{name}-used"]})
    assert new["Containers"] == {} and [c["Name"] for c in old["Containers"].values()] == [name]
    assert "EnableIPv4" in new and "EnableIPv4" not in old


@pytest.mark.parametrize("path, filters, text", [
    ("/containers/json", {"colour": ["red"]}, "invalid filter 'colour'"),
    ("/containers/json", {"status": ["flying"]}, "invalid filter 'status=flying': invalid value for state (flying): must be one of created, "),
    ("/containers/json", {"health": ["ill"]}, "invalid filter 'health=ill': invalid value for health (ill): must be one of none, starting, "),
    ("/containers/json", {"exited": ["x"]}, "invalid filter 'exited=x'"),
    ("/containers/json", {"publish": ["1:2"]}, "filter for 'publish' should not contain ':': 1:2"),
    ("/containers/json", {"is-task": ["x"]}, "invalid filter 'is-task=[x]'"),
    ("/images/json", {"colour": ["red"]}, "invalid filter 'colour'"), ("/images/json", {"dangling": ["x"]}, "invalid filter 'dangling=[x]'"),
    ("/images/json", {"until": ["soon"]}, 'failed to parse value as time or duration: "soon"'),
    ("/volumes", {"colour": ["red"]}, "invalid filter 'colour'"), ("/volumes", {"dangling": ["x"]}, "invalid filter 'dangling=[x]'"),
    ("/networks", {"colour": ["red"]}, "invalid filter 'colour'"), ("/networks", {"type": ["odd"]}, "invalid filter: 'type'='odd'"),
    ("/networks", {"dangling": ["x"]}, "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")"),
])
def test_refused_filters(daemon, path, filters, text):
    status, body = daemon.request("GET", f"{path}?{query(filters=filters)}")
    assert status == 400 and body["message"].startswith(text), body


@pytest.mark.parametrize("path", ["/containers/prune", "/images/prune", "/networks/prune", "/volumes/prune", "/build/prune"])
@pytest.mark.parametrize("filters, text", [
    ({"colour": ["red"]}, "invalid filter 'colour'"), ({"until": ["soon"]}, ""), ({"until": ["1h", "2h"]}, ""),
])
def test_refused_filters_of_prunes(clipper, daemon, path, filters, text, name):
    clipper("create", "--name", name, IMAGE, "true")
    status, body = daemon.request("POST", f"{path}?{query(filters=filters)}")
    prefix = "failed to prune build cache: " if path == "/build/prune" else ""
    assert status == 400 and body["message"].startswith(prefix + text), body
    assert clipper.inspect(name)["Id"]


def test_before_a_container_that_is_not_there(daemon):
    status, body = daemon.request("GET", f"/containers/json?{query(filters={'before': ['nothing']})}")
    assert status == 404 and body["message"] == "No such container: nothing"


def test_prunes_of_containers(clipper, daemon, names, name):
    for part, label in [("keep", "clptf=keep"), ("go", "clptf=go")]:
        clipper("create", "--name", f"{name}-{part}", "--label", label, IMAGE, "true")
    clipper("cp", "-", f"{name}-go:/", input=archive_of(1000))

    def prune(**filters):
        status, body = daemon.request("POST", f"/containers/prune?{query(filters=filters)}")
        assert status == 200, body
        return body

    assert prune(until=["1h"])["ContainersDeleted"] in ([], None) and names(all=1) == ["go", "keep"]
    report = prune(**{"label": ["clptf"], "label!": ["clptf=keep"]})
    assert len(report["ContainersDeleted"]) == 1 and report["SpaceReclaimed"] == 1000 and names(all=1) == ["keep"]
    prune(label=["clptf=keep"], until=["0.001s"])
    assert names(all=1) == []


def archive_of(size):
    import io
    import tarfile
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("big")
        info.size = size
        tar.addfile(info, io.BytesIO(b"x" * size))
    return out.getvalue()


def test_prunes_of_images(clipper, daemon, listed, images, name):
    def prune(path="/images/prune", **filters):
        status, body = daemon.request("POST", f"{path}?{query(filters=filters)}")
        assert status == 200, body
        return {step.get("Untagged") or step.get("Deleted") for step in body["ImagesDeleted"] or []}

    assert prune(until=["1h"]) == set()
    assert prune(**{"label!": ["age"], "label": ["age"]}) == set()
    assert images in prune(label=["age"])
    assert {"clptf/old:1"} == {name for name in prune(dangling=["false"], label=["age=old"]) if name.startswith("clptf")}
    assert [i["RepoTags"] for i in listed("/images/json", filters={"label": ["age"]})] == [["clptf/new:1", "clptf/new:2"]]


def test_prunes_of_the_builders_cache(clipper, daemon, images):
    def prune(**filters):
        status, body = daemon.request("POST", f"/build/prune?{query(filters=filters)}")
        assert status == 200, body
        return body["CachesDeleted"] or []

    assert prune(until=["1h"]) == []
    assert prune(**{"unused-for": ["1h"]}) == []
    # The label's step is held by no image.
    source = f"FROM {IMAGE} AS one\nLABEL age=none kind=step\nFROM {IMAGE}\nCOPY --from=one /etc/passwd /copied\n".encode()
    parent = clipper.inspect(images)["Parent"]
    for wrong, right in [({"id": ["0" * 64]}, {"id": ["IMAGE"]}), ({"type": ["source.local"]}, {"type": ["regular"]}),
                         ({"parent": ["sha256:x"]}, {"parent": [parent]}), ({"description": ["RUN x"]}, {"description": ["/bin/sh -c #(nop)  LABEL age=none kind=step"]}),
                         ({"inuse": ["true"]}, {"inuse": ["false"]}), ({"inuse": []}, {"id": ["^sha256:[0-9a-f]*$"]}),
                         ({"shared": ["true"]}, {"shared": ["false"]}), ({"private": ["false"]}, {"private": ["1"]})]:
        clipper("build", "-q", "-", input=source)
        cache = daemon.request("GET", "/system/df?type=build-cache")[1]["BuildCache"]
        [made] = [record["ID"] for record in cache if record["Description"].endswith("kind=step") and not record["Shared"]]
        assert prune(label=["age=none"], **wrong) == [], wrong
        chosen = {name: [made.split(":")[1][:20] if value == "IMAGE" else value for value in values] for name, values in right.items()}
        assert prune(label=["age=none"], **chosen) == [made], right
    clipper("build", "-q", "-", input=source)
    assert prune(**{"unused-for": ["1ns"], "label": ["age=none"]}) != []


@pytest.mark.parametrize("parameters, text", [
    ({"filters": {"id": ["a", "b"]}}, "failed to prune build cache: filters expect only one value"),
    ({"filters": {"until": ["1h"], "unused-for": ["1h"]}}, 'failed to prune build cache: conflicting filters: "until" and "unused-for"'),
    ({"filters": {"shared": ["perhaps"]}}, "failed to prune build cache: invalid filter 'shared=[perhaps]'"),
    ({"keep-storage": "x"}, 'keep-storage is in bytes and expects an integer, got x: strconv.Atoi: parsing "x": invalid syntax'),
])
def test_refused_prunes_of_the_builders_cache(daemon, parameters, text):
    status, body = daemon.request("POST", f"/build/prune?{query(**parameters)}")
    assert status == 400 and body["message"] == text


def test_a_choice_of_the_builders_cache_leaves_the_rest(clipper, daemon, name):
    source = f"FROM {IMAGE}\nRUN date +%N >/when\n".encode()
    clipper("build", "-t", f"clpt/{name}", "-", input=source)
    assert daemon.request("POST", f"/build/prune?all=1&{query(filters={'id': ['0' * 64]})}")[0] == 200
    assert "Using cache" in clipper("build", "-t", f"clpt/{name}", "-", input=source)


def test_prunes_of_networks(clipper, daemon, listed, name):
    for part, label in [("keep", "clptf=keep"), ("go", "clptf=go")]:
        clipper("network", "create", f"{name}-{part}", "--label", label)

    def prune(**filters):
        status, body = daemon.request("POST", f"/networks/prune?{query(filters=filters)}")
        assert status == 200, body
        return body["NetworksDeleted"] or []

    assert prune(until=["1h"]) == []
    assert prune(**{"label": ["clptf"], "label!": ["clptf=keep"]}) == [f"{name}-go"]
    assert [n["Name"] for n in listed("/networks", filters={"label": ["clptf"]})] == [f"{name}-keep"]


def test_prunes_of_volumes(clipper, daemon, listed, name):
    clipper("volume", "create", f"{name}-named", "--label", "clptf=1")
    anonymous = clipper("volume", "create", "--label", "clptf=1")
    clipper("volume", "create", f"{name}-mounted", "--label", "clptf=1", "-o", "type=tmpfs", "-o", "device=tmpfs")

    def prune(version="1.50", **filters):
        status, body = daemon.request("POST", f"/v{version}/volumes/prune?{query(filters=filters)}")
        assert status == 200, body
        return body["VolumesDeleted"] or []

    assert prune(**{"label": ["clptf"], "label!": ["clptf=1"]}) == []
    assert prune(label=["clptf"]) == [anonymous]
    # Up to 1.41 those with a name went without being asked for.
    assert prune("1.41", label=["clptf"]) == [f"{name}-named"]
    clipper("volume", "create", f"{name}-named", "--label", "clptf=1")
    assert prune(label=["clptf"], all=["true"]) == [f"{name}-named"]
    assert [v["Name"] for v in listed("/volumes", filters={"label": ["clptf"]})["Volumes"]] == [f"{name}-mounted"]
    status, body = daemon.request("POST", f"/volumes/prune?{query(filters={'all': ['perhaps']})}")
    assert status == 400 and body["message"].startswith("invalid filter 'all'")
