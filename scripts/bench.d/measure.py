"""Timing of commands side by side, and what /proc says of memory."""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "bin"
RUNS = int(os.environ.get("BENCH_RUNS", "30"))
CGROUP = "clipper-bench"
# Containers that are held for their supervisors' memory, started at once (so many at a time), run by OCI runtimes, and listed;
# ports of one container; megabytes of one log.
HELD, SWARM, AT_ONCE, MANY, LISTED = 10, 200, 16, 200, 500
PORTS, LOG_MEGABYTES = 500, 1000
# The kernel takes down a container's namespaces after its end: the next command starts when that is likely over.
SETTLE = 0.03


class Failed(Exception):
    """A measured command did not do what it was to do: there is no figure for it."""


class Once:
    """One timed command: its milliseconds. Anything but success is `Failed`."""

    def __init__(self, command, environment=None):
        environment = dict(os.environ) if environment is None else environment
        errors = os.memfd_create("errors")
        quiet = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                 (os.POSIX_SPAWN_DUP2, errors, 2)]
        try:
            begin = time.perf_counter()
            pid = os.posix_spawnp(command[0], command, environment, file_actions=quiet)
            _, status = os.waitpid(pid, 0)
            self.ms = (time.perf_counter() - begin) * 1000
            if status != 0:
                text = os.pread(errors, 500, 0).decode(errors="replace").strip().replace("\n", "; ")
                raise Failed(f"{' '.join(map(str, command))}: status {os.waitstatus_to_exitcode(status)}: {text}")
        finally:
            os.close(errors)


class Series:
    """What one contestant took in all its runs."""

    def __init__(self, values, failure=None):
        self.values, self.failure = values, failure

    @property
    def median(self):
        return statistics.median(self.values) if self.values else None

    @property
    def least(self):
        return min(self.values) if self.values else None

    def as_json(self):
        return {"values": self.values, "failure": self.failure}


def side_by_side(contestants, runs=None, environments=None):
    """Times every contestant once per round, in turning order, after two rounds that do not count.

    `contestants`: name → command (or a function of the round that gives it). A contestant that fails is out.
    """
    runs = runs or RUNS
    series = {name: Series([]) for name in contestants}
    names = list(contestants)
    warm = min(2, runs)
    for number in range(-warm, runs):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            command = contestants[name]
            if series[name].failure:
                continue
            time.sleep(SETTLE)
            try:
                once = Once(command(number) if callable(command) else command, (environments or {}).get(name))
            except (Failed, OSError) as error:
                series[name] = Series([], failure=str(error))
                continue
            if number >= 0:
                series[name].values.append(once.ms)
    return series


def peak_kb(command):
    """getrusage(2)'s peak of resident kB of a command and of the children it waited for.

    Measured by busybox: a child of this program would begin with the peak of Python. Older versions of busybox count in
    pages of the wrong size, so they are put to the test first.
    """
    def ask(*words):
        # By path: busybox would take its own command of that name.
        words = (shutil.which(words[0]), *words[1:])
        done = subprocess.run(["busybox", "time", "-f", "%M", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{' '.join(words)}: {done.stderr.strip()}")
        return int(done.stderr.split()[-1]), done.stdout

    said, truth = ask(sys.executable, "-c", "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)")
    return ask(*command)[0] / max(1, round(said / int(truth)))


def forget_programs():
    """Drops the programs of both sides from the page cache, so that all are read from disk the same way.

    A file that was just written lies there in large pieces, and the kernel maps a piece whole for a byte of it: the same
    program showed a peak of 5.1 MB after `make build` and of 3.4 after a restart.
    """
    names = ["runc", "crun", "docker", "dockerd", "containerd", "containerd-shim-runc-v2"]
    for path in [*BIN.glob("clipper*"), *filter(None, map(shutil.which, names))]:
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def memory_kb(pid):
    """(PSS, RSS, private) in kB from smaps_rollup: proc(5)."""
    found = {"Pss": 0, "Rss": 0, "Private_Dirty": 0}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in found:
            found[name] = int(rest.split()[0])
    return tuple(found.values())


def processes(program, word=None):
    """The processes of this process namespace with that program name (and that word on the command line)."""
    found = []
    for directory in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == program.encode() and (word is None or word.encode() in words):
            found.append(int(directory.name))
    return found
