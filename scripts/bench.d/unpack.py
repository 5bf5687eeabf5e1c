"""A real layer of about 300 MB, packed with gzip, into each engine's store: what it takes from the command to its end.

Every run has an engine and a store of its own, and nothing is deleted before the last one has ended: ext4 looks at inodes that
were deleted within the last minutes before it gives one out (`recently_deleted`), so that whoever comes after a deletion pays
for it. Before each run everything that is dirty is written out, so that nobody flushes another one's pages.
"""
import hashlib
import io
import json
import os
import pathlib
import resource
import shutil
import subprocess
import tarfile
import tempfile
import time

from daemons import Clipperd, Dockerd
from measure import BIN, Failed

PLAIN = int(os.environ.get("BENCH_UNPACK_MB", "740")) << 20
ROUNDS = int(os.environ.get("BENCH_UNPACK_ROUNDS", "3"))
NAME = "docker.io/bench/unpack:1"


def packages_files():
    """What Debian's packages have in /usr, in their order, without what is not there."""
    for listing in sorted(pathlib.Path("/var/lib/dpkg/info").glob("*.list")):
        for line in listing.read_text().splitlines():
            if line.startswith("/usr/") and os.path.lexists(line):
                yield line


def make_archive(work):
    """`docker save`'s form, of one packed layer; how many entries and bytes it has."""
    layer, packed, seen, entries = pathlib.Path(work) / "layer.tar", pathlib.Path(work) / "layer.tar.gz", set(), 0
    with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT) as tar:
        for path in packages_files():
            if path in seen:
                continue
            seen.add(path)
            tar.add(path, path[1:], recursive=False)
            entries += 1
            if tar.offset > PLAIN:
                break
    with packed.open("wb") as output:
        subprocess.run(["gzip", "-6", "-n", "-c", str(layer)], stdout=output, check=True)
    digest = hashlib.sha256()
    with layer.open("rb") as source:
        while piece := source.read(1 << 20):
            digest.update(piece)
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar.gz"]}]).encode()
    archive = pathlib.Path(work) / "image.tar"
    with tarfile.open(archive, "w") as tar:
        for name, data in (("config.json", config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        tar.add(packed, "layer.tar.gz")
    facts = {"entries": entries, "plain_mb": layer.stat().st_size / 1e6, "packed_mb": packed.stat().st_size / 1e6}
    layer.unlink()
    packed.unlink()
    return archive, facts


def cpu_of(pids):
    """Seconds of processor that processes and the children they waited for have had."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(commands, environment, pids=()):
    """Wall and processor seconds of commands, one after another, with what daemons did for them."""
    os.sync()
    before, own, begin = cpu_of(pids), cpu_of_children(), time.perf_counter()
    for command in commands:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            raise Failed(f"{command[0]}: {done.stderr.decode(errors='replace').strip()[-300:]}")
    wall = time.perf_counter() - begin
    return wall, cpu_of(pids) - before + cpu_of_children() - own


def of_daemon(make, client, work, archive):
    daemon = make(work)
    try:
        return timed([[client, "load", "-q", "-i", str(archive)]], daemon.environment, daemon.pids)
    finally:
        daemon.stop()


def of_podman(work, archive):
    with tempfile.TemporaryDirectory(prefix="clb") as runroot:  # It takes no path of more than 50 bytes.
        run = ["podman", "--root", f"{work}/podman", "--runroot", runroot, "--tmpdir", f"{work}/podman-tmp"]
        return timed([[*run, "load", "-q", "-i", str(archive)]], dict(os.environ, TMPDIR=work))


def of_umoci(work, archive):
    copy = ["skopeo", "copy", "-q", f"docker-archive:{archive}", f"oci:{work}/layout:1"]
    return timed([copy, ["umoci", "unpack", "--image", f"{work}/layout:1", f"{work}/bundle"]], dict(os.environ, TMPDIR=work))


def contestants(docker):
    found = {"clipper": lambda work, archive: of_daemon(lambda w: Clipperd(w, "clipper-bench-unpack"), str(BIN / "clipper"), work, archive)}
    if docker and not Dockerd.missing():
        found["docker"] = lambda work, archive: of_daemon(lambda w: Dockerd(w, "clipper-bench-unpack"), docker, work, archive)
    if shutil.which("podman"):
        found["podman"] = of_podman
    if shutil.which("skopeo") and shutil.which("umoci"):
        found["skopeo + umoci"] = of_umoci
    return found


def unpacking(work, docker):
    """Name → seconds of wall and processor of each round, in turning order; and what the layer is like."""
    base = pathlib.Path(work) / "unpack"
    base.mkdir()
    try:
        archive, facts = make_archive(base)
        sides = contestants(docker)
        found = {name: {"wall": [], "cpu": [], "failure": None} for name in sides}
        names = list(sides)
        for number in range(ROUNDS):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                one = found[name]
                if one["failure"]:
                    continue
                own = base / f"{names.index(name)}-{number}"
                own.mkdir()
                archive.read_bytes()  # From the page cache for everybody.
                try:
                    wall, cpu = sides[name](str(own), archive)
                    one["wall"].append(wall)
                    one["cpu"].append(cpu)
                except (Failed, OSError, RuntimeError) as error:
                    one["failure"] = str(error)
        return {"layer": facts, "sides": found}
    finally:
        for mounted in reversed([line.split()[1] for line in open("/proc/mounts") if f" {base}/" in line]):
            subprocess.run(["umount", "-l", mounted], capture_output=True)
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    # By itself: `unshare -mnp --fork --kill-child --mount-proc python3 scripts/bench.d/unpack.py DIRECTORY`.
    import sys
    subprocess.check_call(["ip", "link", "set", "lo", "up"])
    print(json.dumps(unpacking(sys.argv[1], "/usr/bin/docker"), indent=1))
