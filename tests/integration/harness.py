"""What the integration tests are made with: a daemon of their own, and clients that talk to it.

`Daemon` is a scope: everything it makes (sockets, state, cgroups, bridges) carries its prefix or lies below its scratch
directory, so that it runs beside any other daemon and what it leaves behind can be counted.
"""

import http.client
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BIN = REPOSITORY / "bin"
IMAGE = "clipper/base"
RECORDER = REPOSITORY / "tests/integration/contract/recorder.py"


def wait_until(condition, timeout=20.0, what="condition"):
    """Polls `condition` until it is true and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not become true within {timeout} s")
        time.sleep(0.02)


def alive(pid):
    """Whether the process runs; a zombie does not."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def leave_groups(pid):
    """Puts a process into the root of every hierarchy of control groups; the directories of the groups that it was in."""
    root, groups = pathlib.Path("/sys/fs/cgroup"), []
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        tops = [root / controllers.removeprefix("name=")] if controllers else [root / "unified", root]
        top = next((top for top in tops if (top / "cgroup.procs").exists()), None)
        if top and path != "/":
            (top / "cgroup.procs").write_text(str(pid))
            groups.append(top / path[1:])
    return groups


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("", 0))
        return sock.getsockname()[1]


def named_namespaces():
    """Network namespaces that outlive their processes: those that a name holds."""
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split()[4] for line in mounts if " nsfs " in line}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    """One clipperd with its own roots. `start`, `stop` and `kill` may be called in any order; the roots stay until `remove`."""

    def __init__(self, prefix, options=(), before=()):
        """`options` are more of clipperd's own; `before` a command line that executes it, such as unshare(1)."""
        self.prefix, self.options, self.before = prefix, list(options), list(before)
        self.scratch = pathlib.Path("/tmp") / prefix
        self.scratch.mkdir(mode=0o700)
        self.socket = str(self.scratch / "d.sock")
        self.host = f"unix://{self.socket}"
        self.recorder = None
        self.log = self.scratch / "clipperd.log"
        self.cgroup_parent = f"/clipper-{prefix}"
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        own_socket = self.record()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, str(BIN / "clipperd"), "--data-root", str(self.scratch / "data"), "--exec-root", str(self.scratch / "exec"),
                 "-H", f"unix://{own_socket}", "--pidfile", str(self.scratch / "pid"), "--cgroup-parent", self.cgroup_parent,
                 "--log-level", "debug", *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_until(self.answers, 15, "the daemon's answer to /_ping")

    def record(self):
        """With CLIPPER_RECORDS, a directory: a recorder between clients and the daemon, which lives as long as the daemon. The path
        at which the daemon is to listen."""
        directory = os.environ.get("CLIPPER_RECORDS")
        if not directory:
            return self.socket
        self.end_recorder()
        own_socket = str(self.scratch / "own.sock")
        pathlib.Path(self.socket).unlink(missing_ok=True)
        self.recorder = subprocess.Popen(
            [sys.executable, "-S", str(RECORDER), self.socket, own_socket, directory],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        assert self.recorder.stdout.readline() == b"ready\n", "the recorder did not start"
        return own_socket

    def end_recorder(self):
        if self.recorder:
            self.recorder.terminate()
            self.recorder.wait()
            self.recorder.stdout.close()
            self.recorder = None

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"clipperd ended with {self.process.returncode}:\n{self.log_tail()}")
        try:
            return self.request("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def stop(self, timeout=30):
        """SIGTERM, and the exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"clipperd did not end within {timeout} s of SIGTERM")
        finally:
            self.end_recorder()
            pathlib.Path(self.socket).unlink(missing_ok=True)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.end_recorder()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def crash(self):
        """kill -9, and a new daemon on the same roots."""
        self.kill()
        self.start()

    def log_tail(self, start=0):
        with self.log.open("rb") as log:
            log.seek(start)
            return log.read()[-6000:].decode(errors="replace")

    def request(self, method, path, body=None, headers=None):
        """One request; the status and the body, from JSON where it is JSON."""
        connection = UnixConnection(self.socket)
        try:
            headers = dict(headers or {})
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            if body is not None:
                headers.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(data)
        except ValueError:
            return response.status, data

    def shims(self):
        """The supervisors of this daemon's containers, by the files they hold open: process numbers."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if b"clipper-runtime" not in (entry / "cmdline").read_bytes():
                    continue
                held = [os.readlink(descriptor) for descriptor in (entry / "fd").iterdir()]
            except OSError:
                continue
            if any(path.startswith(f"{self.scratch}/") for path in held):
                found.append(int(entry.name))
        return found

    def cgroups(self):
        """The directories of its cgroup parent, in all hierarchies, and all below: the deepest first."""
        parents = {p for p in pathlib.Path("/sys/fs/cgroup").glob(f"*{self.cgroup_parent}")}
        parents |= {p for p in pathlib.Path("/sys/fs/cgroup").glob(self.cgroup_parent[1:])}
        return sorted((d for p in parents for d in [p, *(x for x in p.rglob("*") if x.is_dir())]), reverse=True)

    def remove(self):
        """The directories, and the cgroup parent: as dockerd, the daemon leaves that for its next start."""
        for directory in self.cgroups():
            directory.rmdir()
        shutil.rmtree(self.scratch)


def clear(daemon):
    """Ends and removes every container of the daemon, and stops it."""
    if not daemon.running():
        daemon.start()
    _, containers = daemon.request("GET", "/containers/json?all=1")
    for container in containers:
        daemon.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")
    daemon.stop()


class Result:
    """What a command said: `code`, and the two streams as text and bytes."""

    def __init__(self, arguments, code, stdout, stderr):
        self.arguments, self.code, self.stdout, self.stderr = arguments, code, stdout, stderr

    @property
    def out(self):
        return self.stdout.decode(errors="replace")

    @property
    def err(self):
        return self.stderr.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.stdout)

    def __repr__(self):
        return f"{' '.join(self.arguments)}: exit {self.code}\nstdout: {self.out[-1500:]}\nstderr: {self.err[-1500:]}"


class Client:
    """A command line client, unmodified, pointed at a daemon by the environment."""

    def __init__(self, name, program, daemon):
        self.name, self.program, self.daemon = name, str(program), daemon
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "CLIPPER_"))},
            "DOCKER_HOST": daemon.host, "CLIPPER_HOST": daemon.host, "DOCKER_CONFIG": str(daemon.scratch / "client"),
            "DOCKER_BUILDKIT": "0",
        }

    def run(self, *arguments, input=b"", timeout=60):
        """Runs a command whatever its exit code is."""
        arguments = [str(a) for a in arguments]
        done = subprocess.run([self.program, *arguments], input=input, capture_output=True, env=self.environment, timeout=timeout)
        return Result([self.name, *arguments], done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments, input=b"", timeout=60):
        """Runs a command that must succeed; its standard output without the last newline."""
        result = self.run(*arguments, input=input, timeout=timeout)
        assert result.code == 0, result
        return result.out.rstrip("\n")

    def spawn(self, *arguments, **options):
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([self.program, *map(str, arguments)], env=self.environment, **options)

    def inspect(self, name):
        return json.loads(self("inspect", name))[0]


class Terminal:
    """A client on a pseudo-terminal, as a person has it."""

    def __init__(self, client, *arguments, rows=24, columns=80):
        import fcntl
        import pty
        import struct
        import termios
        self.master, slave = pty.openpty()
        self._ioctl = lambda r, c: fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", r, c, 0, 0))
        self._ioctl(rows, columns)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", client.program, *map(str, arguments)], env={**client.environment, "TERM": "xterm"},
            stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.seen = b""

    def type(self, text):
        os.write(self.master, text.encode())

    def resize(self, rows, columns):
        self._ioctl(rows, columns)

    def expect(self, text, timeout=10):
        """Reads until `text` is seen; what came up to and with it."""
        deadline = time.monotonic() + timeout
        wanted = text.encode()
        while wanted not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            try:
                more = os.read(self.master, 4096) if ready else b""
            except OSError:
                more = b""
            if not more:
                raise AssertionError(f"{text!r} did not appear; seen: {self.seen!r}")
            self.seen += more
        before, self.seen = self.seen.split(wanted, 1)
        return (before + wanted).decode(errors="replace")

    def sees(self, text, timeout):
        """Whether `text` comes within the time; it stays to be expected."""
        try:
            self.seen = self.expect(text, timeout).encode() + self.seen
        except AssertionError:
            return False
        return True

    def wait(self, timeout=15):
        """The exit code; output is drained so that the client can end."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.master, 4096)
                except OSError:
                    break
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
