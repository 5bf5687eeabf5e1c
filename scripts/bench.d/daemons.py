"""A clipperd and a dockerd with its containerd, each with directories of its own, in the namespaces of this run."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from measure import BIN, CGROUP


def start(command, log, path, environment=None):
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    for _ in range(6000):
        if process.poll() is not None:
            break
        if os.path.exists(path):
            return process
        time.sleep(0.005)
    process.kill()
    tail = pathlib.Path(log).read_text(errors="replace")[-600:]
    raise RuntimeError(f"{command[0]} did not start: {tail}")


def stop(process):
    if process and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Daemon:
    """What both have: a socket, an environment for clients, pids whose memory counts."""

    def __init__(self, work, name):
        self.work = pathlib.Path(work) / name
        self.work.mkdir()
        # Where Debian has a tmpfs (/run), some machines have a disk: both daemons get a tmpfs for what is theirs there.
        self.run = self.work / "run"
        self.run.mkdir()
        subprocess.check_call(["mount", "-t", "tmpfs", "-o", "mode=755", "bench", str(self.run)])
        self.socket = f"unix://{self.run}/api.sock"
        self.environment = dict(os.environ, DOCKER_HOST=self.socket, CLIPPER_HOST=self.socket, DOCKER_CONFIG=str(self.work))
        self.parts = []

    @property
    def pids(self):
        return [part.pid for part in self.parts]

    def stop(self):
        for part in reversed(self.parts):
            stop(part)

    def restart(self):
        """Ends the daemon (containerd goes on) and starts it again: milliseconds from its start until it answers."""
        stop(self.parts.pop())
        begin = time.perf_counter()
        self.parts.append(self.launch())
        while not self.answers():
            if self.parts[-1].poll() is not None:
                raise RuntimeError(f"{self.work.name}'s daemon did not start again")
            time.sleep(0.002)
        return (time.perf_counter() - begin) * 1000

    def answers(self):
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(self.socket.removeprefix("unix://"))
                client.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return client.recv(12) == b"HTTP/1.1 200"
            except OSError:
                return False


class Clipperd(Daemon):
    def __init__(self, work, cgroup=CGROUP):
        super().__init__(work, "clipper")
        (self.work / "daemon.json").write_text("{}\n")
        self.cgroup = cgroup
        self.parts.append(self.launch())

    def launch(self):
        return start(
            [str(BIN / "clipperd"), "-H", self.socket, "--data-root", f"{self.work}/data", "--exec-root", f"{self.run}/exec",
             "--cgroup-parent", f"/{self.cgroup}-clipper", "--bip", "172.30.0.1/16", "--config-file", f"{self.work}/daemon.json"],
            f"{self.work}/log", f"{self.run}/api.sock")


class Dockerd(Daemon):
    NEEDED = ("dockerd", "containerd", "runc", "iptables")

    def __init__(self, work, cgroup=CGROUP):
        super().__init__(work, "docker")
        (self.work / "containerd.toml").write_text(
            f'version = 2\nroot = "{self.work}/containerd"\nstate = "{self.run}/containerd"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "{self.run}/containerd.sock"\n')
        (self.work / "daemon.json").write_text("{}\n")
        self.cgroup = cgroup
        self.parts.append(start(
            ["containerd", "--config", f"{self.work}/containerd.toml"], f"{self.work}/containerd.log", f"{self.run}/containerd.sock"))
        self.parts.append(self.launch())

    def launch(self):
        return start(
            ["dockerd", "-H", self.socket, "--config-file", f"{self.work}/daemon.json", "--containerd", f"{self.run}/containerd.sock",
             "--data-root", f"{self.work}/data", "--exec-root", f"{self.run}/exec", "--pidfile", f"{self.run}/pid",
             "--bip", "172.29.0.1/16", "--cgroup-parent", f"/{self.cgroup}-docker", "--storage-driver", "overlay2"],
            f"{self.work}/log", f"{self.run}/api.sock")

    @classmethod
    def missing(cls):
        return [name for name in cls.NEEDED if not shutil.which(name)]
