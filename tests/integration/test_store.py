"""The image store under bad luck: killed at any moment, damaged, repaired; and where its bytes are."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import tarfile
import threading
import time

import pytest

from conftest import PROGRAMS, serving
from harness import BIN, IMAGE, Client, Daemon, wait_until


def image_archive(path, name, layers):
    """An archive of an image; each layer is a seed from which its files are made, so that images share layers."""
    streams = []
    for seed in layers:
        chance = random.Random(seed)
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for number in range(60):
                info = tarfile.TarInfo(f"layer-{seed}/{number % 7}/file-{number}")
                data = chance.randbytes(chance.choice([10, 1000, 60_000]))
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        streams.append(stream.getvalue())
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": [name]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(s).hexdigest() for s in streams]}}).encode()
    with tarfile.open(path, "w") as archive:
        def add(member, data):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        add("config.json", config)
        for number, data in enumerate(streams):
            add(f"{number}.tar.gz", gzip.compress(data, 1, mtime=0))
        add("manifest.json", json.dumps([{
            "Config": "config.json", "RepoTags": [name], "Layers": [f"{n}.tar.gz" for n in range(len(streams))]}]).encode())


@pytest.fixture
def victim():
    """A daemon of this test's own, with the base image."""
    daemon = Daemon(f"clptstore{os.getpid()}")
    with serving(daemon):
        yield daemon


@pytest.fixture
def client(victim):
    return Client("clipper", PROGRAMS["clipper"], victim)


def names(daemon, place):
    return sorted(os.listdir(daemon.scratch / "data" / place))


def check(client, *flags):
    result = client.run("system", "check", *flags, timeout=110)
    return result.code, result.out


def test_killed_at_any_moment(victim, client, tmp_path):
    """Loads, imports, builds, commits, removals and prunes, all at once and cut by kill -9: the next daemon starts, lists, has
    no half of anything, and works on."""
    for number, layers in enumerate([[1, 2, 3], [1, 2, 4], [1, 5], [6]]):
        image_archive(tmp_path / f"{number}.tar", f"clpt/i{number}:1", layers)
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY data /data\nRUN cat /data > /copy && rm -r /home\nLABEL a=b\n")
    (context / "data").write_bytes(random.Random(7).randbytes(200_000))
    client("create", "--name", "kept", IMAGE, "true")
    rootfs = subprocess.run(["tar", "-C", str(context), "-c", "."], check=True, capture_output=True).stdout
    works = [
        *[lambda number=number: client.run("load", "-i", tmp_path / f"{number}.tar") for number in range(4)],
        lambda: client.run("rmi", "-f", "clpt/i0:1", "clpt/i1:1"),
        lambda: client.run("import", "-", "clpt/imported", input=rootfs),
        lambda: client.run("build", "--no-cache", "-t", "clpt/built", context),
        lambda: client.run("commit", "kept", "clpt/committed"),
        lambda: client.run("image", "prune", "-f"),
        lambda: client.run("image", "prune", "-af", "--filter", "label=a=b"),
    ]
    seed = int(os.environ.get("CLIPPER_CRASH_SEED", time.time_ns()))
    print(f"CLIPPER_CRASH_SEED={seed}")
    chance = random.Random(seed)
    for _ in range(12):
        threads = [threading.Thread(target=work) for work in chance.sample(works, 6)]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0, 1.2))
        victim.kill()
        for thread in threads:
            thread.join()
        victim.start()
        status, images = victim.request("GET", "/images/json?all=1")
        assert status == 200 and any(i["RepoTags"] == [f"{IMAGE}:latest"] for i in images)
        code, text = check(client, "--deep")
        assert code == 0 and text.startswith("All is well: "), text
        assert names(victim, "tmp") == [] and names(victim, "damaged") == []
        assert client("inspect", "-f", "{{.State.Status}}", "kept") == "created"
    for number in range(4):
        assert "Loaded image" in client("load", "-i", tmp_path / f"{number}.tar")
    code, text = check(client, "--deep")
    assert code == 0, text
    # Nothing is left behind: without images there is nothing at all.
    client("rm", "kept")
    client("image", "prune", "-af")
    assert victim.request("GET", "/images/json?all=1")[1] == []
    assert [names(victim, place) for place in ("layers", "blobs/sha256", "tmp")] == [[], [], []]


def test_damage_is_told_and_repaired(victim, client, tmp_path):
    archive = tmp_path / "image.tar"
    image_archive(archive, "clpt/hurt:1", [1, 2])
    client("load", "-i", archive)
    layers = client.inspect("clpt/hurt:1")["GraphDriver"]["Data"]
    top, bottom = pathlib.Path(layers["UpperDir"]), pathlib.Path(layers["LowerDir"])
    assert check(client)[0] == 0

    # A changed file: a deep look finds it, and its stream has what it was.
    changed = next(path for path in top.rglob("file-3"))
    before = changed.read_bytes()
    changed.write_bytes(b"changed")
    assert check(client)[0] == 0
    code, text = check(client, "--deep")
    assert code == 1 and "has a directory that was changed" in text and "1 not repaired" in text
    code, text = check(client, "--deep", "--repair")
    assert code == 0 and "has a directory that was changed: unpacked again from its stream" in text
    assert changed.read_bytes() == before

    # A layer that is gone with its stream: told with what to do, and a load brings just that one back.
    shutil.rmtree(bottom)
    manifest = next(
        json.loads(path.read_text()) for path in (victim.scratch / "data/blobs/sha256").iterdir()
        if path.stat().st_size < 10_000 and b'"layers"' in path.read_bytes() and b"gzip" in path.read_bytes())
    os.unlink(victim.scratch / "data/blobs/sha256" / manifest["layers"][0]["digest"][7:])
    unharmed = (top.parent.stat().st_ino, top.parent.stat().st_mtime_ns)
    client("create", "--name", "standing", IMAGE, "true")
    code, text = check(client, "--repair")
    assert code == 1 and "pull or load clpt/hurt:1 again, which brings just this" in text
    assert client.run("image", "inspect", "clpt/hurt:1").code == 1
    victim.crash()
    assert "cannot be used: layer" in check(client)[1]
    shown = client("load", "-i", archive)
    assert "Restored image that was damaged: " in shown and "Loaded image: clpt/hurt:1" in shown
    code, text = check(client, "--deep")
    assert code == 0 and "Nothing is left to repair" in text and "set aside as damaged; remove it when nothing of it is wanted" in text
    assert bottom.is_dir() and (top.parent.stat().st_ino, top.parent.stat().st_mtime_ns) == unharmed

    # What a container stands on.
    shutil.rmtree(next((victim.scratch / "data/containers").glob("[0-9a-f]*")) / "upper")
    code, text = check(client)
    assert code == 1 and "(standing) has lost its writable layer" in text
    report = json.loads(client.run("system", "check", "--format", "json").out)
    assert [f["Kind"] for f in report["Findings"] if f["Kind"] != "aside"] == ["container"] and report["Containers"] == 1


def test_every_byte_has_a_place(victim, client, tmp_path):
    """`system df -v` adds up to what du finds, with logs, volumes and the build cache."""
    image_archive(tmp_path / "image.tar", "clpt/big:1", [1, 2])
    client("load", "-i", tmp_path / "image.tar")
    client("volume", "create", "clptdf")
    client("run", "--name", "talks", "-v", "clptdf:/v", IMAGE, "sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; head -c 500000 /dev/zero >/v/file; head -c 700000 /dev/zero >/own")
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN --mount=type=cache,target=/c head -c 900000 /dev/zero >/c/x\n")
    client("build", "-t", "clpt/cached", "-f", tmp_path / "Dockerfile", tmp_path)
    data = victim.scratch / "data"

    def du(path):
        return int(subprocess.run(["du", "-s", "--block-size=1", str(path)], check=True, capture_output=True).stdout.split()[0])

    def settled():
        before = du(data)
        usage = {place["Place"]: place for place in victim.request("GET", "/system/usage")[1]}
        return usage if du(data) == before == sum(place["Size"] for place in usage.values()) else None

    usage = wait_until(settled, what="the sum of all places")
    for place, path in {"layers": "layers", "content": "blobs", "volumes": "volumes", "build cache": "builder"}.items():
        assert usage[place]["Size"] == du(data / path) and usage[place]["Path"] == str(data / path)
    assert 300_000 < usage["logs"]["Size"] < 1_000_000 and 700_000 < usage["writable layers"]["Size"] < 900_000
    assert usage["volumes"]["Size"] > 500_000 and usage["build cache"]["Size"] > 900_000
    shown = client("system", "df", "-v")
    assert "Disk space by place: " in shown
    rows = {line.split("  ")[0]: line for line in shown.split("Disk space by place: ")[1].splitlines()}
    assert {"PLACE", "layers", "content", "logs", "writable layers", "volumes", "build cache", "records"} <= set(rows)


# Packed layers that are dropped


def blobs(daemon):
    return set(os.listdir(daemon.scratch / "data" / "blobs" / "sha256"))


def test_packed_layers_go_and_are_made_again(victim, tmp_path):
    client = Client("clipper", PROGRAMS["clipper"], victim)
    image_archive(tmp_path / "in.tar", "clpt/packed:1", [1, 2, 3])
    client("load", "-i", tmp_path / "in.tar")
    identity, before = client.inspect("clpt/packed:1")["Id"], blobs(victim)
    told = client("image", "prune", "--blobs", "-f")
    assert told.startswith("Layers Without Their Blobs:\nsha256:") and "Total reclaimed space: " in told and "space: 0B" not in told
    gone = before - blobs(victim)
    assert len(gone) >= 3
    places = {place["Place"]: place for place in victim.request("GET", "/system/usage")[1]}
    assert places["skeletons"]["Files"] >= 3
    assert "All is well" in client("system", "check", "--deep")
    assert victim.request("POST", "/system/streams/prune") == (200, {"Layers": [], "SpaceReclaimed": 0, "Kept": []})
    # What is saved is the plain layers, under their diff IDs, and the same image.
    client("save", "-o", tmp_path / "out.tar", "clpt/packed:1")
    with tarfile.open(tmp_path / "out.tar") as archive:
        saved = json.load(archive.extractfile("manifest.json"))[0]
        layers = ["sha256:" + hashlib.sha256(archive.extractfile(path).read()).hexdigest() for path in saved["Layers"]]
    assert layers == client.inspect("clpt/packed:1")["RootFS"]["Layers"]
    # Others read it as either of the two things that it is.
    for form in ["docker-archive", "oci-archive"] if shutil.which("skopeo") else []:
        subprocess.run(["skopeo", "copy", "-q", f"{form}:{tmp_path}/out.tar", f"dir:{tmp_path}/{form}"], check=True, timeout=60)
        assert json.loads((tmp_path / form / "manifest.json").read_text())["config"]["digest"] == identity
    client("rmi", "clpt/packed:1")
    client("load", "-i", tmp_path / "out.tar")
    assert client.inspect("clpt/packed:1")["Id"] == identity


def test_changed_layer_without_its_blob(victim, tmp_path):
    client = Client("clipper", PROGRAMS["clipper"], victim)
    image_archive(tmp_path / "in.tar", "clpt/packed:1", [4])
    client("load", "-i", tmp_path / "in.tar")
    client("image", "prune", "--blobs", "-f")
    top = pathlib.Path(client.inspect("clpt/packed:1")["GraphDriver"]["Data"]["UpperDir"])
    largest = max((path for path in top.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(100)
        file.write(b"changed")
    done = client.run("system", "check", "--deep")
    assert done.code == 1 and "has a directory that was changed" in done.out
    done = client.run("push", "127.0.0.1:1/clpt/none")
    assert done.code == 1
    # The archive ends where it would be wrong, and does not load.
    client.run("save", "-o", tmp_path / "out.tar", "clpt/packed:1")
    client("rmi", "clpt/packed:1")
    assert client.run("load", "-i", tmp_path / "out.tar").code == 1
    client("load", "-i", tmp_path / "in.tar")
    assert "All is well" in client("system", "check", "--deep")


def test_killed_while_packed_layers_go(victim, tmp_path):
    """At any moment: afterwards each layer has its stream or a skeleton that makes it, and nothing lies about."""
    client = Client("clipper", PROGRAMS["clipper"], victim)
    chance = random.Random(7)
    image_archive(tmp_path / "in.tar", "clpt/packed:1", range(10, 22))
    client("load", "-i", tmp_path / "in.tar")
    started = time.monotonic()
    client("image", "prune", "--blobs", "-f")
    whole = time.monotonic() - started
    identity = client.inspect("clpt/packed:1")["Id"]
    halfway = 0
    for _ in range(8):
        client("rmi", "clpt/packed:1")
        client("load", "-i", tmp_path / "in.tar")
        before = blobs(victim)
        pruning = client.spawn("image", "prune", "--blobs", "-f")
        time.sleep(chance.uniform(0, whole))
        victim.kill()
        pruning.communicate()
        victim.start()
        halfway += before != blobs(victim)
        assert "All is well" in client("system", "check", "--deep")
        assert os.listdir(victim.scratch / "data" / "tmp") == []
        client("save", "-o", tmp_path / "out.tar", "clpt/packed:1")
        assert client.inspect("clpt/packed:1")["Id"] == identity
    assert halfway, "no kill came after a layer had lost its stream"
    client("image", "prune", "--blobs", "-f")
    # Config and manifest of this image and of the base, whose layer was made of a plain stream.
    assert len(blobs(victim)) <= 5
    client("rmi", "clpt/packed:1")
    client("load", "-i", tmp_path / "out.tar")
    assert client.inspect("clpt/packed:1")["Id"] == identity


def test_policy_drops_packed_layers(tmp_path):
    daemon = Daemon(f"clptpolicy{os.getpid()}", options=["--blob-policy", "drop"])
    try:
        daemon.start()
        client = Client("clipper", PROGRAMS["clipper"], daemon)
        image_archive(tmp_path / "in.tar", "clpt/packed:1", [1, 2, 3])
        client("load", "-i", tmp_path / "in.tar")
        assert len(blobs(daemon)) == 2
        assert "All is well" in client("system", "check", "--deep")
        assert "space: 0B" in client("image", "prune", "--blobs", "-f")
        done = client.run("image", "prune", "--blobs", "-a", "-f")
        assert done.code == 1 and "neither" in done.err
    finally:
        if daemon.running():
            daemon.stop()
        daemon.remove()


def test_unknown_policy_is_refused(tmp_path):
    done = subprocess.run(
        [str(BIN / "clipperd"), "--validate", "--blob-policy", "half", "--data-root", str(tmp_path)],
        capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "blob-policy: half is neither keep nor drop" in done.stderr


def test_bomb_is_refused(clipper):
    """64 GiB of zeros, packed 1,000 times: refused long before they fill the disk, and nothing of them stays."""
    cli = clipper
    before = {place: names(cli.daemon, place) for place in ("layers", "tmp", "blobs/sha256")}
    header = tarfile.TarInfo("zeros")
    header.size = 64 << 30
    # What the zeros pack to is made once and repeated: gzip members may follow one another.
    piece = gzip.compress(bytes(16 << 20), 9)
    bomb = gzip.compress(header.tobuf(tarfile.GNU_FORMAT)) + piece * 80
    result = cli.run("import", "-", "clpt/bomb", input=bomb, timeout=110)
    assert result.code == 1 and "packed data grows to more than 250 times its size" in result.err + result.out
    assert {place: names(cli.daemon, place) for place in before} == before
