"""Pull and push of an image of ten layers, from and to a registry on loopback. Each side has the registry for itself."""
import os
import pathlib
import shutil
import subprocess
import sys

from measure import ROOT, RUNS, Failed, Once, Series

sys.path.insert(0, str(ROOT / "tests/integration"))
from registries import Registry  # noqa: E402

LAYERS = 10
MEGABYTES = int(os.environ.get("BENCH_IMAGE_MB", "1000"))
ROUNDS = min(RUNS, 5)


def layers():
    """Files of this machine, as images have them: ten layers of the same size."""
    share = MEGABYTES * 1_000_000 // LAYERS
    files = (path for top in ("/usr/lib", "/usr/share", "/usr/bin") for path in sorted(pathlib.Path(top).rglob("*")))
    found = []
    for number in range(LAYERS):
        content, size = {}, 0
        while size < share:
            path = next(files, None)
            if path is None:
                return found + ([content] if content else [])
            if not path.is_file() or path.is_symlink() or path.stat().st_size > share:
                continue
            data = path.read_bytes()
            content[str(path)[1:]] = data
            size += len(data)
        found.append(content)
    return found


class Podman:
    """podman has no daemon: its storage is the side."""

    name = "podman"
    environment = dict(os.environ)

    def __init__(self, work):
        self.words = ["podman", "--root", f"{work}/podman", "--runroot", f"{work}/podman-run", "--storage-driver", "overlay"]

    def command(self, verb, *words):
        return [*self.words, verb, *(["--tls-verify=false"] if verb in ("pull", "push") else []), *words]

    def call(self, *words):
        done = subprocess.run(self.command(*words), capture_output=True)
        if done.returncode:
            raise Failed(f"podman {' '.join(words)}: {done.stderr.decode(errors='replace').strip()}")


def transfers(work, sides, clipperd):
    """Milliseconds of `pull` and `push` of each side, and the daemon's peak of memory above what it was before a pull, in kB."""
    if shutil.which("podman"):
        sides = [*sides, Podman(work)]
    source = Registry("clipper-registry", f"{work}/registry")
    found = {"pull": {side.name: Series([]) for side in sides}, "push": {side.name: Series([]) for side in sides}}
    above = []
    try:
        source.put_image("bench/large", "1", layers())
        name = f"{source.host}/bench/large:1"
        for number in range(ROUNDS):
            turn = number % len(sides)
            for side in sides[turn:] + sides[:turn]:
                try:
                    one_round(work, side, name, found, above, clipperd, f"{number}-{sides.index(side)}")
                except Failed as error:
                    for series in (found["pull"], found["push"]):
                        series[side.name] = Series([], failure=str(error))
    finally:
        source.stop()
        if shutil.which("podman"):
            subprocess.run([*Podman(work).words, "rmi", "-a", "-f"], capture_output=True)
    return found | {"above": above}


def one_round(work, side, name, found, above, clipperd, mark):
    if found["pull"][side.name].failure:
        return
    # What others have left to be written is theirs.
    os.sync()
    before = reset_peak(clipperd) if side.name == "clipper" else 0
    pulled = Once(side.command("pull", name), side.environment)
    if before:
        above.append(peak(clipperd) - before)
    target = Registry("clipper-registry", f"{work}/registry-{mark}")
    try:
        other = f"{target.host}/bench/large:1"
        side.call("tag", name, other)
        os.sync()
        pushed = Once(side.command("push", other), side.environment)
        side.call("rmi", other, name)
    finally:
        target.stop()
        shutil.rmtree(target.directory)
    found["pull"][side.name].values.append(pulled.ms)
    found["push"][side.name].values.append(pushed.ms)


def status(daemon, field):
    text = pathlib.Path(f"/proc/{daemon.pids[0]}/status").read_text()
    return int(text.split(f"{field}:")[1].split()[0])


def reset_peak(daemon):
    """The memory now; the peak is counted anew from here (proc(5), clear_refs)."""
    pathlib.Path(f"/proc/{daemon.pids[0]}/clear_refs").write_text("5")
    return status(daemon, "VmRSS")


def peak(daemon):
    return status(daemon, "VmHWM")
