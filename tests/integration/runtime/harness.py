"""What the runtime's integration tests are made with: runtimes, bundles, containers.

Everything a test makes carries the session's prefix (container ids, the cgroup parent) or lies below its scratch
directory, and is taken away in reverse order, also after a failure; `leftovers` counts what is still there.

    def test_hostname(container):                       # a fixture: makes containers of clipper-runtime
        made = container(["hostname"], edit=lambda config: config.update(hostname="one"))
        assert made.run().out == "one\\n"

    def test_anywhere(make_container, engine):          # the same under clipper-runtime, runc and crun
        assert make_container(engine, ["true"]).run().code == 0

    def test_prober(probe, engine):                     # what a process in a container sees of it
        assert probe(engine)["process"]["noNewPrivileges"] == 1

CLIPPER_RUNTIME names the program to test; default is bin/clipper-runtime of this repository. The prober is looked for
beside it (`swift build --product clipper-prober`), or where CLIPPER_PROBER says.
"""

import copy
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import machine
from harness import Result, wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = pathlib.Path(os.environ.get("CLIPPER_RUNTIME") or REPOSITORY / "bin/clipper-runtime").resolve()
# What reports from inside a container (Tests/Prober); built beside the runtime.
PROBER = pathlib.Path(os.environ.get("CLIPPER_PROBER") or PROGRAM.parent / "clipper-prober").resolve()
CGROUPS = pathlib.Path("/sys/fs/cgroup")
IS_CGROUP2 = (CGROUPS / "cgroup.controllers").exists()
PREFIX = f"clprt{os.getpid()}"
TIMEOUT = 60


def in_machine(directory, *command, files=()):
    """Runs a script of `vm/` in the virtual machine, with the runtime and busybox beside it; its lines."""
    scripts = (pathlib.Path(__file__).parent / "vm").iterdir()
    return machine.run(directory, *command, files=[*scripts, PROGRAM, find_program("busybox"), *files])


def find_program(name):
    """A program also where an administrator's path would find it; None when it is not installed."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin")


def call(arguments, *, stdin=b"", timeout=TIMEOUT, env=None, cwd=None, pass_fds=(), preexec_fn=None):
    """Runs a program to its end, whatever its exit code.

    The streams are files: a container that lives on holds no pipe that would be waited for.
    """
    arguments = [str(a) for a in arguments]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            arguments, stdin=given, stdout=out, stderr=err, env=env, cwd=cwd, pass_fds=pass_fds, preexec_fn=preexec_fn)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            out.seek(0), err.seek(0)
            raise AssertionError(f"not ended after {timeout} s: {Result(arguments, None, out.read(), err.read())}")
        out.seek(0), err.seek(0)
        return Result(arguments, code, out.read(), err.read())


class Runtime:
    """An OCI runtime with a `--root` of its own."""

    def __init__(self, name, command, root):
        self.name, self.command, self.root = name, [str(c) for c in command], pathlib.Path(root)

    def __repr__(self):
        return self.name

    def arguments(self, *arguments, options=()):
        return [*self.command, "--root", str(self.root), *map(str, options), *map(str, arguments)]

    def __call__(self, *arguments, options=(), **how):
        """`runtime [global options] arguments…`, whatever the exit code; `how` is for `call`."""
        return call(self.arguments(*arguments, options=options), **how)

    def ok(self, *arguments, **how):
        """The same for what must succeed."""
        result = self(*arguments, **how)
        assert result.code == 0, result
        return result

    def spawn(self, *arguments, options=(), **how):
        """A Popen of it, with pipes unless told otherwise."""
        how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        return subprocess.Popen(self.arguments(*arguments, options=options), **how)

    def ids(self):
        return self.ok("list", "-q").out.split()


# crun refuses a hybrid hierarchy: for it, and for it alone, the unified one is put out of sight.
WITHOUT_UNIFIED = ["unshare", "-m", "sh", "-c", 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$0" "$@"']


def runtime(name, root):
    """The runtime of that name (clipper, runc, crun), or None where it is not installed."""
    if name == "clipper":
        return Runtime(name, [PROGRAM], root)
    program = find_program(name)
    if program is None:
        return None
    isHybrid = (CGROUPS / "unified").is_dir()
    return Runtime(name, [*(WITHOUT_UNIFIED if name == "crun" and isHybrid else []), program], root)


class Bundle:
    """A directory with a root filesystem and a config.json; `config` is written by `save`."""

    def __init__(self, path, config):
        self.path, self.config = pathlib.Path(path), config

    @property
    def rootfs(self):
        return self.path / "rootfs"

    def save(self):
        (self.path / "config.json").write_text(json.dumps(self.config, indent=1))

    def remove(self):
        shutil.rmtree(self.path)


class Container:
    """A container that may or may not have been made yet, and its bundle."""

    def __init__(self, runtime, identifier, bundle):
        self.runtime, self.id, self.bundle = runtime, identifier, bundle

    @property
    def config(self):
        return self.bundle.config

    def _make(self, command, options, globals, how):
        self.bundle.save()
        return self.runtime(command, "--bundle", self.bundle.path, *options, self.id, options=globals, **how)

    def run(self, *options, globals=(), **how):
        """`run` to the end of its program, whatever the exit code."""
        return self._make("run", options, globals, how)

    def create(self, *options, globals=(), **how):
        """`create`, whatever the exit code."""
        return self._make("create", options, globals, how)

    def up(self, *options, globals=(), **how):
        """`run --detach`, which must succeed; the container itself."""
        result = self._make("run", ["--detach", *options], globals, how)
        assert result.code == 0, result
        return self

    def start(self, **how):
        return self.runtime("start", self.id, **how)

    def exec(self, *command, options=(), globals=(), **how):
        """`exec` of a command in it, whatever the exit code."""
        return self.runtime("exec", *options, self.id, *command, options=globals, **how)

    def kill(self, signal="KILL", *options, **how):
        return self.runtime("kill", *options, self.id, signal, **how)

    def delete(self, force=False, **how):
        return self.runtime("delete", *(["--force"] if force else []), self.id, **how)

    def state(self):
        """The document of `state`; None when there is no such container."""
        result = self.runtime("state", self.id)
        return result.json if result.code == 0 else None

    @property
    def status(self):
        state = self.state()
        return state and state["status"]

    @property
    def pid(self):
        return self.state()["pid"]

    def wait_for(self, status, timeout=20):
        wait_until(lambda: self.status == status, timeout, f"the status {status} of {self.id}")

    def cgroup(self, controller):
        """Its directory in a controller's hierarchy."""
        path = self.config["linux"]["cgroupsPath"].lstrip("/")
        return CGROUPS / path if IS_CGROUP2 else CGROUPS / controller / path

    def add_prober(self):
        """Puts the prober into its root filesystem."""
        shutil.copy(PROBER, self.bundle.rootfs / "clipper-prober")

    def remove(self):
        """Whatever state it is in, away with it."""
        self.runtime("delete", "--force", self.id)
        for directory in cgroup_directories(self.id):
            end_processes(directory)


class Scope:
    """Everything of one test session, undone in reverse order."""

    def __init__(self, prefix=PREFIX):
        self.prefix, self.count, self.undo = prefix, 0, []
        self.scratch = pathlib.Path(tempfile.gettempdir()) / prefix
        self.scratch.mkdir(mode=0o711)
        self._base = None
        self._config = None

    def name(self, hint=""):
        self.count += 1
        safe = "".join(c if c.isalnum() else "-" for c in hint).strip("-").lower()[:40]
        return f"{self.prefix}-{self.count}" + (f"-{safe}" if safe else "")

    def runtime(self, name):
        return runtime(name, self.scratch / f"root-{name}")

    @property
    def base(self):
        """A busybox root filesystem, to be copied."""
        if self._base is None:
            base = self.scratch / "base"
            base.mkdir(mode=0o755)
            packed = subprocess.run([str(REPOSITORY / "scripts/make-base-image")], stdout=subprocess.PIPE, check=True).stdout
            subprocess.run(["tar", "-x", "-C", str(base)], input=packed, check=True)
            self._base = base
        return self._base

    def config(self):
        """What `clipper-runtime spec` writes, without a terminal; with a cgroup namespace, which it writes on cgroup v2 alone."""
        if self._config is None:
            place = self.scratch / "spec"
            place.mkdir()
            self.runtime("clipper").ok("spec", cwd=place)
            self._config = json.loads((place / "config.json").read_text())
            self._config["process"]["terminal"] = False
            namespaces = self._config["linux"]["namespaces"]
            if not any(namespace["type"] == "cgroup" for namespace in namespaces):
                namespaces.append({"type": "cgroup"})
        return copy.deepcopy(self._config)

    def bundle(self, name, args=("true",), edit=None):
        path = self.scratch / name
        path.mkdir(mode=0o755)
        subprocess.run(["cp", "-a", str(self.base), str(path / "rootfs")], check=True)
        config = self.config()
        config["process"]["args"] = list(args)
        config["linux"]["cgroupsPath"] = f"/{self.prefix}/{name}"
        made = Bundle(path, config)
        if edit:
            made.config = edit(config) or config
        made.save()
        return made

    def close(self):
        """Undoes everything; the first thing that fails is told when all is done."""
        failures = []
        while self.undo:
            try:
                self.undo.pop()()
            except Exception as error:  # The rest must be undone too.
                failures.append(error)
        for directory in cgroup_directories(self.prefix):
            try:
                directory.rmdir()
            except OSError as error:
                failures.append(error)
        if self.scratch.exists():
            for point in sorted(mounts_below(self.scratch), reverse=True):
                subprocess.run(["umount", "-l", point])
                failures.append(AssertionError(f"was still mounted: {point}"))
            shutil.rmtree(self.scratch)
        if failures:
            raise failures[0]


def mounts_below(path):
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if (line.split()[4] + "/").startswith(f"{path}/")]


def cgroup_directories(part):
    """All directories of all hierarchies with that in their name, and those below them, the deepest first.

    Looked for in the top two levels, and in those below the group that this process is in.
    """
    hierarchies = [CGROUPS] if IS_CGROUP2 else [d for d in CGROUPS.iterdir() if d.is_dir() and not d.is_symlink()]
    own = {line.split(":", 2)[2] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()}
    found = set()
    for hierarchy in hierarchies:
        for start in {str(hierarchy), *(f"{hierarchy}{path}".rstrip("/") for path in own)}:
            for path, names, _ in os.walk(start):  # What goes away meanwhile is left out.
                inside = part in path[len(start):]
                if inside:
                    found.add(pathlib.Path(path))
                elif path[len(start):].count("/") >= 1:
                    names[:] = [name for name in names if part in name]
    return sorted(found, key=lambda d: -len(d.parts))


def end_processes(directory):
    """Kills what is in a cgroup of ours and removes it."""
    def gone():
        try:
            if (directory / "freezer.state").exists():
                (directory / "freezer.state").write_text("THAWED")
            for pid in (directory / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            directory.rmdir()
        except FileNotFoundError:
            return True
        except (ProcessLookupError, OSError):
            return False
        return True
    wait_until(gone, 10, f"the end of what is in {directory}")


def processes_of(part):
    """Processes in a cgroup, or with a command line, that names it; without this process and its ancestors' shells."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"{part}" in (entry / "cgroup").read_text() or f"/{part}".encode() in (entry / "cmdline").read_bytes():
                if (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                    found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def leftovers(scope):
    """What of a session is on the machine, by kind; the empty dictionary when nothing is."""
    states = [str(d) for root in scope.scratch.glob("root-*") for d in root.iterdir() if d.name.startswith(scope.prefix)]
    found = {
        "states": states,
        "cgroups": [str(d) for d in cgroup_directories(scope.prefix) if d.name != scope.prefix],
        "mounts": [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if scope.prefix in line],
        "processes": processes_of(scope.prefix),
    }
    return {kind: what for kind, what in found.items() if what}


# The session's scope, made when the first test asks for one.
_scope = None


def session_scope():
    global _scope
    if _scope is None:
        _scope = Scope()
    return _scope


def open_scope():
    """The session's scope if there is one."""
    return _scope
