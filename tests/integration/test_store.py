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
from harness import IMAGE, Client, Daemon, wait_until


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
